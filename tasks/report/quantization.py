"""Vectors quantised to 8 or 16 bits for a web page, and how well their neighbours agree with the originals."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rounded = NDArray[np.int8] | NDArray[np.int16]

NEIGHBORS = 10
# On 20,000 words of 50 to 300 dimensions, 8 bits keep at least 98.7 % of the ten nearest neighbours. Vectors so close
# that 8 bits keep less than this get 16 bits.
LEAST_AGREEMENT = 0.97
SAMPLE_WORDS = 300
# In memory at once; with their order they take 12 bytes each.
MOST_COSINES = 1 << 23
# For a word's count, its position on the map and its group, including commas.
BYTES_PER_WORD = 40


@dataclass(frozen=True)
class QuantizedVectors:
    """(N, D) int8 or int16: each row has the direction of its vector; its length has no meaning.

    agreement: share of the ten nearest neighbours that quantisation keeps, on a sample of the N words, 0 to 1.
    """

    values: Rounded
    agreement: float

    @property
    def bits(self) -> int:
        """Bits of each number: 8 or 16."""
        return self.values.dtype.itemsize * 8


def fit_vectors(words: Sequence[str], vectors: NDArray[np.float32], max_bytes: int, seed: int = 1) -> QuantizedVectors:
    """Quantise the first words that fit into a page to 8 bits, or to 16 if 8 lose too many neighbours.

    vectors: (V, D) float32 of unit length, one per word.  max_bytes: for words and vectors, as JSON and base64.
    Raises ValueError if the shape of the vectors does not match the words.
    """
    if vectors.ndim != 2 or len(vectors) != len(words):
        raise ValueError(f"{len(words)} words need vectors of shape ({len(words)}, D), not {vectors.shape}")
    for kind in (np.int8, np.int16):
        fitting = vectors[: _fitting(words, vectors.shape[1] * np.dtype(kind).itemsize, max_bytes)]
        values = _rounded(fitting, kind)
        sample = np.random.default_rng(seed).permutation(len(fitting))[:SAMPLE_WORDS]
        quantized = QuantizedVectors(values, neighbor_agreement(fitting, values, sample))
        if quantized.agreement >= LEAST_AGREEMENT:
            break
    return quantized


def neighbor_agreement(
    vectors: NDArray[np.float32], quantized: Rounded, sample: NDArray[np.int64], k: int = NEIGHBORS
) -> float:
    """Mean share of the k nearest neighbours common to both (N, D) arrays, on the rows of `sample`; 1 if N <= k."""
    k = min(k, len(vectors) - 1)
    if k < 1 or not len(sample):
        return 1.0
    directions = quantized.astype(np.float32)
    # The pure packages don't import each other, so not `metrics.cosines.unit_rows`.
    directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-9)
    before, after = _nearest_rows(vectors, sample, k), _nearest_rows(directions, sample, k)
    shared = [len(set(one) & set(other)) for one, other in zip(before.tolist(), after.tolist(), strict=True)]
    return float(np.mean(shared)) / k


def _fitting(words: Sequence[str], vector_bytes: int, max_bytes: int) -> int:
    """Number of words that fit, each with a vector of `vector_bytes` before base64 encodes 3 bytes as 4."""
    overhead = BYTES_PER_WORD + -(-4 * vector_bytes // 3)
    used = 0
    for number, word in enumerate(words):
        used += len(json.dumps(word)) + overhead
        if used > max_bytes:
            return number
    return len(words)


def _rounded(vectors: NDArray[np.float32], kind: type[np.int8] | type[np.int16]) -> Rounded:
    largest = np.abs(vectors).max(axis=1, keepdims=True, initial=1e-30)
    rounded: Rounded = np.rint(vectors / largest * np.iinfo(kind).max).astype(kind)
    return rounded


def _nearest_rows(vectors: NDArray[np.float32], sample: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """(S, k) nearest rows to each row of `sample`, unordered and without the row itself."""
    nearest = [np.zeros((0, k), dtype=np.int64)]
    at_once = max(1, MOST_COSINES // len(vectors))
    for start in range(0, len(sample), at_once):
        rows = sample[start : start + at_once]
        cosines = vectors[rows] @ vectors.T
        cosines[np.arange(len(rows)), rows] = -np.inf
        nearest.append(np.argpartition(cosines, -k, axis=1)[:, -k:])
    return np.concatenate(nearest)
