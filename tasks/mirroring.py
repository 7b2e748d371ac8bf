"""Copy the releases of a table to the object store that `publication.mirror` names."""

import logging

from storage.layout import Workspace
from storage.releases.mirror import mirror_table
from tasks.pipeline_task import pipeline_task
from tasks.publication_config import PublicationConfig

logger = logging.getLogger(__name__)


@pipeline_task("mirror releases")
def mirror_releases(config: PublicationConfig, workspace: Workspace) -> None:
    """Upload the releases that the mirror lacks, if there is a mirror.

    A failure is logged with the command to retry, and does not fail the run: its release is already published.
    """
    if config.mirror is None or not workspace.table_file(config.table).exists():
        return
    try:
        mirrored = mirror_table(workspace, config.table, config.mirror)
    except Exception as error:
        # Whatever it is, the release is published and the run has done its work.
        logger.error(
            "cannot mirror %s (%s: %s); the release itself is published; to retry: `vecmill mirror %s`",
            config.table, type(error).__name__, error, config.table,
        )  # fmt: skip
    else:
        logger.info("mirror %s: %s", config.mirror, mirrored)
