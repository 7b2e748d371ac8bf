"""Cosine similarities of many rows with many others, a block at a time, so that no full table of pairs exists."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

# 64 MB of scores: large enough for BLAS to run at full speed, small beside any table.
BLOCK_SCORES = 1 << 24


def unit_rows(vectors: NDArray[np.float32], rows: NDArray[np.int64] | slice = slice(None)) -> NDArray[np.float32]:
    """The named rows of (V, D) vectors, scaled to length 1, as a new float32 array. Rows of zeros stay zero."""
    unit = np.array(vectors[rows], dtype=np.float32, order="C")
    lengths = np.sqrt(np.einsum("ij,ij->i", unit, unit, dtype=np.float32))
    unit /= np.where(lengths > 0, lengths, 1)[:, None]
    return unit


def score_blocks(
    queries: NDArray[np.float32], candidates: NDArray[np.float32]
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Inner products of (Q, D) queries with (V, D) candidates: a range of queries and its (B, V) scores, in turn.

    The scores may be overwritten; the array is not used again.
    """
    size = max(1, BLOCK_SCORES // max(1, len(candidates)))
    for start in range(0, len(queries), size):
        block = slice(start, min(start + size, len(queries)))
        yield block, queries[block] @ candidates.T
