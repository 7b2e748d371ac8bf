"""Honest and shuffled runs of a deployment are measured side by side."""

import json
from pathlib import Path

import numpy as np
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


def test_sequences_are_shuffled_as_sequences(tmp_path: Path) -> None:
    baskets = tmp_path / "baskets.csv"
    random = np.random.default_rng(1)
    rows = [f"{basket},{basket % 4}:{item}" for basket in range(400) for item in random.choice(20, 6, replace=False)]
    baskets.write_text("\n".join(["basket,item", *rows]), encoding="utf-8")
    columns = ("corpus.text_column=item", "corpus.group_column=basket", "training.workers=1")
    options = [word for assignment in (f"corpus.path={baskets}", *columns) for word in ("--set", assignment)]
    command = ["gates", "--deployment", "items", "--seeds", "1", "--workspace", str(tmp_path / "space"), "--json"]
    printed = CliRunner().invoke(app, [*command, *options])
    assert printed.exit_code == 0, printed.output
    spreads = json.loads(printed.stdout.splitlines()[-1])["spreads"]
    rates = {spread["kind"]: spread["mean"] for spread in spreads if spread["metric"] == "hit_rate_at_10"}
    assert rates["honest"] > 2 * rates["shuffled"]
