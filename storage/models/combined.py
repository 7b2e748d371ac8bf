"""The two matrices of a model combined into the one that is published."""

import numpy as np
from numpy.typing import NDArray

from storage.files.large_arrays import RowBuffer, row_blocks

# Weight of the context vector in a mixed one. From 0.3 to 0.5 the scores hardly differ (docs/experiments.md).
CONTEXT_WEIGHT = 0.3
# Weight of the context vectors in the columns that the SVD may keep or drop (docs/experiments.md).
SEPARATE_WEIGHT = 0.5


def mix_vectors(center_vectors: NDArray[np.float32], context_vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Unit center vectors plus CONTEXT_WEIGHT times unit context vectors, (V, D), not scaled to unit length again."""
    mixed: NDArray[np.float32] = unit_rows(context_vectors)
    mixed *= np.float32(CONTEXT_WEIGHT)
    mixed += unit_rows(center_vectors)
    return mixed


def reduced_vectors(center_vectors: NDArray[np.float32], context_vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The (V, D) best approximation of [W + .3 C, .5 C], of unit rows W and C, in D columns.

    An uncentered SVD keeps the inner products of the 2 D columns with the least squared error (Eckart and Young 1936),
    but its axes are arbitrary. The orthogonal rotation onto W (Schönemann 1966) keeps the coordinates of a release
    comparable with W and with those of the next one.
    """
    center_map, context_map = _maps(center_vectors, context_vectors)
    reduced = RowBuffer(center_vectors.shape[1])
    for (_, center), (_, context) in zip(row_blocks(center_vectors), row_blocks(context_vectors), strict=True):
        reduced.append(unit_rows(center) @ center_map + unit_rows(context) @ context_map)
    return reduced.finish()


def _maps(
    center_vectors: NDArray[np.float32], context_vectors: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Two (D, D) matrices A and B, for which the reduced vectors are W A + C B."""
    dimension = center_vectors.shape[1]
    # Products of all columns of [W, C]; everything else follows from these.
    products = np.zeros((2 * dimension, 2 * dimension))
    for (_, center), (_, context) in zip(row_blocks(center_vectors), row_blocks(context_vectors), strict=True):
        rows = np.hstack([unit_rows(center), unit_rows(context)]).astype(np.float64)
        products += rows.T @ rows
    eye, zero = np.eye(dimension), np.zeros((dimension, dimension))
    weights = np.block([[eye, zero], [CONTEXT_WEIGHT * eye, SEPARATE_WEIGHT * eye]])
    _, axes = np.linalg.eigh(weights.T @ products @ weights)
    kept = weights @ axes[:, -dimension:]
    left, _, right = np.linalg.svd(kept.T @ products[:, :dimension])
    turned = (kept @ (left @ right)).astype(np.float32)
    return turned[:dimension], turned[dimension:]


def unit_rows(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows scaled to length 1; zero rows are unchanged.

    Lengths are float32, not float64 as in releases/file.py: published means, and so their checksums, depend on these
    bits.
    """
    lengths: NDArray[np.float32] = np.linalg.norm(vectors, axis=1, keepdims=True)
    lengths[lengths == 0] = 1
    unit: NDArray[np.float32] = np.divide(vectors, lengths)
    return unit
