"""Write the report of what a run published or refused."""

import logging
import time
from pathlib import Path
from typing import NamedTuple

from storage.layout import Workspace
from storage.releases.records import Release
from storage.releases.reports import has_report, report_file
from tasks.pipeline_task import pipeline_task
from tasks.progress import working_on
from tasks.release_report import ReportConfig, make_report

logger = logging.getLogger(__name__)


class WrittenReport(NamedTuple):
    """A report file. reused: an earlier run wrote it.  seconds: spent on it in this run."""

    path: Path
    reused: bool
    seconds: float


@pipeline_task("write report")
def report_release(release: Release, config: ReportConfig, workspace: Workspace) -> WrittenReport | None:
    """Write the report of a release or candidate, unless it exists already; None if it is disabled or failed.

    A failure is logged with the command to retry, and does not fail the run: its release is already published.
    """
    if not config.enabled:
        return None
    started = time.perf_counter()
    try:
        reused = has_report(release)
        if reused:
            logger.info("report: %s", report_file(release))
        else:
            with working_on("writing the report"):
                make_report(release, config, workspace)
        return WrittenReport(report_file(release), reused, round(time.perf_counter() - started, 3))
    except Exception as error:
        # Whatever it is, the release is published and the run has done its work.
        name = release.path.stem if release.row.version is None else str(release.version)
        logger.error(
            "cannot write the report of %s %s (%s: %s); the release itself is intact; to retry: "
            "`vecmill report %s --version %s`",
            release.table, name, type(error).__name__, error, release.table, name,
        )  # fmt: skip
        return None
