"""Cooccurrence counts: sorted runs spilled while counting, and the merged pairs of words in chunks, for training."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from storage.corpus.chunks import ChunkReader
from storage.corpus.shards import ShardWriter
from storage.files.large_arrays import release_pages

NAME = "cooccurrences"
SCHEMA = pa.schema(
    [
        # Rows of the vocabulary, row <= column; the counts are symmetric.
        pa.field("row", pa.int32(), nullable=False),
        pa.field("column", pa.int32(), nullable=False),
        pa.field("weight", pa.float32(), nullable=False),  # sum of 1 / distance
    ]
)
BYTES_PER_PAIR = 12
BYTES_PER_SPILLED_PAIR = 16
# One row group, the unit of work of a training thread.
CHUNK_PAIRS = 1 << 17
# A merged range, its concatenation and its sorted copy; its decoded pairs, and those that wait for a whole row group.
MERGE_BYTES_PER_PAIR = 128


@dataclass(frozen=True)
class PairChunk:
    """Consecutive pairs. rows, columns: (N,) int32.  weights: (N,) float32.  start: pairs before this chunk."""

    rows: NDArray[np.int32]
    columns: NDArray[np.int32]
    weights: NDArray[np.float32]
    start: int


class SpilledRuns:
    """Runs of ascending uint64 keys with int64 sums, on disk. `add` may be called from several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = Lock()
        self._runs = 0
        self.pairs = 0

    def add(self, keys: NDArray[np.uint64], sums: NDArray[np.int64]) -> None:
        """Write one run."""
        with self._lock:
            number = self._runs
            self._runs += 1
            self.pairs += len(keys)
        np.save(self._folder / f"run-{number:05d}.keys.npy", keys, allow_pickle=False)
        np.save(self._folder / f"run-{number:05d}.sums.npy", sums, allow_pickle=False)

    def merged(self, memory_bytes: int) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.int64]]]:
        """All keys in ascending order, each once with its total, in batches that fit into the memory.

        The keys must be spread evenly over 64 bits, as hashes are.
        """
        runs = [
            (
                np.load(file, mmap_mode="r", allow_pickle=False),
                np.load(file.with_name(file.name.replace("keys", "sums")), mmap_mode="r", allow_pickle=False),
            )
            for file in sorted(self._folder.glob("run-*.keys.npy"))
        ]
        if not runs:
            return
        ranges = max(1, -(-self.pairs * MERGE_BYTES_PER_PAIR // memory_bytes))
        bounds = np.array([(number << 64) // ranges for number in range(1, ranges)], np.uint64)
        cuts = [[0, *np.searchsorted(keys, bounds), len(keys)] for keys, _ in runs]
        for number in range(ranges):
            slices = [slice(cut[number], cut[number + 1]) for cut in cuts]
            keys = np.concatenate([run[part] for (run, _), part in zip(runs, slices, strict=True)])
            sums = np.concatenate([run[part] for (_, run), part in zip(runs, slices, strict=True)])
            for run in runs:
                for column in run:
                    release_pages(column)
            if not len(keys):
                continue
            order = np.argsort(keys, kind="stable")  # a merge: the runs are sorted
            keys, sums = keys[order], sums[order]
            firsts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
            yield keys[firsts], np.add.reduceat(sums, firsts)

    def remove(self) -> None:
        """Delete the files of all runs."""
        for file in self._folder.glob("run-*.npy"):
            file.unlink()


def write_cooccurrences(
    folder: Path,
    batches: Iterable[tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]],
    chunk_pairs: int = CHUNK_PAIRS,
) -> int:
    """Write rows, columns and weights in row groups of `chunk_pairs`, whatever the batches; returns the pairs."""
    count = 0
    with ShardWriter(folder, NAME, SCHEMA, compression="none", use_dictionary=False) as shards:
        waiting: list[NDArray[np.int32] | NDArray[np.float32]] = [np.zeros(0, field) for field in "iif"]
        for batch in batches:
            count += len(batch[0])
            waiting = [np.concatenate(parts) for parts in zip(waiting, batch, strict=True)]
            whole = len(waiting[0]) // chunk_pairs * chunk_pairs
            for start in range(0, whole, chunk_pairs):
                shards.write([pa.array(column[start : start + chunk_pairs]) for column in waiting])
            waiting = [column[whole:] for column in waiting]
        if len(waiting[0]) or not count:
            shards.write([pa.array(column) for column in waiting])
    return count


class CooccurrenceCorpus(ChunkReader[PairChunk]):
    """The pairs in a folder; a unit of work is a pair. Raises WorkspaceError if the folder has none."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, NAME, SCHEMA, SCHEMA.names, lambda group: int(group.num_rows), _as_chunk)


def _as_chunk(table: pa.Table, start: int) -> PairChunk:
    # Copies: Arrow's arrays are read-only, and Numba would compile a second kernel for those.
    rows, columns, weights = (np.array(values) for values in table.columns)
    return PairChunk(rows, columns, weights, start)
