"""Open a release file and read the tables that describe it.

Every connection is read-only: a release is never written again, and a reader never keeps a publisher waiting.
Queries of one word or of the list of releases need only this module, so it imports no numeric library.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import duckdb

from storage.errors import ReleaseError
from storage.models.rows import Row
from storage.releases.schema import FORMAT_VERSION, ReleaseRow

AnyRow = TypeVar("AnyRow", bound=Row)


# Without a limit DuckDB keeps what a scan has read, up to four fifths of the machine's memory.
SCAN_MEMORY = "1GiB"


@contextmanager
def open_release(path: Path, *, scan: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection to a release file. Raises ReleaseError if it, or the result of a query, is unreadable.

    scan: the whole file is read once, so it need not stay in memory.
    """
    if path.exists() and not path.is_file():
        raise ReleaseError(f"{path} cannot be read as a release: not a regular file")
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            # After two seconds DuckDB would draw one on stdout, where programs read JSON.
            # In Jupyter without ipywidgets it draws none, and refuses the setting.
            with suppress(duckdb.InvalidInputException):
                connection.execute("SET enable_progress_bar = false")
            if scan:
                connection.execute(f"SET memory_limit = '{SCAN_MEMORY}'")
            yield connection
    except duckdb.Error as error:
        raise ReleaseError(f"{path} cannot be read as a release: {_reason(path, error)}") from error
    except (ValueError, OverflowError, _arrow_exception()) as error:
        # A value that its column has in no release.
        raise ReleaseError(f"{path} is damaged: {str(error).splitlines()[0]}") from error


def read_rows(connection: duckdb.DuckDBPyConnection, table: str, model: type[AnyRow]) -> list[AnyRow]:
    """Every row of one of the tables of schema.py, in the order it was written.

    Columns that a file of an earlier format does not have get their defaults.
    """
    columns = connection.execute(
        "SELECT column_name FROM duckdb_columns() WHERE database_name = current_database() AND table_name = ?", [table]
    ).fetchall()
    present = {name for (name,) in columns}
    names = [name for name, field in model.model_fields.items() if name in present or field.is_required()]
    found = connection.execute(f"SELECT {', '.join(names)} FROM {table} ORDER BY rowid").fetchall()
    return [
        model(
            **{
                name: value.replace(tzinfo=UTC) if isinstance(value, datetime) else value
                for name, value in zip(names, values, strict=True)
            }
        )
        for values in found
    ]


def read_release_row(connection: duckdb.DuckDBPyConnection, path: Path) -> ReleaseRow:
    """The `release` row of an open file. Raises ReleaseError if a later vecmill wrote it."""
    written = connection.execute("SELECT format_version FROM release").fetchall()
    if len(written) != 1:
        raise ReleaseError(f"{path} is damaged: its table `release` has {len(written)} rows, not one")
    if written[0][0] > FORMAT_VERSION:
        raise ReleaseError(
            f"{path} has format version {written[0][0]}, this vecmill reads up to {FORMAT_VERSION}; update it"
        )
    return read_rows(connection, "release", ReleaseRow)[0]


def log_file(path: Path) -> Path:
    """Where DuckDB keeps what was written to a database and is not in its file yet."""
    return path.with_name(path.name + ".wal")


def _arrow_exception() -> type[Exception]:
    """Pyarrow's base class of errors; an `except` clause evaluates this only after an error."""
    from pyarrow import ArrowException

    return ArrowException  # type: ignore[no-any-return]


def _reason(path: Path, error: duckdb.Error) -> str:
    message = str(error).splitlines()[0]
    log = log_file(path)
    if "WAL" in message and log.exists():
        return (
            f"a program that opened it without read_only=True has left its changes in {log.name}; "
            f"remove that file ({message})"
        )
    if "Could not set lock" in message:
        return f"another program has it open for writing; close that, and open it with read_only=True ({message})"
    return message
