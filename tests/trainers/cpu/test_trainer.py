"""The Hogwild trainer: reproducible, resumable, stoppable, complete, and a teacher of the right neighbors."""

import copy
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any, cast

import numpy as np
import pytest

from tasks.trainers.config import SkipGramConfig
from tasks.trainers.cpu import trainer as numba_trainer
from tasks.trainers.cpu.trainer import copied_rows, train_skip_gram
from tasks.trainers.interface import (
    ArrayTokenSource,
    DivergenceError,
    TokenChunk,
    TokenRun,
    TrainingState,
    TrainingStep,
    Vocabulary,
)
from tests.trainers.corpora import nearest_rows, run_training, some_vocabulary, topic_sentences

CONFIG = SkipGramConfig(
    dimension=20,
    window_radius=3,
    epochs=3,
    learning_rate=0.05,
    workers=1,
    backend="numba",
    seed=4,
    narrowing_windows=True,
    finish_with_cbow=True,
)
SENTENCES = topic_sentences(topics=5, words_per_topic=12, sentences=2000)
WORDS = 60
VOCABULARY = some_vocabulary(SENTENCES, WORDS, threshold=0.01)


def source(chunk_tokens: int = 3000) -> ArrayTokenSource:
    return ArrayTokenSource(SENTENCES, chunk_tokens)


def assert_same_bits(first: TrainingState, second: TrainingState) -> None:
    np.testing.assert_array_equal(first.center_vectors, second.center_vectors)
    np.testing.assert_array_equal(first.context_vectors, second.context_vectors)


def test_words_of_one_topic_become_neighbors_and_the_loss_falls() -> None:
    state, results = run_training(source(), VOCABULARY, CONFIG)
    neighbors = nearest_rows(state.center_vectors, 5)
    assert (neighbors % 5 == (np.arange(WORDS) % 5)[:, None]).mean() > 0.95
    losses = [result.mean_loss for result in results]
    assert losses == sorted(losses, reverse=True)
    # Untrained vectors score log 2 for each of the six outputs.
    assert losses[-1] < 0.9 * 6 * np.log(2)


def test_one_worker_and_a_seed_yield_the_same_bits() -> None:
    first, results = run_training(source(), VOCABULARY, CONFIG)
    again, same_results = run_training(source(), VOCABULARY, CONFIG)
    other, _ = run_training(source(), VOCABULARY, CONFIG.model_copy(update={"seed": 5}))
    assert_same_bits(first, again)
    assert [result.mean_loss for result in results] == [result.mean_loss for result in same_results]
    assert (first.center_vectors != other.center_vectors).any()


def test_a_resumed_run_ends_with_the_same_bits() -> None:
    whole, whole_results = run_training(source(), VOCABULARY, CONFIG)
    copies: list[TrainingState] = []
    for step in train_skip_gram(source(), VOCABULARY, CONFIG, resumable_every_seconds=0.001):
        if step.resumable:
            copies.append(copy.deepcopy(step.state))
    assert len(copies) > CONFIG.epochs
    for stopped in (copies[0], copies[len(copies) // 2], copies[-2]):
        epoch = stopped.epoch
        # A checkpoint holds plain (V, D) arrays.
        stopped.center_vectors = stopped.center_vectors.copy()
        resumed, results = run_training(source(), VOCABULARY, CONFIG, stopped)
        assert_same_bits(resumed, whole)
        assert [result.mean_loss for result in results] == pytest.approx(
            [result.mean_loss for result in whole_results[epoch:]], rel=1e-12
        )


def test_several_workers_train_frequent_words_in_copies() -> None:
    counts = np.arange(1000, 0, -1)
    vocabulary = Vocabulary(counts, np.ones(1000), counts / counts.sum())
    of = {workers: copied_rows(vocabulary, CONFIG.model_copy(update={"workers": workers})) for workers in (1, 2, 8, 64)}
    assert of[1] == (0, 0)
    # A window uses the first word's row six times out of counts.sum() / 1000 windows.
    assert of[2][1] == int(200 / 2 / (6 * 1000 / counts.sum()))
    assert of[2][1] > of[8][1] > of[64][1] >= 1
    assert 1000 >= of[2][0] > of[8][0] >= of[64][0]


def test_copies_do_not_change_the_quality() -> None:
    for workers in (2, 5):
        state, results = run_training(source(), VOCABULARY, CONFIG.model_copy(update={"workers": workers}))
        neighbors = nearest_rows(state.center_vectors, 5)
        assert state.center_vectors.shape == (WORDS, CONFIG.dimension)
        assert (neighbors % 5 == (np.arange(WORDS) % 5)[:, None]).mean() > 0.95
        assert results[-1].mean_loss < 0.9 * 6 * np.log(2)


class Cancelled(BaseException):
    """As Prefect's signal that a run is cancelled: not an Exception."""


@pytest.mark.parametrize("signal", [GeneratorExit, KeyboardInterrupt, Cancelled])
@pytest.mark.parametrize("workers", [1, 3])
def test_a_stopped_run_leaves_a_state_that_can_be_resumed(signal: type[BaseException], workers: int) -> None:
    config = CONFIG.model_copy(update={"workers": workers})
    steps = cast(Generator[TrainingStep], train_skip_gram(source(500), VOCABULARY, config))
    state = [next(steps) for _ in range(4)][-1].state
    with pytest.raises(signal):
        steps.throw(signal)
    assert 4 <= state.next_chunk < source(500).chunk_count
    assert state.seconds > 0
    resumed, results = run_training(source(500), VOCABULARY, config, state)
    whole, whole_results = run_training(source(500), VOCABULARY, config)
    assert [result.pairs for result in results] == [result.pairs for result in whole_results]
    if workers == 1:
        assert_same_bits(resumed, whole)


def test_a_chunk_counts_once_if_a_signal_comes_while_it_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, whole_results = run_training(source(), VOCABULARY, CONFIG)
    counted: list[float] = []

    def interrupted(workers: numba_trainer.Workers[TokenRun]) -> None:
        counted.append(time.perf_counter())
        if len(counted) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(numba_trainer.Workers, "_count_seconds", interrupted)
    steps = train_skip_gram(source(), VOCABULARY, CONFIG)
    state = next(steps).state
    with pytest.raises(KeyboardInterrupt):
        list(steps)
    monkeypatch.undo()
    resumed, results = run_training(source(), VOCABULARY, CONFIG, state)
    assert_same_bits(resumed, whole)
    assert [result.pairs for result in results] == [result.pairs for result in whole_results]


def test_a_finished_state_trains_no_more() -> None:
    state, _ = run_training(source(), VOCABULARY, CONFIG)
    assert list(train_skip_gram(source(), VOCABULARY, CONFIG, state)) == []


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_every_token_is_trained_whatever_the_workers(workers: int) -> None:
    alone = CONFIG.model_copy(update={"finish_with_cbow": False})
    config = alone.model_copy(update={"workers": workers})
    steps = list(train_skip_gram(source(500), VOCABULARY, config, resumable_every_seconds=0.001))
    tokens = source().token_count
    assert steps[-1].tokens_done == CONFIG.epochs * tokens
    assert [step.tokens_done for step in steps] == sorted(step.tokens_done for step in steps)
    results = [step.epoch_result for step in steps if step.epoch_result]
    assert [result.epoch for result in results] == [1, 2, 3]
    assert [result.tokens for result in results] == [tokens] * 3
    one_worker = run_training(source(500), VOCABULARY, alone)[1]
    # The draws do not depend on the schedule, so neither does the number of pairs; the loss hardly does.
    assert [result.pairs for result in results] == [result.pairs for result in one_worker]
    assert results[-1].mean_loss == pytest.approx(one_worker[-1].mean_loss, rel=0.02)


@pytest.mark.parametrize(("fraction", "rates"), [(0, [0.04, 0.02, 0]), (0.25, [0.045, 0.03, 0.015]), (1, [0.06] * 3)])
def test_the_learning_rate_falls_linearly_to_a_part_of_it(fraction: float, rates: list[float]) -> None:
    changes = {"learning_rate": 0.06, "final_rate_fraction": fraction, "finish_with_cbow": False}
    config = CONFIG.model_copy(update=changes)
    _, results = run_training(source(), VOCABULARY, config)
    assert [result.learning_rate for result in results] == pytest.approx(rates)


def test_closing_stops_the_threads() -> None:
    config = CONFIG.model_copy(update={"workers": 2, "epochs": 1000})
    with closing(train_skip_gram(source(), VOCABULARY, config)) as steps:  # type: ignore[type-var]
        next(steps)
        assert any(thread.name.startswith("skip-gram") for thread in threading.enumerate())
    assert not any(thread.name.startswith("skip-gram") for thread in threading.enumerate())


def test_an_absurd_rate_is_reported_as_divergence() -> None:
    state = TrainingState(np.full((WORDS, 20), 1e19, np.float32), np.full((WORDS, 20), 1e19, np.float32))
    with pytest.raises(DivergenceError, match=r"epoch 1 of 3 at learning rate 0\.05: .* lower training.learning_rate"):
        run_training(source(), VOCABULARY, CONFIG, state)


@pytest.mark.parametrize("dimension", [8, 100, 1000])
def test_sentences_of_one_word_and_tiny_corpora_train(dimension: int) -> None:
    sentences = [np.array(ids, np.int32) for ids in ([0], [1], [], [0, 1], [1])]
    config = CONFIG.model_copy(update={"dimension": dimension})
    state, results = run_training(ArrayTokenSource(sentences, 2), some_vocabulary(sentences, 2), config)
    assert results[0].pairs == 2
    assert np.isfinite(state.center_vectors).all()


def test_a_sentence_may_be_longer_than_a_chunk() -> None:
    sentences = [np.tile(np.arange(10, dtype=np.int32), 5000)]
    config = CONFIG.model_copy(update={"narrowing_windows": False, "finish_with_cbow": False})
    _, results = run_training(ArrayTokenSource(sentences, 100), some_vocabulary(sentences, 10), config)
    # All but the ends have a mean of 4 neighbors.
    assert results[0].pairs == pytest.approx(4 * 50_000, rel=0.01)


def test_largest_settings_train() -> None:
    config = CONFIG.model_copy(update={"window_radius": 50, "negatives_per_pair": 25, "dimension": 64})
    sentences = topic_sentences(3, 20, 20, length=300)
    _, results = run_training(ArrayTokenSource(sentences), some_vocabulary(sentences, 60), config)
    assert np.isfinite(results[0].mean_loss)
    assert results[0].mean_loss <= 26 * np.log(2) * 1.01


def test_an_empty_corpus_is_refused() -> None:
    with pytest.raises(ValueError, match="no token"):
        run_training(ArrayTokenSource([]), VOCABULARY, CONFIG)


def test_an_empty_vocabulary_is_refused() -> None:
    nothing = Vocabulary(np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
    with pytest.raises(ValueError, match="vocabulary is empty"):
        run_training(source(), nothing, CONFIG)


def test_a_token_outside_the_vocabulary_is_refused() -> None:
    with pytest.raises(ValueError, match="outside the vocabulary of 60 words"):
        run_training(ArrayTokenSource([np.array([0, 60], np.int32)]), VOCABULARY, CONFIG)


def test_a_state_of_another_shape_is_refused() -> None:
    state = TrainingState(np.zeros((WORDS, 8), np.float32), np.zeros((WORDS, 8), np.float32))
    with pytest.raises(ValueError, match=r"\(60, 20\)"):
        run_training(source(), VOCABULARY, CONFIG, state)


def test_offsets_that_do_not_cover_the_tokens_are_refused() -> None:
    class Broken(ArrayTokenSource):
        def read_chunks(self, first: int = 0, step: int = 1) -> Iterator[TokenChunk]:
            yield TokenChunk(np.zeros(3, np.int32), np.array([0, 2], np.int64), 0)

    with pytest.raises(ValueError, match="do not cover its tokens"):
        run_training(Broken(SENTENCES, 10**9), VOCABULARY, CONFIG)


def test_an_error_while_reading_reaches_the_driver() -> None:
    class Failing(ArrayTokenSource):
        def read_chunks(self, first: int = 0, step: int = 1) -> Iterator[Any]:
            yield from list(super().read_chunks(first, step))[:2]
            raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        run_training(Failing(SENTENCES, 3000), VOCABULARY, CONFIG)
