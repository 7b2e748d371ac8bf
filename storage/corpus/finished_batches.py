"""Batches of rows kept while a slow stage runs, so that a killed run resumes, and that are read more than once."""

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from storage.corpus.finished_shards import PREFIX as FINISHED
from storage.corpus.segments import Batch, RowTable
from storage.disk import replaced_file
from storage.files.parquet import read_table, write_table

PREFIX = "unfinished-"


def clear_interrupted(stage_folder: Path, segment: str) -> None:
    """Remove what an interrupted run has written into the folder of its stage, except what it has finished.

    segment: start of the names of the stage's own shards.
    """
    for path in stage_folder.iterdir():
        if path.is_file():
            if not path.name.startswith((f"{segment}-", FINISHED)):
                path.unlink()
        elif not path.name.startswith(PREFIX):
            shutil.rmtree(path)


class FinishedBatches:
    """Numbered batches in a separate folder, each complete or absent.

    identity: what the batches depend on, in addition to the stage; batches of another identity are removed.
    """

    def __init__(self, stage_folder: Path, table: RowTable, identity: Sequence[object]) -> None:
        name = hashlib.sha256(repr(list(identity)).encode()).hexdigest()[:16]
        self._folder = stage_folder / f"{PREFIX}{name}"
        self._schema = table.schema.insert(0, pa.field("file", pa.int64(), nullable=False))
        for path in stage_folder.glob(f"{PREFIX}*"):
            if path != self._folder:
                shutil.rmtree(path)
        self._folder.mkdir(exist_ok=True)

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and self._path(number).exists()

    def __len__(self) -> int:
        return sum(1 for _ in self._folder.glob("*.parquet"))

    def write(self, number: int, batch: Batch) -> None:
        """Keep a batch. Atomic."""
        columns = [pa.array(batch.files), *batch.columns]
        arrays = [column.cast(field.type) for column, field in zip(columns, self._schema, strict=True)]
        with replaced_file(self._path(number)) as temporary:
            write_table(pa.Table.from_arrays(arrays, schema=self._schema), temporary)

    def read(self, number: int) -> Batch:
        """One batch. Raises WorkspaceError if its file is missing or has other columns."""
        table = read_table(self._path(number), self._schema, "unfinished batches").combine_chunks()
        files, *columns = (column.combine_chunks() for column in table.columns)
        return Batch(files.to_numpy(), columns)

    def __iter__(self) -> Iterator[Batch]:
        return (self.read(number) for number in range(len(self)))

    def remove(self) -> None:
        """Delete the batches, once the stage holds their content."""
        shutil.rmtree(self._folder)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06d}.parquet"
