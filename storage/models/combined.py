"""The matrices of a model combined into the one that is published."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.files.large_arrays import RowBuffer, row_blocks

# Weight of the context vector in a mixed one. From 0.3 to 0.5 the scores hardly differ (docs/experiments.md).
CONTEXT_WEIGHT = 0.3
# Weights of the columns that the SVD may keep or drop: of the context vectors alone, and of the context vectors with
# the factors of PPMI, those of words near each other and those of words and passages (docs/experiments.md).
SEPARATE_WEIGHT = 0.5
WEIGHTS_WITH_FACTORS = (0.8, 0.9, 1.15)
# Rows of the first matrices are scaled to length 1. Passage vectors, the fourth, are already weighted by word.
UNIT_MATRICES = 3
# Rows of all matrices in double precision at once: 7 MB of four with 100 dimensions.
BLOCK_ROWS = 2048


def mix_vectors(center_vectors: NDArray[np.float32], context_vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Unit center vectors plus CONTEXT_WEIGHT times unit context vectors, (V, D), not scaled to unit length again."""
    mixed: NDArray[np.float32] = unit_rows(context_vectors)
    mixed *= np.float32(CONTEXT_WEIGHT)
    mixed += unit_rows(center_vectors)
    return mixed


def reduced_vectors(
    center_vectors: NDArray[np.float32],
    context_vectors: NDArray[np.float32],
    factors: Sequence[NDArray[np.float32]] = (),
) -> NDArray[np.float32]:
    """The (V, D) best approximation of [W + .3 C, .8 C, .9 P, 1.15 T], of unit rows W, C and P, in D columns.

    factors: of PPMI, (V, D): P, of words near each other, and T, of words and passages, whose rows have the lengths to
    publish; none: [W + .3 C, .5 C].

    An uncentered SVD keeps the inner products of all columns with the least squared error (Eckart and Young 1936), but
    its axes are arbitrary. The orthogonal rotation onto W (Schönemann 1966) keeps the coordinates of a release
    comparable with W and with those of the next one.
    """
    dimension = center_vectors.shape[1]
    matrices = [center_vectors, context_vectors, *factors]
    separate = WEIGHTS_WITH_FACTORS[: 1 + len(factors)] if factors else (SEPARATE_WEIGHT,)
    weights: NDArray[Any] = np.diag([1, *separate])
    weights[1, 0] = CONTEXT_WEIGHT
    combination = _combination(matrices, np.kron(weights, np.eye(dimension)))
    reduced = RowBuffer(dimension)
    for rows in _blocks(matrices):
        reduced.append(rows @ combination)
    return reduced.finish()


def _combination(matrices: Sequence[NDArray[np.float32]], weights: NDArray[np.float64]) -> NDArray[np.float32]:
    """The (N D, D) matrix by which the rows of N matrices, side by side, become the reduced vectors.

    weights: (N D, N D), by which they become the columns to approximate.
    """
    dimension = matrices[0].shape[1]
    # Products of all columns; everything else follows from these.
    products = np.zeros(weights.shape)
    for block in _blocks(matrices):
        rows = block.astype(np.float64)
        products += rows.T @ rows
    _, axes = np.linalg.eigh(weights.T @ products @ weights)
    kept = weights @ axes[:, -dimension:]
    left, _, right = np.linalg.svd(kept.T @ products[:, :dimension])
    combination: NDArray[np.float32] = (kept @ (left @ right)).astype(np.float32)
    return combination


def _blocks(matrices: Sequence[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    """The rows of the matrices side by side, BLOCK_ROWS at a time, those of UNIT_MATRICES scaled to length 1."""
    for blocks in zip(*map(row_blocks, matrices), strict=True):
        for first in range(0, len(blocks[0][1]), BLOCK_ROWS):
            parts = [block[first : first + BLOCK_ROWS] for _, block in blocks]
            yield np.hstack([*map(unit_rows, parts[:UNIT_MATRICES]), *parts[UNIT_MATRICES:]])


def unit_rows(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows scaled to length 1; zero rows are unchanged.

    Lengths are float32, not float64 as in releases/file.py: published means, and so their checksums, depend on these
    bits.
    """
    lengths: NDArray[np.float32] = np.linalg.norm(vectors, axis=1, keepdims=True)
    lengths[lengths == 0] = 1
    unit: NDArray[np.float32] = np.divide(vectors, lengths)
    return unit
