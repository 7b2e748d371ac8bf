"""Exact nearest neighbours in memory, with the answers and the order of the SQL macros.

BLAS finds the candidates. Their cosines are then computed again as DuckDB computes them: float32, one term after the
other, cut to 2**-32 and packed with the rank into one integer, so that equal cosines go to the more frequent word.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# As in storage/releases/macros.py: the cosine in the upper bits of an int64, the rank in the lower 28.
COSINE_SCALE = 2.0**60
RANK_MASK = 2**28 - 1
# 4 MB of scores stay in the cache until they are reduced to maxima: 0.88 ms of processor time for each of 256 words in
# 400,000 x 50, where keeping all scores took 1.7 to 2.0 ms and the product alone 2.4 ms.
SCORES_AT_ONCE = 1 << 20
DIRECTIONS_AT_ONCE = 256
BLOCK = 32
FLOAT32_EPSILON = float(np.finfo(np.float32).eps)


class Neighbor(NamedTuple):
    """A word near another: the cosine of the two, and the word's rank by frequency, 1 = most frequent."""

    word: str
    similarity: float
    rank: int


class Direction(NamedTuple):
    """What is searched for. vector: (D,) float32.  scale: float32, from its inner products to packed cosines."""

    vector: NDArray[np.float32]
    scale: np.float32


def unit_direction(vector: NDArray[np.float32]) -> Direction:
    """The direction of a vector (D,) that has unit length already."""
    return Direction(vector, np.float32(COSINE_SCALE))


def direction_of(vector: NDArray[np.float32]) -> Direction | None:
    """The direction of a vector (D,) of any length; None if its length is 0 or not finite."""
    length = float(np.sqrt(np.float64(inner_products(vector[None], vector)[0])))
    if not (length > 0 and np.isfinite(length)):
        return None
    return Direction(vector, np.float32(COSINE_SCALE / length))


def scaled_direction(vector: NDArray[np.floating]) -> Direction | None:
    """Like `direction_of`, for numbers whose squares may be beyond a float32."""
    wide = np.asarray(vector, np.float64)
    largest = float(np.max(np.abs(wide), initial=0.0))
    if not (largest > 0 and np.isfinite(largest)):
        return None
    return direction_of((wide / largest).astype(np.float32))


def inner_products(vectors: NDArray[np.float32], vector: NDArray[np.float32]) -> NDArray[np.float32]:
    """Inner products (N,) of rows (N, D) and a vector (D,): float32 sums in the order of the columns, as in DuckDB."""
    products: NDArray[np.float32] = np.cumsum(vectors * vector, axis=1, dtype=np.float32)[:, -1]
    return products


def nearest_rows(
    vectors: NDArray[np.float32], directions: Sequence[Direction], excluded: Sequence[Sequence[int]], k: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """The k nearest rows of each direction, nearest first, with their cosines: both (at most k,).

    vectors: (V, D) of unit length, most frequent first.  excluded: for each direction the rows to leave out.
    """
    for start in range(0, len(directions), DIRECTIONS_AT_ONCE):
        block = directions[start : start + DIRECTIONS_AT_ONCE]
        maxima = _block_maxima(vectors, np.stack([direction.vector for direction in block]))
        for direction, left_out, of_blocks in zip(block, excluded[start : start + len(block)], maxima, strict=True):
            yield _best(vectors, direction, of_blocks, sorted(set(left_out)), k)


def _block_maxima(vectors: NDArray[np.float32], directions: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, V // BLOCK) highest inner product of N directions with each block of BLOCK rows."""
    maxima = np.empty((len(vectors) // BLOCK, len(directions)), np.float32)
    blocks_at_once = max(1, SCORES_AT_ONCE // (BLOCK * len(directions)))
    for first in range(0, len(maxima), blocks_at_once):
        last = min(first + blocks_at_once, len(maxima))
        scores = vectors[first * BLOCK : last * BLOCK] @ directions.T
        scores.reshape(last - first, BLOCK, len(directions)).max(axis=1, out=maxima[first:last])
    return np.ascontiguousarray(maxima.T)


def _best(
    vectors: NDArray[np.float32], direction: Direction, maxima: NDArray[np.float32], left_out: list[int], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    if k <= 0 or not len(vectors):
        return np.empty(0, np.int64), np.empty(0, np.float32)
    # Twice the error of a float32 sum for vectors of unit length and this direction, and the bits that are cut.
    length = COSINE_SCALE / float(direction.scale)
    margin = (2 * FLOAT32_EPSILON * vectors.shape[1] + 2.0**-31) * length
    rows = _candidates(maxima, len(vectors), k + len(left_out), margin)
    rows = rows[~np.isin(rows, left_out)]
    if len(rows) > k:
        scores = (vectors if len(rows) == len(vectors) else vectors[rows]) @ direction.vector
        rows = rows[scores >= np.partition(scores, len(rows) - k)[len(rows) - k] - margin]
    packed = np.rint(inner_products(vectors[rows], direction.vector) * direction.scale).astype(np.int64) & ~RANK_MASK
    keys = packed - (rows + 1)
    order = np.argsort(-keys, kind="stable")[:k]
    return rows[order], (packed[order].astype(np.float64) * 2.0**-60).astype(np.float32)


def _candidates(maxima: NDArray[np.float32], rows: int, k: int, margin: float) -> NDArray[np.int64]:
    """Row numbers of the k best of some rows, and of many more: whole blocks and the rows after the last block."""
    blocks = len(maxima)
    if k > blocks // 4:
        return np.arange(rows)
    # At least k scores reach the k-th highest maximum of a block, so blocks below it can be left out.
    reached = np.flatnonzero(maxima >= np.partition(maxima, blocks - k)[blocks - k] - margin)
    return np.concatenate([(reached[:, None] * BLOCK + np.arange(BLOCK)).ravel(), np.arange(blocks * BLOCK, rows)])
