"""The benchmark of the model families on a small text, and of items on baskets with known clusters."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks import families
from benchmarks.__main__ import app
from benchmarks.items import CLUSTER_ITEMS, CLUSTERS, MADE, hold_out_last, item_sequences, make_baskets, read_movielens


def test_a_stopped_measurement_resumes_with_the_missing_rows(
    news_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def row(kind: families.Kind, name: str) -> families.PlannedRow:
        return next(one for one in families.planned_rows(news_file) if (one.kind, one.family) == (kind, name))

    glove, popular = row("words", "glove"), row("items", "vecmill skip_gram")
    command = ["families", "--corpus", str(news_file), "--output", str(tmp_path)]
    monkeypatch.setattr(families, "_in_new_process", lambda measure: measure())
    monkeypatch.setattr(families, "planned_rows", lambda _: [glove])
    assert CliRunner().invoke(app, command).exit_code == 0
    first = (tmp_path / "families.json").read_text(encoding="utf-8")
    made = popular._replace(corpus=MADE, measure=lambda: families.measure_items("vecmill skip_gram", MADE))
    monkeypatch.setattr(families, "planned_rows", lambda _: [glove, made])
    assert CliRunner().invoke(app, command).exit_code == 0
    assert (tmp_path / "families.json").read_text(encoding="utf-8").startswith(first.rstrip("]\n"))
    lines = (tmp_path / "families.md").read_text(encoding="utf-8").splitlines()
    assert sum(line.startswith("| glove | 15 | ") for line in lines) == 1
    (items,) = [line.split(" | ") for line in lines if line.startswith(f"| {MADE} | ")]
    # A fifth of the last items are strays, and a cluster has 25 items.
    assert float(items[5]) > 0.4 > 0.05 > float(items[6])


def test_the_last_items_are_held_out_of_training() -> None:
    sequences = item_sequences(MADE)
    baskets = make_baskets()
    assert sum(map(len, sequences.rows)) == sum(len(basket) - 1 for basket in baskets)
    assert len(sequences.counts) <= CLUSTERS * CLUSTER_ITEMS
    flat = np.concatenate(sequences.rows)
    assert np.array_equal(np.bincount(flat), sequences.counts)
    assert all(last not in row for row, last in sequences.tested)
    assert hold_out_last([[1, 2]] * 5 + [[1, 1]]).tested == []


def test_films_are_in_the_order_of_rating(tmp_path: Path) -> None:
    file = tmp_path / "ml-100k.inter"
    file.write_text("user\titem\trating\ttime\n2\t7\t3\t50\n1\t9\t1\t20\n1\t8\t5\t10\n2\t6\t4\t50\n")
    assert read_movielens(file) == [[8, 9], [6, 7]]


def test_an_unknown_family_is_refused() -> None:
    result = CliRunner().invoke(app, ["families", "--row", "elmo"])
    assert result.exit_code == 2
    assert "elmo" in result.output
