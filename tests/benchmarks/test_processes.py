"""Training over processes compared with one: the tables by hand, and a real run."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.__main__ import app
from benchmarks.processes import Exchange, ProcessRun, real_runs, write_page


def run(processes: int, exchange: Exchange | None, seed: int, speed: float, simlex: float) -> ProcessRun:
    return ProcessRun(
        corpus="reviews", processes=processes, exchange=exchange, seed=seed, words=9, dimension=8, tokens=100,
        words_per_second=speed, bytes_per_word=None if processes == 1 else 20.0 + seed,
        scores={"simlex999": simlex},
    )  # fmt: skip


RUNS = [
    run(1, None, 1, 1000, 0.25), run(2, "rows", 1, 1500, 0.24), run(2, "tables", 1, 1800, 0.2),
    run(1, None, 2, 900, 0.23), run(2, "rows", 2, 1600, 0.25), run(2, "tables", 2, 1700, 0.2),
    # Not measured without exchanges.
    run(4, "rows", 2, 9000, 0.25),
]  # fmt: skip


def test_the_fastest_runs_are_compared_and_the_scores_of_equal_seeds() -> None:
    (real,) = real_runs(RUNS)
    assert (real.run.seed, real.apart, real.one_process, real.speed_up) == (2, 1800, 1000, 1.6)
    lines = write_page(RUNS).splitlines()
    assert "| reviews | 1 |  | 1, 2 | 1,000 |  |  | 0.2400 |  |  |" in lines
    assert "| reviews | 2 | rows | 1, 2 | 1,600 (1.60) | 21.5 |  | 0.2450 (+0.0050) |  |  |" in lines
    assert "| reviews | 2 | tables | 1, 2 | 1,800 (1.80) | 21.5 |  | 0.2000 (-0.0400) |  |  |" in lines
    assert "| reviews | 4 | rows | 2 | 9,000 (9.00) | 22.0 |  | 0.2500 (+0.0200) |  |  |" in lines


def test_a_list_of_numbers_is_expected(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["processes", "--counts", "1..4", "--output", str(tmp_path)])
    assert done.exit_code == 2


@pytest.mark.long
def test_real_processes_are_measured(news_file: Path, tmp_path: Path) -> None:
    settings = (f"corpus.path={news_file}", "corpus.source=files", "training.epochs=2", "training.dimension=16")
    options = [part for setting in settings for part in ("--set", setting)]
    for counts in ("1,2", "2"):
        arguments = ["processes", "--counts", counts, "--seeds", "1", "--corpus", "news", "--output", str(tmp_path)]
        done = CliRunner().invoke(app, [*arguments, *options])
        assert done.exit_code == 0, done.output
    found = [ProcessRun.model_validate(run) for run in json.loads((tmp_path / "processes.json").read_text())]
    assert {run.key[1:3] for run in found} == {(1, None), (2, "rows"), (2, "tables")}
    assert len(found) == 3
    assert all(run.bytes_per_word for run in found if run.processes == 2)
    assert "| news | 2 | rows | 1 | " in (tmp_path / "processes.md").read_text()
