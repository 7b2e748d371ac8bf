"""What every run of a table took and gave: one small Parquet file each, which DuckDB queries together.

The file is there from the start of a run, with the outcome `started`, and is replaced at its end. So a run that was
killed is told from one that failed, and nobody ever reads half a file.
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
from storage.layout import Workspace, checked_table_name
from storage.runs import oldest_run

logger = logging.getLogger(__name__)

STARTED, KILLED = "started", "killed"
NO_RECORD = "its process ended without a word: kill -9, out of memory, or a power cut"
SPARE, SPARE_BYTES = ".spare", 64 * 1024
# Earlier runs that the last one is held against.
USUAL_RUNS = 10

STAGE = pa.struct(
    [
        pa.field("name", pa.string()),
        pa.field("seconds", pa.float64()),  # of this run; of a stage that was found, to check its files
        pa.field("rows", pa.int64()),
        pa.field("unit", pa.string()),  # of rows, such as tokens
        pa.field("reused", pa.bool_()),
    ]
)
SCHEMA = pa.schema(
    [
        pa.field("run_id", pa.string(), nullable=False),  # of the flow run in Prefect
        pa.field("table_name", pa.string(), nullable=False),
        # UTC, and said so here alone: DuckDB needs an extension to reckon with time zones.
        pa.field("started_at", pa.timestamp("us"), nullable=False),
        # started, published, unchanged, nothing to do, refused, failed or stopped
        pa.field("outcome", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("seconds", pa.float64()),  # wall clock; NULL as long as the run lasts
        pa.field("version", pa.int64()),  # of the current release afterwards; NULL for runs that gave none
        pa.field("files", pa.int64()),  # source files of the corpus, and how many of them came since the release before
        pa.field("new_files", pa.int64()),
        pa.field("changed_files", pa.int64()),
        pa.field("gone_files", pa.int64()),
        pa.field("corpus_tokens", pa.int64()),  # trained on in one epoch
        pa.field("vocabulary_size", pa.int64()),
        pa.field("backend", pa.string()),
        pa.field("epochs", pa.int64()),
        pa.field("words_per_second", pa.float64()),  # NULL for a run that found its model trained
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
    """A run beside those before it.

    usual_words_per_second: the median of up to ten earlier runs with the same backend, None without any.
    metric_changes: metric -> difference to the run before that has it.
    """

    model_config = ConfigDict(frozen=True)

    run: RunRow
    usual_words_per_second: float | None
    metric_changes: dict[str, float]


def write_run(workspace: Workspace, run: RunRow) -> Path:
    """Write or replace the record of a run. Raises WorkspaceError where the disk is full or cannot be written.

    A small file keeps space for the record of a run that fills the disk; it is removed when that is needed.
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
        pq.write_table(pa.Table.from_pylist([content], schema=SCHEMA), written)


def _keep_space(spare: Path) -> None:
    if not spare.exists():
        try:
            # Not zeros, which some file systems do not store.
            spare.write_bytes(os.urandom(SPARE_BYTES))
        except OSError:
            spare.unlink(missing_ok=True)


def forget_run(workspace: Workspace, run_id: str) -> None:
    """Remove what was recorded of a run before it started, such as that it was late."""
    for path in workspace.run_history.glob(f"*-{run_id}.parquet"):
        path.unlink(missing_ok=True)


def is_recorded(workspace: Workspace, run_id: str) -> bool:
    """Whether the run has a record that says how it ended."""
    for path in workspace.run_history.glob(f"*-{run_id}.parquet"):
        return str(pq.read_table(path, columns=["outcome"])["outcome"][0]) != STARTED
    return False


def start_of(workspace: Workspace, run_id: str) -> datetime | None:
    """When the run that has a record began; None without one."""
    for path in workspace.run_history.glob(f"*-{run_id}.parquet"):
        found: datetime = pq.read_table(path, columns=["started_at"])["started_at"][0].as_py()
        return found.replace(tzinfo=UTC)
    return None


def read_runs(workspace: Workspace, table: str) -> list[RunRow]:
    """Every recorded run of a table, the oldest first; a run that began and whose process is gone was `killed`.

    Raises WorkspaceError if there is none, or a file cannot be read.
    """
    checked_table_name(table)
    # A list, because the workspace's own path may hold characters that mean something in a pattern.
    files = sorted(str(path) for path in workspace.run_history.glob("*.parquet"))
    if not files:
        raise WorkspaceError(f"no run is recorded in {workspace.run_history}; name the workspace with --workspace")
    try:
        with duckdb.connect() as connection:
            found = connection.execute(
                "FROM read_parquet(?, union_by_name = true) WHERE table_name = ? ORDER BY started_at, run_id",
                [files, table],
            )
            runs = [_run_row(row) for row in found.to_arrow_table().to_pylist()]
    except (duckdb.Error, ValidationError) as error:
        raise WorkspaceError(
            f"{workspace.run_history} cannot be read ({str(error).splitlines()[0]}); move the file it names away"
        ) from error
    if not runs:
        raise WorkspaceError(f"no run of {table!r} is recorded in {workspace.run_history}")
    return _with_killed(workspace, runs)


def run_trends(runs: Sequence[RunRow]) -> list[RunTrend]:
    """Each run, the oldest first, beside those before it."""
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
    begun = oldest_run(workspace)
    # The lock of a run is named by the second in which it began.
    alive = datetime.max.replace(tzinfo=UTC) if begun is None else datetime.fromtimestamp(begun - 1, UTC)
    return [
        run.model_copy(update={"outcome": KILLED, "reason": NO_RECORD})
        if run.outcome == STARTED and run.started_at < alive
        else run
        for run in runs
    ]
