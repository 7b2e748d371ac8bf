"""SQL that somebody typed, run against one release: it can ask everything of it and touch nothing else.

Three locks, because none of them is enough: the file is opened read-only; DuckDB may use no other file, extension or
Python variable, and cannot be told otherwise (it still leaves the paths of the opened database and of its log open to
COPY); so only statements that ask are run.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from storage.errors import QueryError, ReleaseError
from storage.release_reader import open_release, read_release_row


@dataclass(frozen=True)
class QueryResult:
    """Column names, made distinct, and rows of Python values. Vectors come as tuples."""

    columns: list[str]
    rows: list[tuple[Any, ...]]


def run_read_only(path: Path, sql: str) -> QueryResult:
    """The answer to the last of some queries to a release file.

    Raises QueryError for SQL that is wrong, or does something else than ask; ReleaseError if the file is no release.
    """
    with open_release(path) as connection:
        read_release_row(connection, path)
    with tempfile.TemporaryDirectory(prefix="vecmill-sql-") as spill:
        config: dict[str, str | bool | int | float | list[str]] = {
            "temp_directory": spill,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "python_enable_replacements": False,
        }
        try:
            connection = duckdb.connect(str(path), read_only=True, config=config)
            connection.execute("SET enable_progress_bar = false")
            connection.execute("SET enable_external_access = false")
            connection.execute("SET lock_configuration = true")
        except duckdb.Error as error:
            raise ReleaseError(f"{path} cannot be opened: {error}") from error
        with connection:
            try:
                _check_asking(sql)
                answer = connection.execute(sql)
                columns = [str(column[0]) for column in answer.description or []]
                return QueryResult(_distinct(columns), answer.fetchall())
            except duckdb.Error as error:
                raise QueryError(f"DuckDB cannot answer that: {error}") from error


def _check_asking(sql: str) -> None:
    statements = duckdb.extract_statements(sql)
    if not statements:
        raise QueryError("there is no query in it; try \"from nearest('king')\"")
    for statement in statements:
        if statement.type != duckdb.StatementType.SELECT:
            raise QueryError(
                f"a published table is asked, not changed: {statement.type.name} is not run; "
                "open the file with DuckDB to do more with a copy of it"
            )


def _distinct(names: list[str]) -> list[str]:
    """`a`, `a_1`, `a_2` for columns of the same name, so that a row can be an object."""
    seen: dict[str, int] = {}
    distinct = []
    for name in names:
        chosen = name
        while chosen in seen:
            seen[name] += 1
            chosen = f"{name}_{seen[name]}"
        seen[chosen] = 0
        distinct.append(chosen)
    return distinct
