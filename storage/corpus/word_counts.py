"""Exact counts of more distinct words than fit in memory: partial counts on disk, added up by DuckDB."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from storage.corpus.tokens import COUNTS_SCHEMA, counts_file, counts_files
from storage.files.parquet import read_table, write_table

# DuckDB writes to disk what exceeds this.
MEMORY_LIMIT = "512MB"
# Rows of partial counts that are added up in memory, about 100 bytes each; DuckDB takes twice as long to start.
MOST_IN_MEMORY = 1 << 20
PREFIX = "unsummed-"
SUMMED = "SELECT word, sum(count)::BIGINT AS count FROM read_parquet(?) GROUP BY word"
ORDERED = f"FROM ({SUMMED}) ORDER BY count DESC, word"


class FrequentWords(NamedTuple):
    """The words (K,) and counts (K,) int64 of the most frequent words, most frequent first, ties by word.

    distinct, total, highest: of all words: how many, their occurrences, and the most occurrences of one.
    """

    words: pa.Array
    counts: NDArray[np.int64]
    distinct: int
    total: int
    highest: int


class SpilledCounts:
    """Partial counts of a segment in the folder of its stage; none if `add` was never called."""

    def __init__(self, folder: Path, segment: str) -> None:
        self._folder, self._segment = folder, segment
        self._paths: list[Path] = []

    def __len__(self) -> int:
        return len(self._paths)

    def add(self, words: pa.Array, counts: NDArray[np.int64]) -> None:
        """Write the counts of some words; a word may be in several parts."""
        path = self._folder / f"{PREFIX}{len(self):05d}.parquet"
        write_table(pa.table([words, pa.array(counts, pa.int64())], schema=COUNTS_SCHEMA), path)
        self._paths.append(path)

    def write_sum(self) -> None:
        """Write the counts of the segment, most frequent words first, and remove the parts."""
        with _connection(self._folder) as connection:
            reader = connection.execute(ORDERED, [[str(path) for path in self._paths]]).to_arrow_reader(1 << 17)
            with pq.ParquetWriter(counts_file(self._folder, self._segment), COUNTS_SCHEMA, compression="zstd") as file:
                for batch in reader:
                    file.write_batch(pa.record_batch(batch.columns, schema=COUNTS_SCHEMA))
        for path in self._paths:
            path.unlink()


def read_frequent_words(folder: Path, min_count: int, max_size: int | None, spill: Path) -> FrequentWords:
    """The words of all segments that occur at least `min_count` times, at most `max_size` of them.

    spill: folder for temporary files.  Raises WorkspaceError if a file of counts is missing or has other columns.
    """
    paths = counts_files(folder)
    if sum(pq.read_metadata(path).num_rows for path in paths) <= MOST_IN_MEMORY:
        return _added_in_memory(paths, min_count, max_size)
    return _added_on_disk([str(path) for path in paths], min_count, max_size, spill)


def _added_in_memory(paths: Sequence[Path], min_count: int, max_size: int | None) -> FrequentWords:
    counts = pa.concat_tables([read_table(path, COUNTS_SCHEMA, "word counts") for path in paths])
    if len(paths) > 1:
        counts = counts.group_by("word").aggregate([("count", "sum")]).rename_columns(["word", "count"])
    every = counts["count"].to_numpy()
    kept = counts.filter(pa.array(every >= min_count))
    # Arrow sorts strings by bytes, which for UTF-8 is code point order, as DuckDB's is.
    kept = kept.sort_by([("count", "descending"), ("word", "ascending")])[:max_size]
    words = kept["word"].combine_chunks()
    return FrequentWords(words, kept["count"].to_numpy(), len(every), int(every.sum()), int(every.max(initial=0)))


def _added_on_disk(paths: list[str], min_count: int, max_size: int | None, spill: Path) -> FrequentWords:
    with _connection(spill) as connection:
        connection.execute(f"CREATE TEMP TABLE counts AS {SUMMED}", [paths])
        distinct, total, highest = connection.execute(
            "SELECT count(*), coalesce(sum(count), 0)::BIGINT, coalesce(max(count), 0) FROM counts"
        ).fetchall()[0]
        kept = connection.execute(
            "FROM counts WHERE count >= ? ORDER BY count DESC, word LIMIT ?", [min_count, max_size or distinct]
        ).to_arrow_table()
    words = kept["word"].cast(pa.string()).combine_chunks()
    return FrequentWords(words, kept["count"].to_numpy(), distinct, total, highest)


@contextmanager
def _connection(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in a temporary folder below `folder`."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        settings: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": MEMORY_LIMIT,
            "temp_directory": name,
            "threads": 2,
        }
        with duckdb.connect(Path(name) / "counts.duckdb", config=settings) as connection:
            yield connection
