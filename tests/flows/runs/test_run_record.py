"""Every run is recorded however it ends, and `vecmill runs` shows whether a table gets slower or worse."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from flows.cli.app import app
from flows.cli.history_views import concerns, run_table
from flows.runs.record import peak_memory_bytes, recorded_run
from storage.disk import disk_errors
from storage.errors import CorpusError, GateRefusedError, WorkspaceError
from storage.layout import Workspace
from storage.run_history import read_runs, run_trends, write_run
from storage.stages import complete_stage
from tests.flows import builds
from tests.storage.sample_stages import SampleFacts, sample_stage
from tests.storage.test_run_history import run_row

SMALL = (
    "training.dimension=16", "training.epochs=1", "training.workers=1", "evaluation.reference=none",
    "publication.table=news", "report.enabled=false",
)  # fmt: skip


def build(corpus: Path, workspace: Path, *settings: str) -> None:
    builds.build(workspace, f"corpus.path={corpus}", *SMALL, *settings)


@pytest.mark.usefixtures("prefect_server")
def test_every_run_is_recorded_however_it_ends(news_file: Path, tmp_path: Path) -> None:
    build(news_file, tmp_path)
    build(news_file, tmp_path)
    build(news_file, tmp_path, "corpus.train_on=new")
    with pytest.raises(GateRefusedError):
        build(news_file, tmp_path, "training.seed=2", "publication.gates.wordsim353.minimum=0.99")
    (tmp_path / "bad.csv").write_text("text\nfine\n" + "unfinished,\n")
    with pytest.raises(CorpusError):
        build(tmp_path / "bad.csv", tmp_path)
    first, again, nothing, refused, failed = read_runs(Workspace(tmp_path), "news")

    assert (first.outcome, first.version, first.files, first.new_files) == ("published", 1, 1, 1)
    assert [stage.name for stage in first.stages] == [
        "corpus", "tokens", "vocabulary", "encoded", "cooccurrences", "training", "evaluation", "release",
    ]  # fmt: skip
    assert all(stage.rows > 0 for stage in first.stages)
    assert sum(stage.seconds for stage in first.stages) <= (first.seconds or 0)
    assert (first.words_per_second or 0) > 0
    assert (first.peak_memory_bytes or 0) > 50e6
    assert first.corpus_tokens
    assert first.metrics["wordsim353"] is not None

    assert (again.outcome, again.words_per_second, again.metrics) == ("unchanged", None, first.metrics)
    assert all(stage.reused for stage in again.stages)
    assert (nothing.outcome, nothing.version, nothing.stages) == ("nothing to do", 1, [])
    assert (refused.outcome, refused.version, refused.refused_by) == ("refused", None, ["wordsim353"])
    assert "below the minimum 0.99" in refused.reason
    assert (failed.outcome, failed.version, failed.stages) == ("failed", None, [])
    assert failed.reason.startswith("CorpusError: ")
    assert "bad.csv, line 3" in failed.reason


def test_a_run_that_fails_half_way_keeps_the_stages_it_finished(tmp_path: Path, news_file: Path) -> None:
    workspace = Workspace(tmp_path)
    stage = sample_stage("tokens")

    def interrupted() -> None:
        with recorded_run(workspace, "news"):
            complete_stage(workspace, stage, lambda folder: SampleFacts(rows=7))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    (run,) = read_runs(workspace, "news")
    assert (run.outcome, run.reason) == ("stopped", "KeyboardInterrupt")
    assert [(found.name, found.rows, found.unit) for found in run.stages] == [("tokens", 7, "tokens")]


def test_a_record_that_cannot_be_written_does_not_end_the_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "runs").touch()
    with recorded_run(Workspace(tmp_path), "news"):
        pass
    assert "cannot write the record of this run" in caplog.text


KILLED = """
import os, signal, sys
from flows.runs.record import recorded_run
from storage.layout import Workspace
from storage.runs import registered_run

place = Workspace(__import__("pathlib").Path(sys.argv[1]))
with registered_run(place), recorded_run(place, "news"):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_run_is_distinguished_from_a_running_one(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, tmp_path], env=os.environ, timeout=120, check=False)
    assert killed.returncode == -signal.SIGKILL
    (run,) = read_runs(Workspace(tmp_path), "news")
    assert (run.outcome, run.seconds) == ("killed", None)
    assert "kill -9" in run.reason


def test_the_peak_of_memory_is_that_of_the_process() -> None:
    before = peak_memory_bytes()
    held = bytearray(os.urandom(1 << 20) * 200)
    assert peak_memory_bytes() >= before
    assert peak_memory_bytes() > len(held)


def test_the_command_shows_the_trend(tmp_path: Path) -> None:
    for week in range(4):
        write_run(Workspace(tmp_path), run_row(week, rate=1e6 if week < 3 else 4e5))
    shown = CliRunner().invoke(app, ["runs", "news", "--workspace", str(tmp_path)], env={"COLUMNS": "200"})
    assert shown.exit_code == 0, shown.output
    assert "400,000 (-60%)" in shown.output
    assert "0.5000 (+0.0000)" in shown.output
    assert "60% below the median of earlier runs (1,000,000)" in shown.output
    listed = CliRunner().invoke(app, ["runs", "news", "--json", "--workspace", str(tmp_path)])
    rows = json.loads(listed.stdout)
    assert [row["run"]["version"] for row in rows] == [1, 2, 3, 4]
    assert rows[3]["usual_words_per_second"] == 1e6
    assert rows[3]["metric_changes"] == {"wordsim353": 0.0, "wordsim353_coverage": 0.0}


def test_the_sql_of_the_operations_page_answers(tmp_path: Path) -> None:
    page = (Path(__file__).resolve().parents[3] / "docs/operations.md").read_text(encoding="utf-8")
    for week in range(5):
        write_run(Workspace(tmp_path), run_row(week))
        write_run(Workspace(tmp_path), run_row(week, table="other"))
    queries = [block.split("```")[0] for block in page.split("```sql\n")[1:]]
    asked = [query for query in queries if "workspace/runs/" in query]
    assert len(asked) >= 2
    for query in asked:
        assert duckdb.sql(query.replace("workspace/runs/", f"{tmp_path}/runs/")).fetchall()


def test_a_slow_run_and_the_lowest_metric_are_reported() -> None:
    scores = (0.50, 0.51, 0.49, 0.50, 0.41)
    usual = run_trends([run_row(week, score=score) for week, score in enumerate(scores[:4])])
    assert concerns(usual) == []
    slow = run_trends([run_row(w, score=s, rate=5e5 if w == 4 else 1e6) for w, s in enumerate(scores)])
    assert concerns(slow) == [
        "the last run trained 500,000 words/s, 50% below the median of earlier runs (1,000,000)",
        "wordsim353 is 0.4100, the lowest of 5 runs (previous minimum 0.4900)",
    ]
    assert run_table(slow).row_count == 5
    refused = run_row(5).model_copy(update={"outcome": "refused", "reason": "too low"})
    assert concerns(run_trends([refused])) == ["the last run was refused: too low"]


def fill(workspace: Workspace) -> None:
    """A run that writes until there is no space left."""
    with (
        recorded_run(workspace, "news"),
        disk_errors(workspace.root, kept="releases are untouched"),
        (workspace.root / "huge").open("wb", buffering=0) as huge,
    ):
        while huge.write(bytes(4096)):
            pass


def test_a_run_that_fills_the_disk_is_recorded_as_such(small_disk: Path) -> None:
    workspace = Workspace(small_disk)
    with pytest.raises(WorkspaceError, match="is full"):
        fill(workspace)
    (run,) = read_runs(workspace, "news")
    assert run.outcome == "failed"
    assert "is full" in run.reason
    assert "No space left on device" in run.reason
    assert not list(workspace.run_history.glob("*.tmp")), "nothing half-written"
