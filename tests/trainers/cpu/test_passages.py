"""The vectors of passages equal dense matrices in double precision, whatever the threads and the chunks."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tasks.trainers.cpu.passages import FREQUENT_COUNT, LENGTH_EXPONENT, PASSAGE_TOKENS, passage_vectors
from tasks.trainers.interface import ArrayTokenSource
from tests.trainers.corpora import topic_sentences

WORDS, DIMENSION = 60, 12
# One of the documents is cut into three passages. The last six words never occur.
LONG = np.concatenate(topic_sentences(topics=6, words_per_topic=9, sentences=300))[: 2 * PASSAGE_TOKENS + 7]
SENTENCES = [*topic_sentences(topics=6, words_per_topic=9, sentences=200), LONG]
SOURCE = ArrayTokenSource(SENTENCES)
COUNTS = np.bincount(np.concatenate(SENTENCES), minlength=WORDS)
VECTORS = np.random.default_rng(1).standard_normal((WORDS, DIMENSION)).astype(np.float32)


def passages() -> list[NDArray[np.int32]]:
    """Of all documents: the long one has three, whose lengths differ by at most a token."""
    third = len(LONG) / 3
    return [*SENTENCES[:-1], *(LONG[int(third * part) : int(third * (part + 1))] for part in range(3))]


def dense_pmi() -> NDArray[np.float64]:
    """The whole matrix, by the definition: each word counts once in a passage, which all its tokens fill."""
    pmi = np.zeros((WORDS, len(passages())))
    for column, passage in enumerate(passages()):
        for word in set(passage.tolist()):
            chance = COUNTS[word] / COUNTS.sum() * len(passage)
            pmi[word, column] = max(0.0, np.log(1 / chance))
    return pmi


def products(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    """The products of all rows, which do not depend on a rotation."""
    exact = vectors.astype(np.float64)
    return exact @ exact.T


def test_the_product_is_that_of_the_dense_matrix() -> None:
    matrix = dense_pmi()
    units = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
    expected = np.linalg.qr(matrix @ matrix.T @ units)[0]
    lengths = np.linalg.norm(expected, axis=1)
    relative = lengths / np.sqrt(np.mean(lengths**2))
    wanted = relative**LENGTH_EXPONENT * np.sqrt(FREQUENT_COUNT / (FREQUENT_COUNT + COUNTS))
    expected *= np.divide(wanted, lengths, out=np.zeros(WORDS), where=lengths > 1e-12)[:, None]
    found = passage_vectors(SOURCE, COUNTS, VECTORS)
    np.testing.assert_allclose(products(found), products(expected), atol=5e-4)
    np.testing.assert_array_equal(found.any(axis=1), matrix.any(axis=1))
    assert len(np.flatnonzero(found.any(axis=1))) > DIMENSION


@pytest.mark.parametrize(("workers", "size"), [(2, 1 << 17), (3, 1), (1, 2000)])
def test_neither_threads_nor_chunks_change_a_bit(workers: int, size: int) -> None:
    other = passage_vectors(ArrayTokenSource(SENTENCES, size), COUNTS, VECTORS, workers)
    np.testing.assert_array_equal(other, passage_vectors(SOURCE, COUNTS, VECTORS))


def test_words_of_every_passage_and_words_without_vectors_are_zeros() -> None:
    everywhere = [np.array([0, word, 0, word], np.int32) for word in range(1, WORDS)]
    counts = np.bincount(np.concatenate(everywhere), minlength=WORDS)
    vectors = VECTORS.copy()
    vectors[7] = 0
    found = passage_vectors(ArrayTokenSource(everywhere), counts, vectors)
    assert not found[[0, 7]].any()
    assert np.isfinite(found).all()


def test_an_empty_text_has_zeros() -> None:
    assert not passage_vectors(ArrayTokenSource([]), np.zeros(WORDS, np.int64), VECTORS).any()


def test_a_word_outside_the_vocabulary_is_refused() -> None:
    with pytest.raises(ValueError, match="outside the vocabulary of 10 words"):
        passage_vectors(SOURCE, COUNTS[:10], VECTORS[:10])
