"""A large table as numbered Parquet files, written and read one row group at a time."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from storage.disk import sync_path
from storage.errors import WorkspaceError
from storage.files.parquet import check_schema

# Start a new file after this many bytes in memory: few files, each small enough to copy.
SHARD_BYTES = 1 << 28


class ShardWriter:
    """Writes `<name>-00000.parquet`, `<name>-00001.parquet`, … into a folder; each batch becomes one row group.

    A thread encodes and compresses one batch while the caller prepares the next. It raises its error then.
    A shard has its name only when it is complete.
    first: number of the first shard.  on_shard: called with the number of each shard that is complete, but the last.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        schema: pa.Schema,
        *,
        first: int = 0,
        on_shard: Callable[[int], None] = lambda number: None,
        **parquet_options: Any,  # noqa: ANN401
    ) -> None:
        self._folder = folder
        self._name = name
        self._schema = schema
        self._options = parquet_options
        self._writer: Any = None
        self._number = first
        self._on_shard = on_shard
        self._shard_bytes = 0
        self._thread = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None

    def write(self, columns: Sequence[pa.Array]) -> None:
        """Append rows: one array per field, cast to the schema."""
        arrays = [column.cast(field.type) for column, field in zip(columns, self._schema, strict=True)]
        batch = pa.record_batch(arrays, schema=self._schema)
        self._wait()
        if self._shard_bytes >= SHARD_BYTES:
            self._finish()
            self._on_shard(self._number - 1)
        self._writing = self._thread.submit(self._write, batch)

    def _wait(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def _write(self, batch: pa.RecordBatch) -> None:
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._unfinished, self._schema, **self._options)
        self._writer.write_batch(batch, row_group_size=max(1, batch.num_rows))
        self._shard_bytes += batch.nbytes

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._wait()
        finally:
            self._thread.shutdown()
            self._close()
        if error is None and self._unfinished.exists():
            self._finish()

    @property
    def _unfinished(self) -> Path:
        return self._folder / f"{self._name}-{self._number:05d}.unfinished"

    def _finish(self) -> None:
        self._close()
        sync_path(self._unfinished)
        self._unfinished.replace(shard_file(self._folder, self._name, self._number))
        self._number += 1
        self._shard_bytes = 0

    def _close(self) -> None:
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.close()


class OpenShards:
    """All shards of a table, for reading row groups in any order; row groups are numbered across shards.

    Raises WorkspaceError if there are no shards, or one has another schema.
    """

    def __init__(self, folder: Path, name: str, schema: pa.Schema, **parquet_options: Any) -> None:  # noqa: ANN401
        self._stack = ExitStack()
        self._shards = [
            self._stack.enter_context(_opened(path, name, schema, parquet_options)) for path in _paths(folder, name)
        ]
        group_rows = [
            shard.metadata.row_group(number).num_rows
            for shard in self._shards
            for number in range(shard.num_row_groups)
        ]
        # (G + 1,) first row of every row group, then the number of rows.
        self.group_starts = np.concatenate([[0], np.cumsum(group_rows, dtype=np.int64)])
        self._shard_ends = list(accumulate(shard.num_row_groups for shard in self._shards))

    def read_row_group(self, number: int) -> pa.Table:
        """One row group. Raises IndexError if there are fewer."""
        shard = bisect_right(self._shard_ends, number)
        return self._shards[shard].read_row_group(number - (self._shard_ends[shard - 1] if shard else 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self._stack.close()


def open_shards(folder: Path, name: str, schema: pa.Schema, **parquet_options: Any) -> Iterator[Any]:  # noqa: ANN401
    """Open each shard in order. Raises WorkspaceError if there are none, or one has another schema."""
    for path in _paths(folder, name):
        with _opened(path, name, schema, parquet_options) as shard:
            yield shard


def shard_file(folder: Path, name: str, number: int) -> Path:
    """The file of a shard."""
    return folder / f"{name}-{number:05d}.parquet"


def _paths(folder: Path, name: str) -> list[Path]:
    paths = sorted(folder.glob(f"{name}-*.parquet"))
    if not paths:
        raise WorkspaceError(f"{folder} contains no {name} files; delete the folder and run again")
    return paths


def _opened(path: Path, name: str, schema: pa.Schema, parquet_options: Mapping[str, Any]) -> Any:  # noqa: ANN401
    check_schema(path, schema, name)
    return pq.ParquetFile(path, **parquet_options)
