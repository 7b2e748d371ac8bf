"""Free disk space: remove old releases of every table and stages that no release needs."""

import logging

from prefect import flow
from pydantic import BaseModel, ConfigDict, Field

from flows.runs.stop_notes import emit_failure_event
from flows.runs.stop_signal import stopped_once
from storage.layout import resolve_workspace
from storage.releases.history import prune
from storage.releases.housekeeping import clean_stages
from storage.releases.querying import table_names

logger = logging.getLogger(__name__)


class PruningConfig(BaseModel):
    """What to keep when cleaning the workspace."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tables: list[str] | None = Field(None, description="tables to prune; none: all tables")
    keep: int = Field(8, ge=1, description="highest versions to keep per table; the current one is always kept")
    keep_candidates: bool = Field(True, description="also keep refused releases")
    keep_days: float = Field(30, ge=0, description="keep stages used within this many days, whether needed or not")


class PruningResult(BaseModel):
    """What was removed: release names by table, number of stage folders and their size in bytes."""

    model_config = ConfigDict(frozen=True)

    releases: dict[str, list[str]]
    stage_folders: int
    stage_bytes: int


@flow(name="prune-releases", persist_result=False, result_serializer="json", on_failure=[emit_failure_event])
def prune_releases(pruning: PruningConfig = PruningConfig(), workspace: str | None = None) -> PruningResult:
    """Remove old releases of every table, then the stages that no kept release needs.

    Args:
        pruning: What to keep.
        workspace: Folder of all artefacts; default: $VECMILL_WORKSPACE, then ./workspace.

    """
    with stopped_once():
        return _prune(pruning, workspace)


def _prune(pruning: PruningConfig, workspace: str | None) -> PruningResult:
    resolved_workspace = resolve_workspace(workspace)
    tables = table_names(resolved_workspace) if pruning.tables is None else pruning.tables
    releases = {
        table: prune(resolved_workspace, table, pruning.keep, candidates=not pruning.keep_candidates)
        for table in tables
    }
    # After pruning, so that stages only the removed releases needed go in the same run.
    folders = clean_stages(resolved_workspace, pruning.keep_days)
    return PruningResult(
        releases=releases, stage_folders=len(folders), stage_bytes=sum(folder.size for folder in folders)
    )
