"""The measurement of queries asks every macro, and holds the times against the targets."""

import json
from pathlib import Path

import numpy as np
from typer.testing import CliRunner

from benchmarks.__main__ import app
from benchmarks.queries import QUERIES


def test_every_query_is_measured_and_held_against_its_target(tmp_path: Path) -> None:
    words = [*QUERIES, "man", "queen", "breakfast", "lunch", "dinner", *(f"word{number}" for number in range(90))]
    vectors = np.random.default_rng(1).normal(size=(len(words), 8))
    lines = (f"{word} {' '.join(map(str, vector))}" for word, vector in zip(words, vectors, strict=True))
    path = tmp_path / "vectors.txt"
    path.write_text("\n".join(lines) + "\n")
    printed = CliRunner().invoke(app, ["queries", "--reference", str(path), "--repeat", "3", "--json"])
    assert printed.exit_code == 0, printed.output
    report = json.loads(printed.stdout)
    assert (report["rows"], report["dimension"]) == (100, 8)
    assert len(report["milliseconds"]) == 11
    assert all(milliseconds > 0 for milliseconds in report["milliseconds"].values())
    assert [target["text"] for target in report["targets"]] == [
        "nearest / bare scan",
        "nearest / gensim most_similar",
        "nearest in Python / NumPy",
        "first 50,000 / all",
        "similarity, ms",
        "join of 10,000 words, ms",
    ]
    assert all(target["reached"] == (target["value"] <= target["limit"]) for target in report["targets"])
    assert "nearest" in CliRunner().invoke(app, ["queries", "--reference", str(path), "--repeat", "3"]).stdout
