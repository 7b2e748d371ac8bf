"""The shards that a killed stage has finished, so that the next run writes only the missing ones.

Next to each finished shard is a record of the rows of each source file in it. Both are complete or absent.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from storage.corpus.shards import shard_file
from storage.disk import replaced_file
from storage.errors import WorkspaceError
from storage.files.parquet import read_table, write_table

RECORD_SCHEMA = pa.schema(
    [
        pa.field("file", pa.int64(), nullable=False),  # number of the source file
        pa.field("rows", pa.int64(), nullable=False),
        pa.field("documents", pa.int64(), nullable=False),  # of the file, up to the end of these rows
        pa.field("size", pa.int64(), nullable=False),  # of these rows, as in the index
    ]
)
PREFIX = "finished-"


class Run(NamedTuple):
    """Consecutive rows of one source file, as in RECORD_SCHEMA."""

    file: int
    rows: int
    documents: int
    size: int


class FinishedShards:
    """The first shards of a segment that is written.

    name: of the segment's files.  identity: what its rows depend on, in addition to the stage; shards of another
    identity are removed.  shards: how many a killed run has finished.  runs: all rows in these, in order.
    """

    def __init__(self, folder: Path, name: str, identity: Sequence[object]) -> None:
        self._folder, self._name = folder, name
        self._identity = hashlib.sha256(repr(list(identity)).encode()).hexdigest()[:16]
        self.shards = 0
        self.runs: list[Run] = []
        while (found := self._recorded(self.shards)) is not None:
            self.runs += found
            self.shards += 1
        kept = {path for number in range(self.shards) for path in (self._shard(number), self._record(number))}
        for pattern in (f"{name}-*", f"{PREFIX}*.parquet"):
            for path in folder.glob(pattern):
                if path not in kept:
                    path.unlink()

    @property
    def rows(self) -> int:
        """Rows in the shards of the killed run."""
        return sum(run.rows for run in self.runs)

    def read(self, **parquet_options: Any) -> Iterator[Sequence[pa.Array]]:  # noqa: ANN401
        """The columns of these rows, by row group."""
        for number in range(self.shards):
            with pq.ParquetFile(self._shard(number), **parquet_options) as shard:
                for group in range(shard.num_row_groups):
                    for batch in shard.read_row_group(group).to_batches():
                        yield batch.columns

    def record(self, number: int, runs: Sequence[Run]) -> None:
        """Record the rows of another shard that is complete."""
        columns = zip(*runs, strict=True)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, RECORD_SCHEMA, strict=True)]
        with replaced_file(self._record(number)) as temporary:
            write_table(pa.table(arrays, schema=RECORD_SCHEMA), temporary)

    def remove_records(self) -> None:
        """Delete the records, once the segment is complete."""
        for path in self._folder.glob(f"{PREFIX}*.parquet"):
            path.unlink()

    def _shard(self, number: int) -> Path:
        return shard_file(self._folder, self._name, number)

    def _record(self, number: int) -> Path:
        return self._folder / f"{PREFIX}{self._identity}-{number:05d}.parquet"

    def _recorded(self, number: int) -> list[Run] | None:
        """The runs of a shard; None if the shard or its record is missing or damaged."""
        try:
            rows = pq.read_metadata(self._shard(number)).num_rows
            table = read_table(self._record(number), RECORD_SCHEMA, "finished shards")
        except (OSError, pa.ArrowInvalid, WorkspaceError):
            return None
        runs = [Run(*values) for values in zip(*(column.to_pylist() for column in table.columns), strict=True)]
        return runs if sum(run.rows for run in runs) == rows else None
