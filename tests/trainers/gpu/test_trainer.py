"""The GPU trainer from end to end on a tiny corpus: it learns, resumes, stops, streams, refuses what does not fit."""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tasks.trainers.config import SkipGramConfig
from tasks.trainers.interface import (
    ArrayTokenSource,
    DivergenceError,
    EpochResult,
    TokenChunk,
    TrainingState,
    TrainingStep,
)
from tests.trainers.corpora import nearest_rows, some_vocabulary, topic_sentences
from tests.trainers.gpu.portions import DEVICE, portions

triton_trainer = pytest.importorskip("tasks.trainers.gpu.trainer")
CONFIG = SkipGramConfig(dimension=16, window_radius=3, epochs=3, learning_rate=0.1, seed=4, centers_in_flight=64)
SENTENCES = topic_sentences(topics=4, words_per_topic=5, sentences=120)
WORDS = 20
VOCABULARY = some_vocabulary(SENTENCES, WORDS, threshold=0.2)
# Where it is not about what is learnt: the interpreter needs milliseconds for a tile.
SHORT = CONFIG.model_copy(update={"epochs": 2})
SHORT_SENTENCES = SENTENCES[:40]
# The interpreter adds in a fixed order, a GPU in any.
TOLERANCE = 0.02 if DEVICE.type == "cuda" else 1e-6


@pytest.fixture(autouse=True)
def small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several portions in a tiny corpus."""
    for limit in ("PORTION_TOKENS", "LEAST_PORTION_TOKENS"):
        monkeypatch.setattr(triton_trainer, limit, 150)


def source(config: SkipGramConfig = CONFIG) -> ArrayTokenSource:
    return ArrayTokenSource(SENTENCES if config is CONFIG else SHORT_SENTENCES, 60)


def steps(
    config: SkipGramConfig = CONFIG, state: TrainingState | None = None, every_seconds: float = 60.0
) -> Iterator[TrainingStep]:
    trained: Iterator[TrainingStep] = triton_trainer.train_on_gpu(
        source(config), VOCABULARY, config, state, resumable_every_seconds=every_seconds
    )
    return trained


def run(config: SkipGramConfig = SHORT, state: TrainingState | None = None) -> tuple[TrainingState, list[EpochResult]]:
    done = list(steps(config, state))
    return done[-1].state, [step.epoch_result for step in done if step.epoch_result]


def test_words_of_one_topic_become_neighbors_and_the_loss_falls() -> None:
    done = list(steps())
    state = done[-1].state
    assert np.isfinite(state.center_vectors).all()
    assert np.isfinite(state.context_vectors).all()
    assert (nearest_rows(state.center_vectors, 3) % 4 == (np.arange(WORDS) % 4)[:, None]).mean() > 0.95
    results = [step.epoch_result for step in done if step.epoch_result]
    losses = [result.mean_loss for result in results]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.6 * 6 * np.log(2)
    assert [result.tokens for result in results] == [source().token_count] * 3
    assert [result.learning_rate for result in results] == pytest.approx([0.1 * 2 / 3, 0.1 / 3, 0.1e-4], rel=1e-3)
    assert all(result.seconds > 0 for result in results)
    tokens_done = [step.tokens_done for step in done]
    assert tokens_done == sorted(tokens_done)
    assert tokens_done[-1] == 3 * source().token_count


def test_pairs_and_loss_are_those_of_the_cpu_trainer() -> None:
    numba_trainer = pytest.importorskip("tasks.trainers.cpu.trainer")
    _, results = run(CONFIG)
    on_cpu = [
        step.epoch_result
        for step in numba_trainer.train_skip_gram(source(), VOCABULARY, CONFIG.model_copy(update={"workers": 1}))
        if step.epoch_result
    ]
    for own, other in zip(results, on_cpu, strict=True):
        assert own.pairs == pytest.approx(other.pairs, rel=0.05)
    # The CPU trainer draws noise that is the word to predict again, the GPU as word2vec.c leaves it out: 1 in 20.
    assert results[-1].mean_loss == pytest.approx(on_cpu[-1].mean_loss, rel=0.15)


def test_a_resumed_run_draws_and_ends_alike() -> None:
    whole, whole_results = run()
    copies: list[TrainingState] = []
    for step in steps(SHORT, every_seconds=0):
        if step.resumable:
            copies.append(copy.deepcopy(step.state))
    assert len(copies) > SHORT.epochs
    assert any(state.next_chunk for state in copies)
    for stopped in (copies[0], copies[len(copies) // 2]):
        epoch = stopped.epoch
        resumed, results = run(state=stopped)
        np.testing.assert_allclose(resumed.center_vectors, whole.center_vectors, atol=TOLERANCE)
        assert [result.pairs for result in results] == [result.pairs for result in whole_results[epoch:]]
        losses = [result.mean_loss for result in whole_results[epoch:]]
        assert [result.mean_loss for result in results] == pytest.approx(losses, rel=max(TOLERANCE, 1e-4))


def test_a_closed_run_leaves_a_state_that_can_be_resumed() -> None:
    whole, _ = run()
    running = steps(SHORT)
    state = [next(running) for _ in range(2)][-1].state
    running.close()  # type: ignore[attr-defined]  # a generator, typed as what it yields
    assert 0 < state.next_chunk <= source(SHORT).chunk_count
    assert state.epoch == 0
    assert np.abs(state.context_vectors).max() > 0
    resumed, _ = run(state=state)
    np.testing.assert_allclose(resumed.center_vectors, whole.center_vectors, atol=TOLERANCE)


def test_a_finished_state_trains_no_more() -> None:
    state, _ = run()
    assert list(steps(SHORT, state)) == []


def test_a_corpus_that_does_not_stay_on_the_gpu_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []

    class Counted(ArrayTokenSource):
        def read_chunks(self, first: int = 0, step: int = 1) -> Iterator[TokenChunk]:
            for number, chunk in enumerate(super().read_chunks(first, step), first):
                reads.append(number)
                yield chunk

    def trained(room_bytes: int) -> tuple[Any, int]:
        monkeypatch.setattr(triton_trainer, "_memory_plan", lambda *_: (150, room_bytes))
        reads.clear()
        counted = Counted(SHORT_SENTENCES, 60)
        *_, last = triton_trainer.train_on_gpu(counted, VOCABULARY, SHORT)
        return last.state.center_vectors, len(reads)

    chunks = source(SHORT).chunk_count
    resident, resident_reads = trained(1 << 20)
    half, half_reads = trained(1000)
    streamed, streamed_reads = trained(0)
    assert resident_reads == chunks
    assert chunks < half_reads < 2 * chunks
    assert streamed_reads == 2 * chunks
    np.testing.assert_allclose(streamed, resident, atol=TOLERANCE)
    np.testing.assert_allclose(half, resident, atol=TOLERANCE)


def test_portions_are_whole_chunks_and_hold_every_token() -> None:
    sentences = [np.array(ids, np.int32) for ids in ([3, 0], [], [0], [1, 2, 0], [2])]
    chunks = ArrayTokenSource(sentences, 2)
    assert [len(chunk.token_ids) for chunk in chunks.read_chunks()] == [2, 4, 1]
    cut = portions(chunks, 4, portion_tokens=3)
    assert [portion.tokens.tolist() for portion in cut] == [[-4, 0, -1, -2, 2, 0], [-3]]
    assert [(portion.start, portion.first_chunk, portion.next_chunk) for portion in cut] == [(0, 0, 2), (6, 2, 3)]


@pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered")
def test_an_absurd_rate_is_reported_as_divergence() -> None:
    state = TrainingState(np.full((WORDS, 16), 1e19, np.float32), np.full((WORDS, 16), 1e19, np.float32))
    with pytest.raises(DivergenceError, match=r"epoch 1 of 2 at learning rate 0\.1: .* lower training.learning_rate"):
        run(state=state)


def test_sentences_of_one_word_and_tiny_corpora_train() -> None:
    sentences = [np.array(ids, np.int32) for ids in ([0], [1], [], [0, 1], [1])]
    trained = triton_trainer.train_on_gpu(ArrayTokenSource(sentences, 2), some_vocabulary(sentences, 2), CONFIG)
    results = [step.epoch_result for step in trained if step.epoch_result]
    assert [result.pairs for result in results] == [2, 2, 2]


@pytest.mark.parametrize(("radius", "negatives"), [(50, 5), (5, 25)])
def test_widest_windows_and_most_negatives_train(radius: int, negatives: int) -> None:
    config = CONFIG.model_copy(
        update={"window_radius": radius, "negatives_per_pair": negatives, "epochs": 1, "learning_rate": 0.025}
    )
    sentences = topic_sentences(3, 20, 1, length=40)
    (*_, last) = triton_trainer.train_on_gpu(ArrayTokenSource(sentences), some_vocabulary(sentences, 60), config)
    assert np.isfinite(last.state.center_vectors).all()
    assert 0 < last.epoch_result.mean_loss < (1 + negatives) * np.log(2) * 1.01


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"trains skip_gram, not cbow; set training\.backend numba"):
        run(SHORT.model_copy(update={"model": "cbow"}))
    with pytest.raises(ValueError, match="no token"):
        list(triton_trainer.train_on_gpu(ArrayTokenSource([]), VOCABULARY, CONFIG))
    with pytest.raises(ValueError, match="outside the vocabulary of 20 words"):
        list(triton_trainer.train_on_gpu(ArrayTokenSource([np.array([0, 20], np.int32)]), VOCABULARY, CONFIG))
    with pytest.raises(ValueError, match=r"\(20, 16\)"):
        run(state=TrainingState(np.zeros((WORDS, 8), np.float32), np.zeros((WORDS, 8), np.float32)))
