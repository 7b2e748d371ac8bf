"""Small tables of a stage as Parquet files with a fixed schema."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from storage.errors import WorkspaceError


def write_table(table: pa.Table, path: Path) -> None:
    """Write a table, compressed with zstd."""
    pq.write_table(table, path, compression="zstd")


def read_table(path: Path, schema: pa.Schema, content: str) -> pa.Table:
    """A table with exactly this schema. content: what the file holds, for messages.

    Raises WorkspaceError if the file is missing or has other columns.
    """
    check_schema(path, schema, content)
    return pq.read_table(path)


def check_schema(path: Path, schema: pa.Schema, content: str) -> None:
    """Raise WorkspaceError if a Parquet file is missing or has other columns than `schema`."""
    if not path.is_file():
        raise WorkspaceError(f"{path} is missing; delete its folder and run again")
    if not pq.read_schema(path).equals(schema):
        raise WorkspaceError(f"{path} does not have the columns of {content}; delete its folder and run again")
