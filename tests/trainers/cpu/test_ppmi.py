"""The vectors of PPMI equal dense matrices in double precision, whatever the threads and the chunks."""

import numpy as np
import pytest
import scipy.linalg
from numpy.typing import NDArray

from tasks.trainers.cpu import ppmi
from tasks.trainers.cpu.cooccurrences import count_in_memory
from tasks.trainers.cpu.ppmi import ppmi_vectors
from tasks.trainers.interface import ArrayPairSource, ArrayTokenSource
from tests.trainers.corpora import topic_sentences

WORDS, DIMENSION, RADIUS = 60, 12, 3
SENTENCES = topic_sentences(topics=6, words_per_topic=9, sentences=300)
# The last six words never occur.
COUNTS = count_in_memory(ArrayTokenSource(SENTENCES).read_chunks(), np.ones(WORDS), RADIUS)
PAIRS = ArrayPairSource(*COUNTS)
CONTEXTS = np.random.default_rng(1).standard_normal((WORDS, DIMENSION)).astype(np.float32)


def dense_ppmi() -> NDArray[np.float64]:
    """The whole matrix, by the definition of Levy et al. 2015."""
    counts = np.zeros((WORDS, WORDS))
    for sentence in SENTENCES:
        for place, word in enumerate(sentence):
            for other in range(max(0, place - RADIUS), place):
                counts[word, sentence[other]] += 1 / (place - other)
                counts[sentence[other], word] += 1 / (place - other)
    joint = counts / counts.sum()
    contexts = counts.sum(axis=0) ** 0.75
    with np.errstate(divide="ignore", invalid="ignore"):
        pmi = np.log(joint / np.outer(joint.sum(axis=1), contexts / contexts.sum()))
    return np.where(np.isfinite(pmi) & (pmi > 0), pmi, 0)


def projection(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    """Onto the columns, which does not depend on a rotation."""
    exact = vectors.astype(np.float64)
    return exact @ exact.T


def test_three_products_span_the_columns() -> None:
    matrix = dense_ppmi()
    expected = np.linalg.qr(matrix @ matrix.T @ matrix @ CONTEXTS)[0]
    np.testing.assert_allclose(projection(ppmi_vectors(PAIRS, CONTEXTS)), projection(expected), atol=2e-4)


def test_right_singular_vectors_lead_to_left_ones() -> None:
    left, _, right = scipy.linalg.svd(dense_ppmi())
    found = ppmi_vectors(PAIRS, right[:DIMENSION].T.astype(np.float32))
    np.testing.assert_allclose(projection(found), projection(left[:, :DIMENSION]), atol=1e-4)


@pytest.mark.parametrize(("workers", "size"), [(2, 1 << 20), (3, 100), (1, 7)])
def test_neither_threads_nor_chunks_change_a_bit(workers: int, size: int) -> None:
    np.testing.assert_array_equal(
        ppmi_vectors(ArrayPairSource(*COUNTS, size), CONTEXTS, workers), ppmi_vectors(PAIRS, CONTEXTS)
    )


def test_batches_change_no_more_than_the_order_of_additions(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ppmi_vectors(PAIRS, CONTEXTS)
    monkeypatch.setattr(ppmi, "BATCH_PAIRS", 150)
    np.testing.assert_allclose(
        projection(ppmi_vectors(ArrayPairSource(*COUNTS, 50), CONTEXTS, 2)), projection(whole), atol=1e-4
    )


def test_pairs_that_are_read_for_each_product_give_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = ppmi_vectors(PAIRS, CONTEXTS, 2)
    monkeypatch.setattr(ppmi, "KEPT_PAIRS", 0)
    np.testing.assert_array_equal(ppmi_vectors(PAIRS, CONTEXTS, 2), kept)


def test_columns_are_orthonormal_and_words_without_pairs_zero() -> None:
    found = ppmi_vectors(PAIRS, CONTEXTS)
    np.testing.assert_allclose(found.T @ found, np.eye(DIMENSION), atol=1e-5)
    occurring = np.isin(np.arange(WORDS), np.concatenate(SENTENCES))
    np.testing.assert_array_equal(found.any(axis=1), occurring)


def test_columns_beyond_the_rank_are_zero() -> None:
    contexts = np.zeros((WORDS, DIMENSION), np.float32)
    contexts[:, :2] = CONTEXTS[:, :2]
    found = ppmi_vectors(PAIRS, contexts)
    assert np.linalg.matrix_rank(found.astype(np.float64), tol=1e-5) == 2
    np.testing.assert_allclose(np.linalg.norm(found), np.sqrt(2), atol=1e-5)


def test_a_text_without_pairs_has_zeros() -> None:
    lonely = count_in_memory(ArrayTokenSource([np.array([3], np.int32)]).read_chunks(), np.ones(WORDS), RADIUS)
    assert not ppmi_vectors(ArrayPairSource(*lonely), CONTEXTS).any()


def test_a_word_outside_the_vocabulary_is_refused() -> None:
    with pytest.raises(ValueError, match="outside the vocabulary of 10 words"):
        ppmi_vectors(PAIRS, CONTEXTS[:10])
