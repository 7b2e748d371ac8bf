"""Every run writes one small file; DuckDB reads them together, so that a slower or worse run shows."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from storage.errors import SettingsError, WorkspaceError
from storage.layout import Workspace
from storage.run_history import RunRow, RunStage, read_runs, run_trends, write_run
from storage.runs import registered_run

START = datetime(2026, 11, 2, 3, tzinfo=UTC)


def run_row(week: int, *, table: str = "news", rate: float | None = 1e6, score: float | None = 0.5) -> RunRow:
    return RunRow(
        run_id=f"run-{table}-{week}",
        table_name=table,
        started_at=START + timedelta(weeks=week),
        outcome="published",
        reason=f"published version {week + 1} of {table}",
        seconds=12.5,
        version=week + 1,
        files=10 + week,
        new_files=1,
        changed_files=0,
        gone_files=0,
        corpus_tokens=1000,
        vocabulary_size=100,
        backend="numba",
        epochs=5,
        words_per_second=rate,
        peak_memory_bytes=400_000_000,
        metrics={"wordsim353": score, "wordsim353_coverage": 0.9, "google_analogies": None},
        refused_by=["wordsim353"] if week == 1 else [],
        stages=[
            RunStage(name="corpus", seconds=1.5, rows=10, unit="documents", reused=True),
            RunStage(name="training", seconds=9.0, rows=100, unit="vectors", reused=False),
        ],
    )


def test_runs_come_back_as_they_were_written(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    runs = [run_row(week) for week in range(3)]
    for run in (*reversed(runs), run_row(1, table="other")):
        write_run(workspace, run)
    assert read_runs(workspace, "news") == runs
    assert [run.table_name for run in read_runs(workspace, "other")] == ["other"]


def test_the_record_of_a_run_is_replaced_when_it_ends(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    begun = RunRow(run_id="a", table_name="news", started_at=datetime.now(UTC))
    path = write_run(workspace, begun)
    with registered_run(workspace):
        assert [run.outcome for run in read_runs(workspace, "news")] == ["started"]
    assert [run.outcome for run in read_runs(workspace, "news")] == ["killed"]  # no process runs any more
    assert write_run(workspace, begun.model_copy(update={"outcome": "failed", "reason": "why"})) == path
    assert [(run.outcome, run.reason) for run in read_runs(workspace, "news")] == [("failed", "why")]
    assert [file.name for file in workspace.run_history.glob("*.parquet")] == [path.name]


def test_duckdb_asks_across_runs_and_tables(tmp_path: Path) -> None:
    for week in range(3):
        write_run(Workspace(tmp_path), run_row(week))
        write_run(Workspace(tmp_path), run_row(week, table="other", rate=None))
    files = f"{tmp_path}/runs/*.parquet"
    with duckdb.connect() as connection:
        slowest = connection.execute(
            "select table_name, stage.name, max(stage.seconds), max(metrics['wordsim353']) "
            "from (select table_name, metrics, unnest(stages) as stage from read_parquet(?, union_by_name = true)) "
            "where not stage.reused group by all order by table_name",
            [files],
        ).fetchall()
        types = dict(
            connection.execute(
                "select column_name, column_type from (describe from read_parquet(?))", [files]
            ).fetchall()
        )
    assert slowest == [("news", "training", 9.0, 0.5), ("other", "training", 9.0, 0.5)]
    assert types["started_at"] == "TIMESTAMP"
    assert types["metrics"] == "MAP(VARCHAR, DOUBLE)"


def test_each_run_is_compared_with_earlier_ones() -> None:
    rates = [1e6, None, 2e6, 3e6]
    trends = run_trends([run_row(week, rate=rate, score=week / 10) for week, rate in enumerate(rates)])
    assert [trend.usual_words_per_second for trend in trends] == [None, 1e6, 1e6, 1.5e6]
    assert [trend.metric_changes.get("wordsim353") for trend in trends[1:]] == pytest.approx([0.1, 0.1, 0.1])


def test_another_backend_is_not_compared() -> None:
    cpu, gpu = run_row(0), run_row(1, rate=9e6).model_copy(update={"backend": "triton"})
    assert [trend.usual_words_per_second for trend in run_trends([cpu, gpu])] == [None, None]


def test_a_workspace_without_runs_of_the_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match=r"no runs are recorded in .*runs; choose the workspace"):
        read_runs(Workspace(tmp_path), "news")
    write_run(Workspace(tmp_path), run_row(0))
    with pytest.raises(WorkspaceError, match="no runs of 'another' are recorded"):
        read_runs(Workspace(tmp_path), "another")
    with pytest.raises(SettingsError, match="is not a valid table name"):
        read_runs(Workspace(tmp_path), "../news")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    write_run(Workspace(tmp_path), run_row(0)).write_bytes(b"PAR1 no more")
    with pytest.raises(WorkspaceError, match=r"cannot be read .*20261102T030000.*move that file"):
        read_runs(Workspace(tmp_path), "news")


def test_a_record_of_a_later_version_with_more_columns_can_be_read(tmp_path: Path) -> None:
    write_run(Workspace(tmp_path), run_row(0))
    (path,) = (tmp_path / "runs").iterdir()
    duckdb.sql(f"copy (select *, 1 as more from '{path}') to '{path.with_name('later.parquet')}'")
    assert len(read_runs(Workspace(tmp_path), "news")) == 2
