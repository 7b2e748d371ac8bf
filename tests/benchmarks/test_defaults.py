"""The search behind the defaults: what it covers, and the page it writes."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from gensim.test.utils import datapath

from benchmarks import defaults
from benchmarks.corpora import load_corpus
from benchmarks.defaults import BASE, PEER_CANDIDATES, run_all, searched, write_page
from benchmarks.ledger import Ledger, Run, this_place
from benchmarks.texts import Text
from benchmarks.trainers import BenchmarkSettings
from tasks.text.vocabulary import VocabularyConfig
from tasks.trainers.bookkeeping import DEFAULT_LEARNING_RATE
from tasks.trainers.config import SkipGramConfig


def some_run(trainer: str, settings: BenchmarkSettings, simlex: float) -> Run:
    return Run(
        part="comparison",
        corpus="text",
        tokens=100,
        trainer=trainer,
        settings=settings,
        seconds=1.0,
        words_per_second=500.0,
        quality={"men_odd": simlex / 2, "wordsim353": 0.5, "simlex999": simlex},
    )


def test_the_base_of_the_search_is_vecmills_default() -> None:
    ours, vocabulary = SkipGramConfig(), VocabularyConfig()
    for name in ("model", "dimension", "window_radius", "reduced_windows", "negatives_per_pair", "epochs"):
        assert getattr(BASE, name) == getattr(ours, name)
    assert (BASE.learning_rate, BASE.final_rate_fraction) == (DEFAULT_LEARNING_RATE, ours.final_rate_fraction)
    assert BASE.early_threshold_fraction == ours.early_threshold_fraction
    assert (BASE.min_count, BASE.subsample_threshold) == (vocabulary.min_count, vocabulary.subsample_threshold)
    assert ("vecmill", BASE.model_copy(update={"seed": 3})) in set(searched(3))


def test_every_candidate_trains_the_same_words_once_a_seed() -> None:
    trainings = list(searched(3))
    assert len(trainings) == len(set(trainings))
    assert {settings.epochs for _, settings in trainings} == {5}
    assert {settings.seed for _, settings in trainings} == {1, 2, 3}


def test_the_page_ranks_by_the_searched_scores_against_the_defaults_of_the_same_seeds() -> None:
    peer = BASE.model_copy(update=PEER_CANDIDATES[0])
    runs = [some_run("gensim", peer.model_copy(update={"seed": seed}), 0.2) for seed in (1, 2)]
    runs += [some_run("vecmill", BASE.model_copy(update={"seed": seed}), 0.1 + 0.1 * seed) for seed in (1, 2)]
    runs += [some_run("vecmill", BASE.model_copy(update={"window_radius": 3}), 0.1)]
    page = write_page(Ledger(place=this_place(), date="2026-01-01", load_before=0, runs=runs))
    assert "| gensim | gensim's defaults | 2 | 0.100 ± 0.000 | -0.025 | 0.500 ± 0.000 | 0.200 ± 0.000 |" in page
    assert "| vecmill | **vecmill's defaults** | 2 | 0.125 ± 0.035 | +0.000 | 0.500 ± 0.000 | 0.250 ± 0.071 |" in page
    assert "| vecmill | window_radius 3 | 1 | 0.050 ± 0.000 | -0.050 |" in page


@pytest.mark.long
def test_a_stopped_search_goes_on_and_finds_every_candidate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [Text("lee", None, partial(load_corpus, Path(datapath("lee_background.cor"))))]
    small = BASE.model_copy(update={"dimension": 8, "epochs": 2, "workers": 1})
    monkeypatch.setattr(defaults, "BASE", small)
    changes: tuple[dict[str, Any], ...] = (
        {},
        {"epoch_radii": (4, 2)},
        {"epoch_thresholds": (1e-4, 1e-3)},
        {"epoch_rates": (0.05, 0.04, 0.01)},
        {"shuffled": True},
    )
    monkeypatch.setattr(defaults, "CANDIDATES", changes)
    ledger = Ledger(place=this_place(), date="2026-01-01", load_before=0, runs=[])
    assert not run_all(ledger, texts, 1, 0.0, tmp_path / "partial.json")
    assert run_all(ledger, texts, 1, None, tmp_path / "partial.json")
    assert [run.trainer for run in ledger.runs] == ["vecmill"] * 5 + ["gensim"] * 2
    assert len({tuple(run.quality.values()) for run in ledger.runs}) == len(ledger.runs)
    assert ledger == Ledger.model_validate_json((tmp_path / "partial.json").read_text("utf-8"))
