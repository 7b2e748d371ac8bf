"""Honest and shuffled runs of a deployment are measured side by side."""

import json
from pathlib import Path

from typer.testing import CliRunner

from benchmarks.__main__ import app
from tasks.metrics.gates import Gate

SETTINGS = ("training.dimension=8", "training.epochs=1", "training.workers=1", "evaluation.reference=none")


def test_honest_and_shuffled_runs_are_set_side_by_side(news_file: Path, tmp_path: Path) -> None:
    assignments = [f"corpus.path={news_file}", "publication.gates.wordsim353.minimum=0.25", *SETTINGS]
    options = [word for assignment in assignments for word in ("--set", assignment)]
    command = ["gates", "--deployment", "adhoc", "--seeds", "2", "--workspace", str(tmp_path / "space"), *options]
    printed = CliRunner().invoke(app, [*command, "--json"])
    assert printed.exit_code == 0, printed.output
    report = json.loads(printed.stdout.splitlines()[-1])
    assert report["gates"] == {"wordsim353": Gate(minimum=0.25).model_dump()}
    assert {(spread["kind"], spread["metric"]) for spread in report["spreads"]} >= {
        ("honest", "wordsim353"),
        ("shuffled", "simlex999"),
    }
    assert all(spread["lowest"] <= spread["mean"] <= spread["highest"] for spread in report["spreads"])
    again = CliRunner().invoke(app, command)  # every run is found again
    assert "0.25" in again.stdout
