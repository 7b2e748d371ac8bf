"""Copy the releases of a table to the object store that `publication.mirror` names."""

import logging

from storage.errors import VecmillError
from storage.layout import Workspace
from storage.releases.mirror import mirror_table
from tasks.pipeline_task import pipeline_task
from tasks.publication_config import PublicationConfig

logger = logging.getLogger(__name__)


@pipeline_task("mirror releases")
def mirror_releases(config: PublicationConfig, workspace: Workspace) -> None:
    """Upload the releases that the mirror lacks, if there is a mirror.

    A failure is logged with its remedy, and does not fail the run: its release is already published.
    """
    if config.mirror is None or not workspace.table_file(config.table).exists():
        return
    try:
        mirrored = mirror_table(workspace, config.table, config.mirror)
    except Exception as error:
        # Whatever it is, the release is published and the run has done its work.
        known = isinstance(error, VecmillError)
        reason = str(error) if known else f"{type(error).__name__}: {error}; run `vecmill mirror {config.table}`"
        logger.error("the release of %s is published but not mirrored: %s", config.table, reason)
    else:
        logger.info("mirror %s: %s", config.mirror, mirrored)
