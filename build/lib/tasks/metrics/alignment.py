"""Alignment: rotate a new model into the coordinates of an older one.

The axes of a trained vector space are arbitrary: two models of the same text agree on similarities but not on
coordinates. A rotation preserves every similarity and makes the vectors of both comparable.
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
    """The orthogonal (D, D) matrix R that brings the shared rows of vectors @ R closest to the other vectors.

    vectors, other_vectors: (V, D) and (W, D).  rows, other_rows: (S,), row rows[i] of one is the word of row
    other_rows[i] of the other. Only the direction of a vector counts, not its length.
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
    # SciPy would multiply whole tables first. It only needs their (D, D) product, which is summed in blocks here.
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
