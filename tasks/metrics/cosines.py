"""Nearest rows of a table by cosine, in blocks: no normalised copy of the table, no matrix of all pairs."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

# 8 MB of scores: large enough for BLAS to run at full speed, small compared with any table.
BLOCK_SCORES = 1 << 21
MOST_BLOCK_ROWS = 1 << 14
FIRST_ROWS = 1 << 10


class Candidates(Protocol):
    """S rows of length 1 among which neighbours are searched."""

    def __len__(self) -> int:
        """S."""

    def blocks(self, rows: int) -> Iterator[NDArray[np.float32]]:
        """All rows in order, as arrays of at most `size` rows."""

    def take(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """The rows at (N,) positions, (N, D)."""


class TableRows:
    """Chosen rows of a table, scaled to length 1 as they are needed. Rows of zeros stay zero."""

    def __init__(self, vectors: NDArray[np.float32], rows: NDArray[np.int64]) -> None:
        """vectors: (V, D).  rows: (S,), the chosen ones."""
        self._vectors = vectors
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def blocks(self, rows: int) -> Iterator[NDArray[np.float32]]:
        """See `Candidates`."""
        for start in range(0, len(self._rows), rows):
            yield unit_rows(self._vectors, self._rows[start : start + rows])

    def take(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """See `Candidates`."""
        return unit_rows(self._vectors, self._rows[positions])


class RandomRows:
    """A table of random directions, regenerated from the seed on every read and never held in memory as a whole."""

    def __init__(self, rows: int, dimension: int, seed: int) -> None:
        """rows: S.  dimension: D."""
        self._shape = (rows, dimension)
        self._seed = seed

    def __len__(self) -> int:
        return self._shape[0]

    def blocks(self, rows: int) -> Iterator[NDArray[np.float32]]:
        """See `Candidates`."""
        random = np.random.default_rng(self._seed)
        for start in range(0, len(self), rows):
            size = (min(rows, len(self) - start), self._shape[1])
            yield unit_rows(random.standard_normal(size, dtype=np.float32))

    def take(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """See `Candidates`."""
        taken = np.empty((len(positions), self._shape[1]), dtype=np.float32)
        start = 0
        for block in self.blocks(MOST_BLOCK_ROWS):
            inside = (positions >= start) & (positions < start + len(block))
            taken[inside] = block[positions[inside] - start]
            start += len(block)
        return taken


def unit_rows(vectors: NDArray[np.float32], rows: NDArray[np.int64] | slice = slice(None)) -> NDArray[np.float32]:
    """The named rows of (V, D) vectors, scaled to length 1, as a new float32 array. Rows of zeros stay zero."""
    unit = np.array(vectors[rows], dtype=np.float32, order="C")
    lengths = np.sqrt(np.einsum("ij,ij->i", unit, unit, dtype=np.float32))
    unit /= np.where(lengths > 0, lengths, 1)[:, None]
    return unit


def nearest_rows(candidates: Candidates, queries: NDArray[np.int64], neighbors: int) -> NDArray[np.int64]:
    """The rows nearest to each of (N,) rows by cosine, excluding itself: (N, neighbors) positions, nearest first.

    Raises ValueError unless there are more than `neighbors` rows.
    """
    if len(candidates) <= neighbors:
        raise ValueError(f"{len(candidates)} rows have no {neighbors} neighbors each")
    directions = candidates.take(queries)
    best = _Best(len(queries), neighbors)
    size = max(1, min(BLOCK_SCORES // max(1, len(queries)), MOST_BLOCK_ROWS))
    # One array for all blocks: the product alone takes half as long as with a new one for each.
    memory = np.empty(len(queries) * size, dtype=np.float32)
    start = 0
    for block in candidates.blocks(size):
        scores = memory[: len(queries) * len(block)].reshape(len(queries), len(block))
        np.matmul(directions, block.T, out=scores)
        # A zero row or one with NaN is never a neighbour.
        if not np.isfinite(scores.sum()):
            np.nan_to_num(scores, copy=False, nan=-2.0)
        inside = np.flatnonzero((queries >= start) & (queries < start + len(block)))
        scores[inside, queries[inside] - start] = -np.inf
        # The best of the first few rows keep most of the others out.
        best.add(scores[:, :FIRST_ROWS], start)
        if len(block) > FIRST_ROWS:
            best.add(scores[:, FIRST_ROWS:], start + FIRST_ROWS)
        start += len(block)
    return best.rows()


class _Best:
    """The best rows of each query so far: (N, k) scores, descending, and rows."""

    def __init__(self, queries: int, neighbors: int) -> None:
        self._scores = np.full((queries, neighbors), -np.inf, dtype=np.float32)
        self._rows = np.full((queries, neighbors), -1, dtype=np.int64)
        # Query, row and score of those that may be among the best.
        self._waiting: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]] = []

    def rows(self) -> NDArray[np.int64]:
        """The best rows, (N, k), best first."""
        self._merge()
        return self._rows

    def add(self, scores: NDArray[np.float32], start: int) -> None:
        """Consider the (N, B) scores of the rows from `start` on."""
        if not np.isfinite(self._scores[:, -1]).all():
            width = min(self._rows.shape[1], scores.shape[1])
            found = np.argpartition(scores, -width, axis=1)[:, -width:]
            query = np.repeat(np.arange(len(scores)), width)
            row = found.reshape(-1)
            self._waiting.append((query, row + start, scores[query, row]))
            self._merge()
            return
        # After the first block few rows beat the worst one kept.
        # Searching one dimension is three times as fast as searching two.
        better = np.flatnonzero((scores > self._scores[:, -1:]).reshape(-1))
        query, row = np.divmod(better, scores.shape[1])
        self._waiting.append((query, row + start, scores[query, row]))
        # Sorting takes longer than searching, so not for a few of each block.
        if sum(len(queries) for queries, _, _ in self._waiting) > self._rows.size:
            self._merge()

    def _merge(self) -> None:
        """Sort those that wait among the best."""
        neighbors = self._rows.shape[1]
        kept = np.repeat(np.arange(len(self._rows)), neighbors), self._rows.reshape(-1), self._scores.reshape(-1)
        query, row, score = (np.concatenate(parts) for parts in zip(kept, *self._waiting, strict=True))
        order = np.lexsort((row, -score, query))
        firsts = np.searchsorted(query[order], np.arange(len(self._rows)))
        chosen = order[(firsts[:, None] + np.arange(neighbors)).reshape(-1)]
        self._scores = score[chosen].reshape(self._scores.shape)
        self._rows = row[chosen].reshape(self._rows.shape)
        self._waiting = []
