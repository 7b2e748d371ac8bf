"""fastText's training loop against word2vec in plain NumPy over composed vectors, and what composing promises."""

from contextlib import closing
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from tasks.trainers.backends import train
from tasks.trainers.bookkeeping import first_state
from tasks.trainers.config import CbowConfig, FastTextConfig, SkipGramConfig
from tasks.trainers.cpu.subwords import composed_vectors, segment_tokens, train_fasttext
from tasks.trainers.interface import NGRAM_VECTORS, ArrayTokenSource, DivergenceError, TrainingState
from tasks.trainers.ngrams import ngram_buckets
from tasks.trainers.sampling import alias_table, chunk_key, default_buckets, probability_thresholds
from tests.trainers.corpora import nearest_rows, some_vocabulary, topic_sentences
from tests.trainers.cpu.plain_word2vec import PlainTrainer

WORDS = 40
TOPICS = 4
SENTENCES = topic_sentences(TOPICS, WORDS // TOPICS, sentences=200)
# Words of a topic share a stem.
NAMES = [f"{'abcd'[word % TOPICS] * 3}{word}" for word in range(WORDS)]
CONFIG = FastTextConfig(dimension=17, window_radius=3, epochs=3, workers=1, buckets=64, learning_rate=0.1)
VOCABULARY = replace(some_vocabulary(SENTENCES, WORDS), ngrams=ngram_buckets(NAMES, 3, 6, 64))


def rows_of(word: int) -> NDArray[np.int32]:
    assert VOCABULARY.ngrams is not None
    offsets, buckets = VOCABULARY.ngrams
    return buckets[offsets[word] : offsets[word + 1]]


def composed_of(own: NDArray[np.float64], ngrams: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of each word's own row and the rows of its n-grams, by NumPy."""
    return np.array([np.vstack([own[word], ngrams[rows_of(word)]]).mean(axis=0) for word in range(WORDS)])


def plain_composed(state: TrainingState) -> NDArray[np.float64]:
    return composed_of(state.center_vectors.astype(float), state.optimizer[NGRAM_VECTORS].astype(float))


def noisy_state() -> TrainingState:
    """Rows far from zero, so that every gradient counts."""
    state = first_state(VOCABULARY, CONFIG)
    noise = np.random.default_rng(3)
    for rows in (state.center_vectors, state.context_vectors, state.optimizer[NGRAM_VECTORS]):
        rows[:] = noise.normal(scale=0.4, size=rows.shape)
    return state


def trained(config: FastTextConfig = CONFIG, state: TrainingState | None = None) -> tuple[TrainingState, list[float]]:
    steps = list(train_fasttext(ArrayTokenSource(SENTENCES), VOCABULARY, config, state))
    return steps[-1].state, [step.epoch_result.mean_loss for step in steps if step.epoch_result]


@pytest.mark.parametrize("architecture", ["skip_gram", "cbow"])
def test_a_segment_trains_composed_vectors_and_spreads_their_change(architecture: str) -> None:
    config = CONFIG.model_copy(update={"architecture": architecture, "epochs": 1})
    generator = np.random.default_rng(8)
    # No word twice in a sentence: the second gradient of an input that appears twice sees the first.
    sentences = [generator.permutation(WORDS)[:12].astype(np.int32) for _ in range(30)]
    before = noisy_state()
    state = deepcopy(before)
    steps = list(train_fasttext(ArrayTokenSource(sentences), VOCABULARY, config, state))
    chances, aliases = alias_table(VOCABULARY.noise_probability)
    tables = (probability_thresholds(VOCABULARY.keep_probability), probability_thresholds(chances), aliases)
    family = {"skip_gram": SkipGramConfig, "cbow": CbowConfig}[architecture]
    shared = config.model_dump(exclude={"model", "architecture", "minimum_ngram", "maximum_ngram", "buckets"})
    plain = PlainTrainer(plain_composed(before), before.context_vectors.astype(float), family(**shared), tables)
    own, ngrams = before.center_vectors.astype(float), before.optimizer[NGRAM_VECTORS].astype(float)
    first, tokens = 0, sum(map(len, sentences))
    while first < len(sentences):
        last, start = first, 12 * first
        while last < len(sentences) and 12 * (last - first) < segment_tokens(VOCABULARY):
            last += 1
        composed = composed_of(own, ngrams)
        plain.centers = composed.copy()
        plain.train(
            [words.tolist() for words in sentences[first:last]], int(chunk_key(config.seed, 0, 0)), start, tokens
        )
        for word, change in enumerate(plain.centers - composed):
            own[word] += change
            np.add.at(ngrams, rows_of(word), change)
        first = last
    result = steps[-1].epoch_result
    assert result is not None
    assert result.mean_loss == pytest.approx(plain.loss / plain.pairs, rel=1e-5)
    np.testing.assert_allclose(state.context_vectors, plain.contexts, atol=2e-5)
    np.testing.assert_allclose(state.center_vectors, own, atol=2e-5)
    np.testing.assert_allclose(state.optimizer[NGRAM_VECTORS], ngrams, atol=2e-4)


def test_published_vectors_are_means_of_the_rows() -> None:
    state, _ = trained()
    np.testing.assert_allclose(composed_vectors(VOCABULARY, state), plain_composed(state), atol=1e-6)


@pytest.mark.parametrize("architecture", ["skip_gram", "cbow"])
def test_topics_are_learned_and_the_loss_falls(architecture: str) -> None:
    config = CONFIG.model_copy(update={"architecture": architecture, "epochs": 15})
    state, losses = trained(config)
    assert losses[-1] < 0.75 * losses[0]
    neighbors = nearest_rows(composed_vectors(VOCABULARY, state), 5)
    assert np.mean(neighbors % TOPICS == np.arange(WORDS)[:, None] % TOPICS) > 0.95


def test_long_sentences_are_trained_in_pieces() -> None:
    long = [np.concatenate(SENTENCES).astype(np.int32)]
    config = CONFIG.model_copy(update={"epochs": 1})
    steps = list(train_fasttext(ArrayTokenSource(long), VOCABULARY, config))
    result = steps[-1].epoch_result
    assert result is not None
    # 2,400 tokens in 5 pieces: every token has a window but for what the cuts take.
    assert result.pairs > 0.95 * len(long[0]) * 2 * 2


def test_one_worker_is_reproducible_and_a_stopped_run_resumes_to_the_same_bits() -> None:
    source = ArrayTokenSource(SENTENCES, chunk_tokens=200)
    whole = list(train(source, VOCABULARY, CONFIG))[-1].state
    again = list(train(source, VOCABULARY, CONFIG))[-1].state
    stopped = first_state(VOCABULARY, CONFIG)
    with closing(train(source, VOCABULARY, CONFIG, stopped)) as steps:  # type: ignore[type-var]
        for number, _ in enumerate(steps):
            if number == 5:
                break
    assert stopped.next_chunk > 0
    resumed = list(train(source, VOCABULARY, CONFIG, deepcopy(stopped)))[-1].state
    for other in (again, resumed):
        np.testing.assert_array_equal(whole.center_vectors, other.center_vectors)
        np.testing.assert_array_equal(whole.optimizer[NGRAM_VECTORS], other.optimizer[NGRAM_VECTORS])


def test_several_workers_learn_the_same_topics() -> None:
    state, _ = trained(CONFIG.model_copy(update={"workers": 2, "epochs": 15}))
    neighbors = nearest_rows(composed_vectors(VOCABULARY, state), 5)
    assert np.mean(neighbors % TOPICS == np.arange(WORDS)[:, None] % TOPICS) > 0.95


def test_what_cannot_be_trained_is_an_error() -> None:
    with pytest.raises(ValueError, match="has no n-grams"):
        list(train_fasttext(ArrayTokenSource(SENTENCES), some_vocabulary(SENTENCES, WORDS), CONFIG))
    small = CONFIG.model_copy(update={"buckets": 8})
    with pytest.raises(ValueError, match=r"an n-gram has bucket \d+, and the state has 8"):
        trained(small)
    with pytest.raises(DivergenceError, match=r"lower training\.learning_rate"):
        trained(CONFIG.model_copy(update={"learning_rate": 1e30}))
    with pytest.raises(ValueError, match="there are no n-grams of 5 to 3 characters"):
        FastTextConfig(minimum_ngram=5, maximum_ngram=3)


@pytest.mark.parametrize(("words", "buckets"), [(1, 1024), (30_734, 65_536), (32_768, 65_536), (32_769, 131_072)])
def test_buckets_by_default(words: int, buckets: int) -> None:
    assert default_buckets(words) == buckets
