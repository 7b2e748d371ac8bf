"""Vectors from passages: one product with the PMI of words and passages, the parts of a document, as topics.

Latent semantic analysis (Deerwester et al. 1990) factorizes a matrix of words and documents. This one has the positive
pointwise mutual information of a word and a passage, each word counted once, and starts at vectors of the same text
instead of an SVD, so that one pass over the tokens is enough. Windows capture similarity, passages capture topics, and
rare words gain most from them.
"""

# Numba's compiled functions are untyped. The tests check what they return.
# mypy: disable-error-code="no-untyped-call, misc"

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from tasks.compiled import njit, uncounted
from tasks.trainers.bookkeeping import check_chunk
from tasks.trainers.cpu.ppmi import orthonormalize, run_in_workers
from tasks.trainers.interface import Allocator, TokenSource

# A longer document is cut into passages of equal length, at most this many tokens (docs/experiments.md).
PASSAGE_TOKENS = 320
# Each row is rescaled: its length with orthonormal columns, relative to their root mean square, to this power, times
# the root of FREQUENT_COUNT / (FREQUENT_COUNT + count), because windows suffice for frequent words.
LENGTH_EXPONENT = 0.25
FREQUENT_COUNT = 500


def passage_vectors(
    source: TokenSource,
    counts: NDArray[np.int64],
    vectors: NDArray[np.float32],
    workers: int = 1,
    allocate: Allocator = np.zeros,
) -> NDArray[np.float32]:
    """(V, D) float32 M Mᵀ U with orthonormal columns, rows weighted; M is the positive PMI of words and passages.

    counts: (V,), of the words in the text.  vectors: (V, D), of the same words; U are their unit rows.
    workers: threads; the result does not depend on them.  allocate: makes the result.
    A word that every passage is expected to contain has a PMI of 0, and gets zeros.
    Raises ValueError for a malformed chunk.
    """
    # Of a word with a passage of n tokens: rarity - log(n).
    rarity = np.log(max(counts.sum(), 1) / np.maximum(counts, 1)).astype(np.float32)
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    lengths[lengths == 0] = 1
    product = allocate(vectors.shape, np.float32)
    last_seen = np.full(len(counts), -1, np.int32)
    with ThreadPoolExecutor(workers, thread_name_prefix="passages") as pool:
        for chunk in source.read_chunks():
            check_chunk(chunk, len(counts))
            passages = _passages(chunk.token_ids, chunk.sentence_offsets, rarity, last_seen)
            sums = np.zeros((len(passages[0]) - 1, vectors.shape[1]), np.float32)
            run_in_workers(pool, workers, _add_words, *passages, vectors, lengths, sums)
            run_in_workers(pool, workers, _add_passages, *passages, sums, product)
    orthonormalize(product)
    product *= _row_factors(product, counts)[:, None]
    return product


def _row_factors(vectors: NDArray[np.float32], counts: NDArray[np.int64]) -> NDArray[np.float32]:
    """(V,) by which rows with orthonormal columns get the lengths that LENGTH_EXPONENT explains; 0 for zeros."""
    squares = np.einsum("ij,ij->i", vectors, vectors).astype(np.float64)
    factors = np.zeros(len(vectors), np.float32)
    if not squares.any():
        return factors
    found = squares > 0
    relative, lengths = np.sqrt(squares[found] / np.mean(squares)), np.sqrt(squares[found])
    of_frequency = np.sqrt(FREQUENT_COUNT / (FREQUENT_COUNT + counts[found]))
    factors[found] = relative**LENGTH_EXPONENT * of_frequency / lengths
    return factors


@njit()
def _passages(
    token_ids: NDArray[np.int32],
    sentence_offsets: NDArray[np.int64],
    rarity: NDArray[np.float32],
    last_seen: NDArray[np.int32],
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    """The matrix of a chunk by passage: (P + 1,) offsets, (N,) different words and (N,) their PMI, if positive.

    last_seen: (V,) negative numbers, which are restored.
    """
    most = 0
    for sentence in range(len(sentence_offsets) - 1):
        most += (sentence_offsets[sentence + 1] - sentence_offsets[sentence] + PASSAGE_TOKENS - 1) // PASSAGE_TOKENS
    offsets = np.zeros(most + 1, np.int64)
    words, values = np.empty(len(token_ids), np.int32), np.empty(len(token_ids), np.float32)
    passage = found = 0
    for sentence in range(len(sentence_offsets) - 1):
        first, tokens = sentence_offsets[sentence], sentence_offsets[sentence + 1] - sentence_offsets[sentence]
        parts = (tokens + PASSAGE_TOKENS - 1) // PASSAGE_TOKENS
        for part in range(parts):
            begin, end = first + tokens * part // parts, first + tokens * (part + 1) // parts
            expected = np.log(np.float32(end - begin))
            for place in range(begin, end):
                word = token_ids[place]
                if last_seen[word] != passage and rarity[word] > expected:
                    last_seen[word] = passage
                    words[found], values[found] = word, rarity[word] - expected
                    found += 1
            passage += 1
            offsets[passage] = found
    for place in range(found):
        last_seen[words[place]] = -1
    return offsets, words[:found], values[:found]


@uncounted(fastmath=True)
def _add_words(
    offsets: NDArray[np.int64],
    words: NDArray[np.int32],
    values: NDArray[np.float32],
    vectors: NDArray[np.float32],
    lengths: NDArray[np.float32],
    sums: NDArray[np.float32],
    worker: int,
    workers: int,
) -> None:
    """Add Mᵀ U to (P, D) `sums`, in the passages of one of the workers."""
    for passage in range(worker, len(sums), workers):
        total = sums[passage]
        for entry in range(offsets[passage], offsets[passage + 1]):
            word = words[entry]
            value, added = values[entry] / lengths[word], vectors[word]
            for dimension in range(len(total)):
                total[dimension] += value * added[dimension]


@uncounted(fastmath=True)
def _add_passages(
    offsets: NDArray[np.int64],
    words: NDArray[np.int32],
    values: NDArray[np.float32],
    sums: NDArray[np.float32],
    product: NDArray[np.float32],
    worker: int,
    workers: int,
) -> None:
    """Add M sums to (V, D) `product`, in the words of one of the workers."""
    for passage in range(len(sums)):
        added = sums[passage]
        for entry in range(offsets[passage], offsets[passage + 1]):
            word = words[entry]
            if word % workers == worker:
                value, total = values[entry], product[word]
                for dimension in range(len(total)):
                    total[dimension] += value * added[dimension]
