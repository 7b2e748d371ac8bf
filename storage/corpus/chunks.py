"""Chunks of a table for training: each row group is one, and they are read in a fixed order, from any chunk on."""

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, Generic, TypeVar

import pyarrow as pa

from storage.corpus.shards import open_shards

Chunk = TypeVar("Chunk")


class ChunkReader(Generic[Chunk]):
    """The chunks of a table in a folder. Opening reads only the footers.

    units: metadata of a row group -> units of work in it, such as tokens.  as_chunk: rows of the columns, and the units
    before them -> a chunk.  Raises WorkspaceError if the folder has no such table.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        schema: pa.Schema,
        columns: Sequence[str],
        units: Callable[[Any], int],
        as_chunk: Callable[[pa.Table, int], Chunk],
    ) -> None:
        self._table = folder, name, schema
        self._columns, self._as_chunk = list(columns), as_chunk
        groups = (
            units(shard.metadata.row_group(number))
            for shard in open_shards(*self._table)
            for number in range(shard.num_row_groups)
        )
        self._starts: list[int] = list(accumulate(groups, initial=0))

    @property
    def token_count(self) -> int:
        """Units of work in one pass, which are encoded tokens or pairs."""
        return self._starts[-1]

    @property
    def chunk_count(self) -> int:
        """Chunks in one pass."""
        return len(self._starts) - 1

    def read_chunks(self, first: int = 0, step: int = 1) -> Iterator[Chunk]:
        """Every step-th chunk from number `first` on, in order."""
        chunk = 0
        for shard in open_shards(*self._table):
            for number in range(shard.num_row_groups):
                if chunk >= first and (chunk - first) % step == 0:
                    rows = shard.read_row_group(number, columns=self._columns)
                    yield self._as_chunk(rows, self._starts[chunk])
                chunk += 1
