"""Write the report of what a run published or refused."""

import logging
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from storage.layout import Workspace
from storage.releases.history import find_release
from storage.releases.records import read_release
from storage.releases.reports import has_report, report_file
from tasks.release_report import ReportConfig, make_report

logger = logging.getLogger(__name__)


@task(name="write report", cache_policy=NO_CACHE)
def report_release(table: str, version: int | None, path: str, config: ReportConfig, workspace: Workspace) -> None:
    """Write the report of what a run published or refused, unless it is there already or switched off.

    version: None for a candidate, whose file is `path`. A release that is published stays published: whatever goes
    wrong here is logged, with what to do about it.
    """
    if not config.enabled:
        return
    name = Path(path).stem if version is None else str(version)
    try:
        release = read_release(find_release(workspace, table, name))
        if has_report(release):
            logger.info("report: %s", report_file(release))
        else:
            make_report(release, config, workspace)
    except Exception as error:
        # Any exception at all: none is worth failing a run whose release is out.
        logger.error(
            "there is no report of %s %s (%s: %s); the release itself is whole, and `vecmill report %s --version %s` "
            "tries again",
            table, name, type(error).__name__, error, table, name,
        )  # fmt: skip
