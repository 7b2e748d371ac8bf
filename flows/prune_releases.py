"""Keep the disk from filling: remove old releases of every table, and the stages that nothing needs any more."""

import logging

from prefect import flow
from pydantic import BaseModel, ConfigDict, Field

from flows.runs.stop_notes import tell_the_failure
from flows.runs.stop_signal import stopped_once
from storage.layout import resolve_workspace
from storage.releases.history import prune
from storage.releases.housekeeping import clean_stages
from storage.releases.querying import table_names

logger = logging.getLogger(__name__)


class PruningConfig(BaseModel):
    """What stays when the workspace is cleaned."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tables: list[str] | None = Field(None, description="tables whose old releases are removed; none: all of them")
    keep: int = Field(8, ge=1, description="highest versions of each table that stay; the current one always does")
    keep_candidates: bool = Field(True, description="refused releases stay too")
    keep_days: float = Field(30, ge=0, description="stages used in so many days stay, whether needed or not")


class PruningResult(BaseModel):
    """What was removed: names of releases by table, folders of stages and their size in bytes."""

    model_config = ConfigDict(frozen=True)

    releases: dict[str, list[str]]
    stage_folders: int
    stage_bytes: int


@flow(name="prune-releases", persist_result=False, result_serializer="json", on_failure=[tell_the_failure])
def prune_releases(pruning: PruningConfig = PruningConfig(), workspace: str | None = None) -> PruningResult:
    """Remove old releases of every table, then the stages that no kept release needs.

    Args:
        pruning: What stays.
        workspace: Folder of all artefacts; none: $VECMILL_WORKSPACE, else ./workspace.

    """
    with stopped_once():
        return _prune(pruning, workspace)


def _prune(pruning: PruningConfig, workspace: str | None) -> PruningResult:
    place = resolve_workspace(workspace)
    tables = table_names(place) if pruning.tables is None else pruning.tables
    releases = {table: prune(place, table, pruning.keep, candidates=not pruning.keep_candidates) for table in tables}
    # After the releases: what only they needed goes in the same run.
    folders = clean_stages(place, pruning.keep_days)
    return PruningResult(
        releases=releases, stage_folders=len(folders), stage_bytes=sum(folder.size for folder in folders)
    )
