"""The report on training: planned, measured, resumed after a stop, and written for people and programs."""

import json
from pathlib import Path

import pytest
from gensim.test.utils import datapath

from benchmarks.ledger import Ledger, Run, measure, open_ledger, this_place
from benchmarks.trainers import BenchmarkSettings
from benchmarks.training_plan import Comparison, Plan, full_plan, planned_runs, worker_counts
from benchmarks.training_report import write_report
from benchmarks.training_summary import summarise

NEWS = Path(datapath("lee_background.cor"))
BASE = BenchmarkSettings(dimension=16, workers=1)
TINY = Plan([Comparison(NEWS, 2, ("vecmill", "gensim"))], {"dimension": (16, 24), "workers": (1, 2)}, 2, BASE)


def some_run(trainer: str, seed: int, words_per_second: float, simlex: float = 0.25) -> Run:
    return Run(
        part="comparison",
        corpus="text",
        tokens=100,
        trainer=trainer,
        settings=BASE.model_copy(update={"seed": seed}),
        seconds=1.0,
        words_per_second=words_per_second,
        quality={"simlex999": simlex},
    )


def test_worker_counts_double_up_to_all_cores() -> None:
    assert worker_counts(1) == [1]
    assert worker_counts(2) == [1, 2]
    assert worker_counts(6) == [1, 2, 4, 6]
    assert worker_counts(16) == [1, 2, 4, 8, 16]


def test_settings_that_sweeps_share_are_measured_once_a_turn() -> None:
    planned = list(planned_runs(TINY))
    assert len(planned) == len(set(planned)) == 2 * (3 * 2 + 2)
    trainers = [run.trainer for run in planned]
    assert trainers == ["vecmill", "gensim"] * 8
    every = [run.settings for run in planned_runs(full_plan(3))]
    assert {settings.dimension for settings in every} == {32, 64, 100, 128, 200, 300, 512}
    assert {settings.negatives_per_pair for settings in every} == {2, 5, 10, 20}
    assert {settings.window_radius for settings in every} == {2, 5, 10}


def test_ratios_are_those_of_paired_runs() -> None:
    speeds = {"vecmill": (10.0, 30.0, 20.0), "gensim": (5.0, 5.0, 2.0)}
    runs = [some_run(name, seed, speed) for name, own in speeds.items() for seed, speed in enumerate(own, 1)]
    runs.append(some_run("fasttext", 2, 3.0))
    (comparison,) = summarise(Plan([], {}, 3, BASE), runs).comparisons
    assert comparison.of("vecmill").words_per_second == 20
    assert comparison.of("gensim").ratios == [2, 6, 10]
    assert comparison.of("gensim").ratio == 6
    assert comparison.of("fasttext").ratios == [10]
    assert comparison.of("vecmill").ratio is None


def test_quality_is_a_mean_with_its_deviation() -> None:
    runs = [some_run("vecmill", seed, 1, simlex) for seed, simlex in enumerate((0.2, 0.3, 0.4))]
    (comparison,) = summarise(Plan([], {}, 3, BASE), runs).comparisons
    score = comparison.of("vecmill").quality["simlex999"]
    assert score.mean == pytest.approx(0.3)
    assert score.deviation == pytest.approx(0.1)


def test_a_report_is_written_and_a_stopped_one_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def counted(*arguments: object) -> Run:
        if len(made) == 5:
            made.append("stopped")
            raise KeyboardInterrupt
        made.append(str(arguments[2]))
        return measure(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("benchmarks.training_report.measure", counted)
    with pytest.raises(KeyboardInterrupt):
        write_report(TINY, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["training.partial.json"]
    written = write_report(TINY, tmp_path)
    assert len(made) == len(list(planned_runs(TINY))) + 1
    assert {path.name for path in written} == {path.name for path in tmp_path.iterdir()}
    report = json.loads((tmp_path / "training.json").read_text(encoding="utf-8"))
    assert len(report["runs"]) == 16
    assert report["place"]["versions"].keys() >= {"numba", "gensim"}
    assert list(report["summary"]["sweeps"]["workers"]) == ["1", "2"]
    page = (tmp_path / "training.md").read_text(encoding="utf-8")
    assert "| gensim | 2 |" in page
    assert "text, 4 epochs of vecmill and 1 epoch of gensim, all other" in page.replace(NEWS.name, "text")
    assert "| dimension | vecmill words/s | vecmill M word-dimensions/s | gensim words/s | ratio |" in page
    speed = report["summary"]["sweeps"]["dimension"]["24"]["trainers"][0]["words_per_second"]
    assert f"| 24 | {speed:,.0f} | {24 * speed / 1e6:,.0f} |" in page
    assert "](training.png)" in page


def test_runs_of_another_machine_or_version_are_not_mixed_in(tmp_path: Path) -> None:
    here = this_place()
    elsewhere = here.model_copy(update={"processor": "another"})
    path = tmp_path / "partial.json"
    Ledger(place=here, date="2026-01-01", load_before=0, runs=[some_run("vecmill", 1, 1)]).save(path)
    assert len(open_ledger(path, here, "2026-01-02").runs) == 1
    assert open_ledger(path, here, "2026-01-02").date == "2026-01-01"
    assert not open_ledger(path, elsewhere, "2026-01-02").runs
