"""Counts which words occur near each other, weighted by 1 / distance, as GloVe does.

A pair of words is one 64-bit key. Keys are mixed by an invertible hash and kept in hash order: the order of the merged
counts is then a random permutation of the pairs, as training needs, whatever the memory and the number of threads.
Weights are summed as integers, so the sums do not depend on the order of the additions either.

The readable specification is `tests/trainers/cpu/plain_glove.py`.
"""

# Numba's compiled functions are untyped. The tests check what they return.
# mypy: disable-error-code="no-untyped-call, no-any-return, misc"

import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.compiled import uncounted
from tasks.trainers.bookkeeping import check_chunk
from tasks.trainers.interface import TokenRun
from tasks.trainers.sampling import probability_thresholds

Keys = NDArray[np.uint64]
Sums = NDArray[np.int64]
# A full table is sorted in memory: at most this many bytes for each of its slots.
BYTES_PER_SLOT = 64
SMALLEST_TABLE = 1 << 10
# Of the tables, where the pairs themselves are in memory as well.
MEMORY_BYTES = 1 << 28
LARGEST_LOAD = 0.6
# The finaliser of splitmix64 (Steele et al. 2014): two multiplications between three shifts.
SHIFTS = (30, 27, 31)
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
FACTORS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


class Cooccurrences(NamedTuple):
    """Pairs of words with row <= column, each once; the counts are symmetric.

    rows, columns: (N,) int32.  weights: (N,) float32, sum of 1 / distance, as in the full symmetric matrix.
    """

    rows: NDArray[np.int32]
    columns: NDArray[np.int32]
    weights: NDArray[np.float32]


@uncounted(inline="always")
def _mixed(key: np.uint64) -> np.uint64:
    key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return key ^ (key >> np.uint64(31))


def unmixed(keys: Keys) -> Keys:
    """The keys before mixing."""
    for shift, factor in zip(SHIFTS[::-1], (*FACTORS[::-1], None), strict=True):
        keys = keys ^ (keys >> np.uint64(shift)) ^ (keys >> np.uint64(2 * shift))
        if factor is not None:
            keys = keys * np.uint64(pow(factor, -1, 1 << 64))
    return keys


@uncounted()
def _count(
    token_ids: NDArray[np.int32],
    sentence_offsets: NDArray[np.int64],
    start: int,
    words: int,
    weights: Sums,
    keys: Keys,
    sums: Sums,
    used: int,
) -> tuple[int, int]:
    """Add the pairs of the tokens from `start` on to a hash table, until it is full or the tokens end.

    weights: (radius + 1,) int64, of a pair at each distance.  keys, sums: the (2**n,) table; a free slot has sum 0.
    Returns the first token that was not counted, and the used slots.
    """
    radius = len(weights) - 1
    mask, shift = np.uint64(len(keys) - 1), np.uint64(64 - int(np.round(np.log2(len(keys)))))
    largest = int(len(keys) * LARGEST_LOAD)
    sentence = np.searchsorted(sentence_offsets, start, side="right") - 1
    for position in range(start, len(token_ids)):
        while sentence_offsets[sentence + 1] <= position:
            sentence += 1
        if used + radius > largest:
            return position, used
        token = np.int64(token_ids[position])
        for distance in range(1, min(radius, position - sentence_offsets[sentence]) + 1):
            other = np.int64(token_ids[position - distance])
            weight = weights[distance] * (2 if other == token else 1)
            mixed = _mixed(np.uint64(min(token, other) * words + max(token, other)))
            slot = mixed >> shift
            while sums[slot] and keys[slot] != mixed:
                slot = (slot + np.uint64(1)) & mask
            if not sums[slot]:
                keys[slot] = mixed
                used += 1
            sums[slot] += weight
    return len(token_ids), used


def subsampled(chunk: TokenRun, keep_thresholds: NDArray[np.uint32]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The tokens of a chunk that survive, and the offsets of its sentences among them.

    keep_thresholds: (V,) uint32.  The draws are functions of a token's position in the corpus alone.
    """
    positions = np.arange(chunk.start, chunk.start + len(chunk.token_ids), dtype=np.uint64)
    draws = (_mixed_array((positions + np.uint64(1)) * GOLDEN) >> np.uint64(32)).astype(np.uint32)
    kept = draws <= keep_thresholds[chunk.token_ids]
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(kept, dtype=np.int64)])
    return np.require(chunk.token_ids[kept], np.int32, "C"), before[chunk.sentence_offsets]


def _mixed_array(keys: Keys) -> Keys:
    for shift, factor in zip(SHIFTS, (*FACTORS, 1), strict=True):
        keys = (keys ^ (keys >> np.uint64(shift))) * np.uint64(factor)
    return keys


class _Table:
    """A hash table of one thread."""

    def __init__(self, slots: int) -> None:
        self.keys, self.sums, self.used = np.zeros(slots, np.uint64), np.zeros(slots, np.int64), 0

    def emptied(self) -> tuple[Keys, Sums]:
        """All keys in ascending order, with their sums; clears the table."""
        filled = np.flatnonzero(self.sums)
        order = filled[np.argsort(self.keys[filled], kind="stable")]
        keys, sums = self.keys[order], self.sums[order]
        self.sums[:] = 0
        self.used = 0
        return keys, sums


def count_cooccurrences(
    chunks: Iterable[TokenRun],
    keep_probability: NDArray[np.float64],
    radius: int,
    memory_bytes: int,
    workers: int,
    spill: Callable[[Keys, Sums], None],
) -> None:
    """Count the pairs of all chunks within a fixed amount of memory.

    keep_probability: (V,) float64, chance that one occurrence survives subsampling.
    radius: surviving words to each side, within a sentence.
    spill: receives ascending keys with their sums whenever a table is full and at the end, from several threads; the
    same key may come several times. `decoded` converts merged keys and sums.
    Raises ValueError for a malformed chunk.
    """
    words, keep_thresholds = len(keep_probability), probability_thresholds(keep_probability)
    slots = table_slots(memory_bytes // workers)
    weights = integer_weights(radius)
    free: SimpleQueue[_Table] = SimpleQueue()
    for _ in range(workers):
        free.put(_Table(slots))

    def count(chunk: TokenRun) -> None:
        check_chunk(chunk, words)
        table = free.get()
        try:
            token_ids, offsets = subsampled(chunk, keep_thresholds)
            position = 0
            while position < len(token_ids):
                position, table.used = _count(
                    token_ids, offsets, position, words, weights, table.keys, table.sums, table.used
                )
                if position < len(token_ids):
                    spill(*table.emptied())
        finally:
            free.put(table)

    with ThreadPoolExecutor(workers, thread_name_prefix="cooccurrences") as pool:
        waiting = SimpleQueue[None]()
        for _ in range(2 * workers):
            waiting.put(None)
        running: list[Future[None]] = []
        for chunk in chunks:
            # At most two chunks a worker are in memory.
            waiting.get()
            future = pool.submit(count, chunk)
            future.add_done_callback(lambda _: waiting.put(None))
            running = [other for other in running if not other.done() or other.result()] + [future]
        for future in running:
            future.result()
    for _ in range(workers):
        table = free.get()
        if table.used:
            spill(*table.emptied())


def table_slots(memory_bytes: int) -> int:
    """Slots of a hash table that fits into the memory, sorting included; a power of two."""
    return max(SMALLEST_TABLE, 1 << (memory_bytes // BYTES_PER_SLOT).bit_length() - 1)


def count_apart(chunks: Sequence[TokenRun], keep_probability: NDArray[np.float64], radius: int) -> tuple[Keys, Sums]:
    """The pairs of some chunks as one run, ascending keys with their sums; for a part of a large corpus.

    keep_probability, radius: as in count_cooccurrences.  Raises ValueError for a malformed chunk.
    """
    words, keep_thresholds = len(keep_probability), probability_thresholds(keep_probability)
    weights = integer_weights(radius)
    # So many slots that the table can't get full: each token pairs with at most `radius` before it.
    pairs = sum(len(chunk.token_ids) for chunk in chunks) * radius + radius
    table = _Table(max(SMALLEST_TABLE, 1 << (int(pairs / LARGEST_LOAD) - 1).bit_length()))
    for chunk in chunks:
        check_chunk(chunk, words)
        token_ids, offsets = subsampled(chunk, keep_thresholds)
        _, table.used = _count(token_ids, offsets, 0, words, weights, table.keys, table.sums, table.used)
    return table.emptied()


def summed_runs(runs: Sequence[tuple[Keys, Sums]]) -> tuple[Keys, Sums]:
    """Several runs as one: each key once, with its total."""
    keys, sums = (np.concatenate(arrays) for arrays in zip(*runs, strict=True))
    order = np.argsort(keys, kind="stable")  # a merge: the runs are sorted
    keys, sums = keys[order], sums[order]
    if not len(keys):
        return keys, sums
    firsts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    return keys[firsts], np.add.reduceat(sums, firsts)


def count_in_memory(
    chunks: Iterable[TokenRun], keep_probability: NDArray[np.float64], radius: int, workers: int = 1
) -> Cooccurrences:
    """The pairs of all chunks, for a text whose pairs fit into memory; otherwise as count_cooccurrences."""
    runs: list[tuple[Keys, Sums]] = [(np.zeros(0, np.uint64), np.zeros(0, np.int64))]
    count_cooccurrences(
        chunks, keep_probability, radius, MEMORY_BYTES, workers, lambda keys, sums: runs.append((keys, sums))
    )
    return decoded(*summed_runs(runs), len(keep_probability), radius)


def integer_weights(radius: int) -> Sums:
    """(radius + 1,) int64: 1 / distance in units of 1 / lcm(1..radius), so that every weight is whole."""
    unit = math.lcm(*range(1, radius + 1))
    return np.array([0] + [unit // distance for distance in range(1, radius + 1)])


def decoded(keys: Keys, sums: Sums, words: int, radius: int) -> Cooccurrences:
    """The pairs and weights of merged keys."""
    rows, columns = np.divmod(unmixed(keys), np.uint64(words))
    weights = (sums / integer_weights(radius)[1]).astype(np.float32)
    return Cooccurrences(rows.astype(np.int32), columns.astype(np.int32), weights)
