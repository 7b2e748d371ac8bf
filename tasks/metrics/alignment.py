"""Alignment: turn a new model so that its vectors lie where those of an older one lie.

Training leaves the directions of a vector space to chance: two models of the same text agree on all similarities and
on no coordinate. A rotation changes no similarity, and makes vectors of both comparable.
"""

import numpy as np
from numpy.typing import NDArray

from tasks.metrics.cosines import unit_rows

# 20 MB at 300 dimensions.
BLOCK_ROWS = 1 << 14


def fit_rotation(
    vectors: NDArray[np.float32],
    rows: NDArray[np.int64],
    other_vectors: NDArray[np.float32],
    other_rows: NDArray[np.int64],
) -> NDArray[np.float64]:
    """The orthogonal (D, D) matrix R for which the shared rows of vectors @ R lie nearest to the other vectors.

    vectors, other_vectors: (V, D) and (W, D).  rows, other_rows: (S,), row rows[i] of one is the word of row
    other_rows[i] of the other. Vectors count by their direction, whatever their length.
    Source: Schönemann 1966, "A generalized solution of the orthogonal Procrustes problem".
    Raises ValueError if the dimensions differ or no row is shared.
    """
    dimension = vectors.shape[1]
    if other_vectors.shape[1] != dimension:
        raise ValueError(f"vectors of {dimension} numbers cannot be turned onto vectors of {other_vectors.shape[1]}")
    if not len(rows):
        raise ValueError("no row is shared")
    # Deferred: scipy.linalg takes a tenth of a second to import.
    from scipy.linalg import orthogonal_procrustes

    shared = np.zeros((dimension, dimension), dtype=np.float64)
    for start in range(0, len(rows), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        shared += unit_rows(vectors, rows[block]).T.astype(np.float64) @ unit_rows(other_vectors, other_rows[block])
    # SciPy multiplies both tables first, which needs them whole; the product of both is all that it works with.
    rotation, _ = orthogonal_procrustes(np.eye(dimension), shared)
    return np.asarray(rotation, dtype=np.float64)


def rotate(vectors: NDArray[np.float32], rotation: NDArray[np.float64]) -> NDArray[np.float32]:
    """(V, D) vectors turned by a (D, D) rotation, as a new float32 array."""
    turned = np.empty(vectors.shape, dtype=np.float32)
    for start in range(0, len(vectors), BLOCK_ROWS):
        turned[start : start + BLOCK_ROWS] = vectors[start : start + BLOCK_ROWS].astype(np.float64) @ rotation
    return turned


def mean_cosine(
    vectors: NDArray[np.float32],
    rows: NDArray[np.int64],
    other_vectors: NDArray[np.float32],
    other_rows: NDArray[np.int64],
    rotation: NDArray[np.float64] | None = None,
) -> float | None:
    """Mean cosine of shared words' vectors in two tables, the first turned by a rotation if there is one.

    Arguments as in `fit_rotation`. None if no row is shared.
    """
    total = 0.0
    for start in range(0, len(rows), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        ours = unit_rows(vectors, rows[block])
        turned = ours if rotation is None else ours.astype(np.float64) @ rotation
        total += float(np.einsum("ij,ij->", turned, unit_rows(other_vectors, other_rows[block]), dtype=np.float64))
    return total / len(rows) if len(rows) else None
