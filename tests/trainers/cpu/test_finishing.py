"""Skip-gram that CBOW finishes: its epochs are those of a skip-gram and then of a CBOW training."""

import numpy as np
import pytest

from tasks.trainers.backends import resolve_config
from tasks.trainers.bookkeeping import CBOW_RATE_FACTOR
from tasks.trainers.config import CbowConfig, SkipGramConfig
from tasks.trainers.cpu.trainer import train_skip_gram
from tasks.trainers.interface import ArrayTokenSource, TrainingState
from tests.trainers.corpora import run_training, some_vocabulary, topic_sentences

SENTENCES = topic_sentences(topics=5, words_per_topic=12, sentences=400)
VOCABULARY = some_vocabulary(SENTENCES, 60, threshold=0.01)
CONFIG = SkipGramConfig(
    dimension=20, epochs=5, window_radius=3, learning_rate=0.05, workers=1, backend="numba", narrowing_windows=True
)
FINISHED = CONFIG.model_copy(update={"finish_with_cbow": True})


def source() -> ArrayTokenSource:
    return ArrayTokenSource(SENTENCES, 1000)


def state_after(epochs: int, config: SkipGramConfig) -> TrainingState:
    steps = train_skip_gram(source(), VOCABULARY, config)
    return next(s.state for s in steps if s.epoch_result and s.epoch_result.epoch == epochs)


@pytest.mark.parametrize(("epochs", "cbow"), [(1, 0), (2, 0), (3, 1), (4, 1), (5, 2), (10, 4)])
def test_two_fifths_of_the_epochs_are_cbow(epochs: int, cbow: int) -> None:
    config = SkipGramConfig(epochs=epochs, finish_with_cbow=True)
    averaged = [config.averages_inputs_in(epoch) for epoch in range(epochs)]
    assert averaged == [False] * (epochs - cbow) + [True] * cbow
    alone = SkipGramConfig(epochs=epochs, finish_with_cbow=False)
    assert not any(map(alone.averages_inputs_in, range(epochs)))


def test_the_epochs_are_those_of_skip_gram_and_then_of_cbow() -> None:
    state, results = run_training(source(), VOCABULARY, FINISHED)
    skip_gram = state_after(3, CONFIG)
    own = {"centers_in_flight", "finish_with_cbow", "model"}
    rate = CBOW_RATE_FACTOR * 0.05
    # The same two thresholds and radii: those of the last two epochs.
    cbow = CbowConfig(**CONFIG.model_dump(exclude=own) | {"learning_rate": rate, "narrowing_windows": False})
    alone = TrainingState(skip_gram.center_vectors.copy(), skip_gram.context_vectors.copy(), epoch=3)
    *_, last = train_skip_gram(source(), VOCABULARY, cbow, alone)
    np.testing.assert_array_equal(state.center_vectors, last.state.center_vectors)
    np.testing.assert_array_equal(state.context_vectors, last.state.context_vectors)
    assert [result.learning_rate for result in results] == pytest.approx([0.04, 0.03, 0.02, 0.08, 0], abs=1e-4)
    # One prediction for each window.
    assert results[3].pairs < results[2].pairs / 2


@pytest.mark.parametrize("workers", [2, 5])
def test_all_windows_are_trained_whatever_the_workers(workers: int) -> None:
    _, results = run_training(source(), VOCABULARY, FINISHED.model_copy(update={"workers": workers}))
    _, one_worker = run_training(source(), VOCABULARY, FINISHED)
    assert [result.pairs for result in results] == [result.pairs for result in one_worker]


@pytest.mark.parametrize(
    ("changes", "finished"),
    [({"backend": "numba"}, True), ({"backend": "numba", "processes": 2}, True), ({"backend": "torch"}, False)],
)
def test_numba_finishes_with_cbow_by_default(changes: dict[str, object], finished: bool) -> None:
    resolved = resolve_config(SkipGramConfig.model_validate(changes))
    assert isinstance(resolved, SkipGramConfig)
    assert resolved.finish_with_cbow is finished


def test_torch_does_not_and_says_so() -> None:
    with pytest.raises(
        ValueError, match=r"only numba finishes skip-gram with CBOW; set training\.finish_with_cbow=false"
    ):
        resolve_config(SkipGramConfig(backend="torch", finish_with_cbow=True))
