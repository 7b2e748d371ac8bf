"""Rows of many source files in the folder of a stage, in segments, for incremental corpora.

A segment is the output of one stage: `<table>-<digest of that stage>-00000.parquet` and so on. The rows of a source
file are contiguous in one segment, and an index next to the segments locates them. So the next stage can link existing
segments and write only the rows of new files (see known_rows.py).
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from storage.corpus.finished_shards import FinishedShards, Run
from storage.corpus.shards import OpenShards, ShardWriter
from storage.files.parquet import read_table, write_table

INDEX = "files.parquet"
INDEX_SCHEMA = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),  # of the source file; one row per file, in corpus order
        pa.field("key", pa.string(), nullable=False),  # changes with the file's content and the settings
        pa.field("segment", pa.string(), nullable=False),  # digest of the stage that wrote its rows
        pa.field("first_row", pa.int64(), nullable=False),  # counted from 0 through the segment
        pa.field("rows", pa.int64(), nullable=False),
        pa.field("documents", pa.int64(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),  # bytes of its text, or its tokens
    ]
)
# Rows of small files share row groups of up to this many rows; a worker processes one row group at a time.
GROUP_ROWS = 1 << 17
# Row groups cached while reading: files of two segments may alternate in corpus order.
GROUPS_IN_MEMORY = 16


class RowTable(NamedTuple):
    """A table stored in segments. Its first column is document_id, from 0 in each source file.

    row_sizes: columns of R rows -> (R,) integers, each row's share of `size`.  group_size: size of a full row group.
    written: the schema with the types that rows are written from, if not the same; the files don't show it.
    """

    name: str
    schema: pa.Schema
    row_sizes: Callable[[Sequence[pa.Array]], NDArray[np.int64]]
    group_size: int
    parquet_options: Mapping[str, Any]
    written: pa.Schema | None = None

    def segment_name(self, segment: str) -> str:
        """Prefix of the file names of a segment."""
        return f"{self.name}-{segment}"


@dataclass(frozen=True)
class FileRows:
    """Location and number of the rows of one source file, as in INDEX_SCHEMA."""

    name: str
    key: str
    segment: str
    first_row: int
    rows: int
    documents: int
    size: int


class Batch(NamedTuple):
    """R rows of the corpus. files: (R,) source file number of each row.  columns: one array per field."""

    files: NDArray[np.int64]
    columns: Sequence[pa.Array]


def write_segment(
    folder: Path,
    table: RowTable,
    segment: str,
    batches: Iterable[Batch],
    on_write: Callable[[Sequence[pa.Array]], None] | None = None,
    finished: FinishedShards | None = None,
) -> dict[int, FileRows]:
    """Write rows; those of each source file must be contiguous. Returns their location by file, without name and key.

    Files without rows are not in the result.  on_write: called with the columns of each row group.
    finished: shards of a killed run, and where to record the others; `batches` are the rows after the former.
    """
    places: dict[int, FileRows] = {}
    written = 0
    unrecorded: list[Run] = []

    def add(run: Run) -> None:
        nonlocal written
        before = places.get(run.file) or FileRows("", "", segment, written, 0, 0, 0)
        rows, size = before.rows + run.rows, before.size + run.size
        places[run.file] = replace(before, rows=rows, documents=run.documents, size=size)
        written += run.rows

    def record(shard: int) -> None:
        if finished is not None:
            finished.record(shard, unrecorded)
        unrecorded.clear()

    for run in finished.runs if finished is not None else ():
        add(run)
    schema = table.written or table.schema
    first = finished.shards if finished is not None else 0
    name = table.segment_name(segment)
    with ShardWriter(folder, name, schema, first=first, on_shard=record, **table.parquet_options) as shards:
        for files, columns in _full_groups(table, (_cast(batch, schema) for batch in batches)):
            shards.write(columns)
            if on_write is not None:
                on_write(columns)
            starts = np.flatnonzero(np.diff(files, prepend=-1))
            ends = np.append(starts[1:], len(files))
            sizes = np.add.reduceat(table.row_sizes(columns), starts)
            documents = columns[0].to_numpy()[ends - 1] + 1
            for values in zip(*(a.tolist() for a in (files[starts], ends - starts, documents, sizes)), strict=True):
                add(Run(*values))
                unrecorded.append(Run(*values))
    if finished is not None:
        finished.remove_records()
    return places


def rows_after(batches: Iterable[Batch], rows: int) -> Iterator[Batch]:
    """The batches without their first rows."""
    for files, columns in batches:
        if rows < len(files):
            yield Batch(files[rows:], [column[rows:] for column in columns]) if rows else Batch(files, columns)
        rows = max(0, rows - len(files))


def _cast(batch: Batch, schema: pa.Schema) -> Batch:
    columns = zip(batch.columns, schema, strict=True)
    return Batch(batch.files, [column.cast(field.type) for column, field in columns])


def _full_groups(table: RowTable, batches: Iterable[Batch]) -> Iterator[Batch]:
    """The batches, with small ones merged."""
    waiting: list[Batch] = []
    rows = size = 0
    for batch in batches:
        waiting.append(batch)
        rows += len(batch.files)
        size += int(table.row_sizes(batch.columns).sum())
        if rows >= GROUP_ROWS or size >= table.group_size:
            yield _joined(waiting)
            waiting, rows, size = [], 0, 0
    if waiting:
        yield _joined(waiting)


def _joined(batches: list[Batch]) -> Batch:
    if len(batches) == 1:
        return batches[0]
    columns = zip(*(batch.columns for batch in batches), strict=True)
    return Batch(np.concatenate([batch.files for batch in batches]), [pa.concat_arrays(column) for column in columns])


def write_index(folder: Path, rows: Iterable[FileRows]) -> None:
    """Write the index of all source files, in corpus order."""
    table = pa.Table.from_pylist([vars(row) for row in rows], schema=INDEX_SCHEMA)
    write_table(table, folder / INDEX)


def read_index(folder: Path) -> list[FileRows]:
    """Read the index of all source files. Raises WorkspaceError if it is missing or has other columns."""
    return [FileRows(**row) for row in read_table(folder / INDEX, INDEX_SCHEMA, "an index").to_pylist()]


def read_segments(
    folder: Path,
    table: RowTable,
    only: Collection[int] | None = None,
    **parquet_options: Any,  # noqa: ANN401
) -> Iterator[Batch]:
    """The rows of all source files, or of the file numbers in `only`, in corpus order."""
    wanted = [(file, rows) for file, rows in enumerate(read_index(folder)) if only is None or file in only]
    return read_rows(folder, table, wanted, **parquet_options)


def read_rows(
    folder: Path,
    table: RowTable,
    wanted: Iterable[tuple[int, FileRows]],
    **parquet_options: Any,  # noqa: ANN401
) -> Iterator[Batch]:
    """Rows of numbered source files; each batch is the contiguous part of a row group.

    Raises WorkspaceError if a segment is missing.
    """
    with _OpenSegments(folder, table, parquet_options) as segments:
        for segment, first_row, files in _stretches(wanted):
            yield from segments.read(segment, first_row, files)


def _stretches(wanted: Iterable[tuple[int, FileRows]]) -> Iterator[tuple[str, int, NDArray[np.int64]]]:
    """Contiguous rows of consecutive files: segment, first row, and the file number of each row."""
    segment, first_row, end = "", 0, 0
    files: list[int] = []
    counts: list[int] = []
    for file, rows in wanted:
        if not rows.rows:
            continue
        if (rows.segment, rows.first_row) != (segment, end):
            if files:
                yield segment, first_row, np.repeat(files, counts)
            segment, first_row = rows.segment, rows.first_row
            files, counts = [], []
        files.append(file)
        counts.append(rows.rows)
        end = rows.first_row + rows.rows
    if files:
        yield segment, first_row, np.repeat(files, counts)


class _OpenSegments:
    """The segments in a folder, opened on first use."""

    def __init__(self, folder: Path, table: RowTable, parquet_options: Mapping[str, Any]) -> None:
        self._stack = ExitStack()
        self._shards: dict[str, OpenShards] = {}

        def opened(segment: str) -> OpenShards:
            if segment not in self._shards:
                shards = OpenShards(folder, table.segment_name(segment), table.schema, **parquet_options)
                self._shards[segment] = self._stack.enter_context(shards)
            return self._shards[segment]

        self._opened = opened
        self._group = lru_cache(GROUPS_IN_MEMORY)(lambda segment, group: opened(segment).read_row_group(group))

    def read(self, segment: str, first_row: int, files: NDArray[np.int64]) -> Iterator[Batch]:
        """Rows from `first_row` on; `files` has the source file number of each."""
        starts = self._opened(segment).group_starts
        done = 0
        while done < len(files):
            row = first_row + done
            group = int(np.searchsorted(starts, row, side="right")) - 1
            rows = min(int(starts[group + 1]) - row, len(files) - done)
            for batch in self._group(segment, group).slice(row - int(starts[group]), rows).to_batches():
                yield Batch(files[done : done + batch.num_rows], batch.columns)
                done += batch.num_rows

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self._group.cache_clear()
        self._stack.close()
