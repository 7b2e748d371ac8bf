"""Duration, memory, metrics and outcome of every run: one small Parquet file each, which DuckDB queries together.

The file is written when a run starts, with the outcome `started`, and replaced when it ends. So killed runs are
distinguishable from failed ones. Writes are atomic.
"""

import logging
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from storage.disk import FULL, disk_errors, replaced_file
from storage.errors import WorkspaceError
from storage.files.parquet import write_table
from storage.layout import Workspace, checked_table_name
from storage.runs import oldest_run

logger = logging.getLogger(__name__)

STARTED, KILLED = "started", "killed"
NO_RECORD = "its process died without a record: kill -9, out of memory, or a power failure"
SPARE, SPARE_BYTES = ".spare", 64 * 1024
# Number of earlier runs that a run is compared with.
USUAL_RUNS = 10

STAGE = pa.struct(
    [
        pa.field("name", pa.string()),
        pa.field("seconds", pa.float64()),  # of this run; for a reused stage, the time to check its files
        pa.field("rows", pa.int64()),
        pa.field("unit", pa.string()),  # such as tokens
        pa.field("reused", pa.bool_()),
    ]
)
SCHEMA = pa.schema(
    [
        pa.field("run_id", pa.string(), nullable=False),  # of the flow run in Prefect
        pa.field("table_name", pa.string(), nullable=False),
        # UTC, without a time zone in the type: DuckDB needs an extension for those.
        pa.field("started_at", pa.timestamp("us"), nullable=False),
        # started, published, unchanged, nothing to do, refused, failed or stopped
        pa.field("outcome", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("seconds", pa.float64()),  # wall clock; NULL while the run is active
        pa.field("version", pa.int64()),  # of the current release afterwards; NULL without one
        pa.field("files", pa.int64()),  # source files of the corpus; below: changes since the previous release
        pa.field("new_files", pa.int64()),
        pa.field("changed_files", pa.int64()),
        pa.field("gone_files", pa.int64()),
        pa.field("corpus_tokens", pa.int64()),  # per epoch
        pa.field("vocabulary_size", pa.int64()),
        pa.field("backend", pa.string()),
        pa.field("epochs", pa.int64()),
        pa.field("words_per_second", pa.float64()),  # NULL if the model was reused
        pa.field("peak_memory_bytes", pa.int64()),  # of the run's process
        pa.field("metrics", pa.map_(pa.string(), pa.float64())),
        pa.field("refused_by", pa.list_(pa.string())),  # gates
        pa.field("stages", pa.list_(STAGE)),
    ]
)


class RunStage(BaseModel):
    """One stage of a run, as in STAGE."""

    model_config = ConfigDict(frozen=True)

    name: str
    seconds: float
    rows: int
    unit: str
    reused: bool


class RunRow(BaseModel):
    """One run, as in SCHEMA."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_id: str
    table_name: str
    started_at: AwareDatetime
    outcome: str = STARTED
    reason: str = ""
    seconds: float | None = None
    version: int | None = None
    files: int | None = None
    new_files: int | None = None
    changed_files: int | None = None
    gone_files: int | None = None
    corpus_tokens: int | None = None
    vocabulary_size: int | None = None
    backend: str | None = None
    epochs: int | None = None
    words_per_second: float | None = None
    peak_memory_bytes: int | None = None
    metrics: dict[str, float | None] = {}
    refused_by: list[str] = []
    stages: list[RunStage] = []


class RunTrend(BaseModel):
    """A run compared with earlier ones.

    usual_words_per_second: median of up to ten earlier runs with the same backend; None without any.
    metric_changes: metric -> difference from the latest earlier run that has it.
    """

    model_config = ConfigDict(frozen=True)

    run: RunRow
    usual_words_per_second: float | None
    metric_changes: dict[str, float]


def write_run(workspace: Workspace, run: RunRow) -> Path:
    """Write or replace the record of a run. Raises WorkspaceError if the disk is full or not writable.

    A small spare file reserves space for the record of a run that fills the disk; it is deleted when needed.
    """
    folder = workspace.run_history
    path = folder / f"{run.started_at.astimezone(UTC):%Y%m%dT%H%M%S%f}Z-{run.run_id}.parquet"
    with disk_errors(workspace.root, kept="releases are untouched"):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            _write(path, run)
        except OSError as error:
            if error.errno not in FULL:
                raise
            (folder / SPARE).unlink(missing_ok=True)
            _write(path, run)
    if run.outcome == STARTED:
        _keep_space(folder / SPARE)
    return path


def _write(path: Path, run: RunRow) -> None:
    content = run.model_dump() | {
        "started_at": run.started_at.astimezone(UTC).replace(tzinfo=None),
        "metrics": list(run.metrics.items()),
    }
    with replaced_file(path) as written:
        write_table(pa.Table.from_pylist([content], schema=SCHEMA), written)


def _keep_space(spare: Path) -> None:
    if not spare.exists():
        try:
            # Not zeros, which some file systems don't store.
            spare.write_bytes(os.urandom(SPARE_BYTES))
        except OSError:
            spare.unlink(missing_ok=True)


def forget_run(workspace: Workspace, run_id: str) -> None:
    """Remove records from before a run started, such as that it was late."""
    for path in workspace.run_history.glob(f"*-{run_id}.parquet"):
        path.unlink(missing_ok=True)


def is_recorded(workspace: Workspace, run_id: str) -> bool:
    """Whether the run has a record of its outcome."""
    for path in workspace.run_history.glob(f"*-{run_id}.parquet"):
        return str(pq.read_table(path, columns=["outcome"])["outcome"][0]) != STARTED
    return False


def start_of(workspace: Workspace, run_id: str) -> datetime | None:
    """Start time of a recorded run; None without a record."""
    for path in workspace.run_history.glob(f"*-{run_id}.parquet"):
        found: datetime = pq.read_table(path, columns=["started_at"])["started_at"][0].as_py()
        return found.replace(tzinfo=UTC)
    return None


def read_runs(workspace: Workspace, table: str) -> list[RunRow]:
    """Every recorded run of a table, oldest first; a started run whose process is gone is `killed`.

    Raises WorkspaceError if there are none, or a file cannot be read.
    """
    checked_table_name(table)
    # A list, because the workspace path may contain glob characters.
    files = sorted(str(path) for path in workspace.run_history.glob("*.parquet"))
    if not files:
        raise WorkspaceError(f"no runs are recorded in {workspace.run_history}; choose the workspace with --workspace")
    try:
        with duckdb.connect() as connection:
            found = connection.execute(
                "FROM read_parquet(?, union_by_name = true) WHERE table_name = ? ORDER BY started_at, run_id",
                [files, table],
            )
            runs = [_run_row(row) for row in found.to_arrow_table().to_pylist()]
    except (duckdb.Error, ValidationError) as error:
        raise WorkspaceError(
            f"{workspace.run_history} cannot be read ({str(error).splitlines()[0]}); move that file elsewhere"
        ) from error
    if not runs:
        raise WorkspaceError(f"no runs of {table!r} are recorded in {workspace.run_history}")
    return _with_killed(workspace, runs)


def run_trends(runs: Sequence[RunRow]) -> list[RunTrend]:
    """Each run compared with the ones before it, oldest first."""
    trends = []
    rates: dict[str | None, list[float]] = {}
    metrics: dict[str, float] = {}
    for run in runs:
        earlier = rates.setdefault(run.backend, [])
        measured = {name: value for name, value in run.metrics.items() if value is not None}
        changes = {name: value - metrics[name] for name, value in measured.items() if name in metrics}
        usual = median(earlier[-USUAL_RUNS:]) if earlier else None
        trends.append(RunTrend(run=run, usual_words_per_second=usual, metric_changes=changes))
        if run.words_per_second:
            earlier.append(run.words_per_second)
        metrics |= measured
    return trends


def _run_row(row: dict[str, Any]) -> RunRow:
    known = {name: value for name, value in row.items() if name in RunRow.model_fields}
    started_at = row["started_at"].replace(tzinfo=UTC)
    return RunRow.model_validate(known | {"started_at": started_at, "metrics": dict(row["metrics"])})


def _with_killed(workspace: Workspace, runs: list[RunRow]) -> list[RunRow]:
    oldest = oldest_run(workspace)
    # A lock is named by the second in which its run started.
    alive = datetime.max.replace(tzinfo=UTC) if oldest is None else datetime.fromtimestamp(oldest - 1, UTC)
    return [
        run.model_copy(update={"outcome": KILLED, "reason": NO_RECORD})
        if run.outcome == STARTED and run.started_at < alive
        else run
        for run in runs
    ]
