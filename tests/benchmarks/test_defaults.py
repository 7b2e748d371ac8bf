"""The search behind the defaults: what it covers, and the page it writes."""

from benchmarks.defaults import BASE, PEER_CANDIDATES, searched, write_page
from benchmarks.ledger import Ledger, Run, this_place
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
        quality={"wordsim353": 0.5, "simlex999": simlex},
    )


def test_the_base_of_the_search_is_vecmills_default() -> None:
    ours, vocabulary = SkipGramConfig(), VocabularyConfig()
    for name in ("model", "dimension", "window_radius", "reduced_windows", "negatives_per_pair", "epochs"):
        assert getattr(BASE, name) == getattr(ours, name)
    assert (BASE.learning_rate, BASE.final_rate_fraction) == (DEFAULT_LEARNING_RATE, ours.final_rate_fraction)
    assert (BASE.min_count, BASE.subsample_threshold) == (vocabulary.min_count, vocabulary.subsample_threshold)
    assert ("vecmill", BASE.model_copy(update={"seed": 3})) in set(searched(3))


def test_every_candidate_trains_the_same_words_once_a_seed() -> None:
    trainings = list(searched(3))
    assert len(trainings) == len(set(trainings))
    assert {settings.epochs for _, settings in trainings} == {5}
    assert {settings.seed for _, settings in trainings} == {1, 2, 3}


def test_the_page_shows_which_candidates_beat_gensims_defaults() -> None:
    peer = BASE.model_copy(update=PEER_CANDIDATES[0])
    runs = [some_run("gensim", peer.model_copy(update={"seed": seed}), 0.2) for seed in (1, 2)]
    runs += [some_run("vecmill", BASE.model_copy(update={"seed": seed}), 0.3) for seed in (1, 2)]
    runs += [some_run("vecmill", BASE.model_copy(update={"window_radius": 3}), 0.1)]
    page = write_page(Ledger(place=this_place(), date="2026-01-01", load_before=0, runs=runs))
    assert "| gensim | gensim's defaults | 2 | 0.500 ± 0.000 | 0.200 ± 0.000 | 0 of 2 |" in page
    assert "| vecmill | **vecmill's defaults** | 2 | 0.500 ± 0.000 | 0.300 ± 0.000 | 1 of 2 |" in page
    assert "| vecmill | window_radius 3 | 1 |" in page
