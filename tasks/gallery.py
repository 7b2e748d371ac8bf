"""Write the gallery: one index page over all tables and releases of a workspace."""

import logging
import os
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from storage.errors import ReleaseError
from storage.layout import Workspace
from storage.output_files import new_output
from storage.releases.ledger import current_version
from storage.releases.listing import every_table, kept_releases
from storage.releases.records import Release, ReleaseSummary, readable_releases, summarize_release
from storage.releases.reports import has_report, report_file
from storage.releases.tags import read_tags
from tasks.report.gallery import ShownRelease, ShownTable, render_gallery
from tasks.report.wording import without_folders

logger = logging.getLogger(__name__)

LETTERS_OF_A_CANDIDATE = 8


def write_gallery(workspace: Workspace, target: Path) -> int:
    """Write the page, replacing an earlier one. Returns the number of tables.

    target: absolute; links to reports are relative to it.  Releases that cannot be read are left out with a warning.
    Raises ReleaseError if the workspace has no table, VectorFileError if the page cannot be written.
    """
    names = every_table(workspace)
    if not names:
        raise ReleaseError(f"no tables in {workspace.root}; build one with `vecmill build`")
    tables = [_shown_table(workspace, name, target.parent) for name in names]
    page = render_gallery(tables, workspace.root.name, f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    with new_output(target, force=True) as written:
        written.write_text(page, encoding="utf-8")
    return len(tables)


def _shown_table(workspace: Workspace, name: str, folder: Path) -> ShownTable:
    try:
        current = current_version(workspace, name)
    except ReleaseError as error:
        logger.warning("%s", error)
        current = None
    refused = readable_releases(workspace.candidates_folder(name).glob("*.duckdb"))
    refused.sort(key=lambda candidate: candidate.created_at, reverse=True)
    published = kept_releases(workspace, name)[::-1]
    newest = [*published, *refused]
    source = without_folders(newest[0].row.corpus_source) if newest else "no release that can be read"
    tags = read_tags(workspace, name)
    summaries = [summarize_release(release, current, tags) for release in newest]
    shown = [_shown_release(*pair, folder) for pair in zip(newest, summaries, strict=True)]
    return ShownTable(name, source, shown)


def _shown_release(release: Release, summary: ReleaseSummary, folder: Path) -> ShownRelease:
    candidate = summary.version is None
    report = quote(Path(os.path.relpath(report_file(release), folder)).as_posix())
    return ShownRelease(
        name=f"candidate {release.path.stem[:LETTERS_OF_A_CANDIDATE]}" if candidate else f"version {summary.version}",
        tags=summary.tags,
        created=f"{summary.created_at:%Y-%m-%d}",
        rows=summary.rows,
        dimension=summary.dimension,
        current=summary.current,
        candidate=candidate,
        gated=summary.gates_passed is not None,
        refused_by=summary.refused_by,
        metrics=summary.metrics,
        report=report if has_report(release) else None,
    )
