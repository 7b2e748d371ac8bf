"""Run user-supplied SQL read-only: it can query everything in one release and touch nothing else.

Three locks, because none of them is enough: the file is opened read-only; DuckDB may use no other file, extension or
Python variable, and refuses to change that (COPY may still write to the paths of the opened database and of its log);
so only SELECTs of allowed functions run. A query has a time limit and a memory limit.
"""

import tempfile
import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from storage.errors import QueryError, ReleaseError
from storage.releases.macros import MACROS
from storage.releases.opening import open_release, read_release_row
from storage.releases.querying import is_unicode
from storage.select_statements import SelectError, parsed_selects, sql_parser, tree_nodes

TIMEOUT_SECONDS = 60.0
MEMORY_LIMIT = "2GB"
SPILL_LIMIT = "4GB"

# The macros of a release, and DuckDB's functions that read nothing but their arguments or the catalog.
TABLE_FUNCTIONS = frozenset(
    [
        *(macro.name for macro in MACROS if not macro.scalar),
        "unnest",
        "range",
        "generate_series",
        "repeat",
        "json_each",
        "json_tree",
        "duckdb_columns",
        "duckdb_constraints",
        "duckdb_databases",
        "duckdb_functions",
        "duckdb_keywords",
        "duckdb_schemas",
        "duckdb_settings",
        "duckdb_tables",
        "duckdb_types",
        "duckdb_views",
        "pragma_table_info",
        "pragma_version",
    ]
)
# Of the functions that DuckDB calls volatile, those that only return a value.
VOLATILE_FUNCTIONS = frozenset(
    {"random", "uuid", "uuidv4", "uuidv7", "gen_random_uuid", "error", "stats", "current_query", "txid_current"}
)
# They are not volatile, but read outside the release, or wait.
REFUSED_FUNCTIONS = frozenset({"getenv", "getvariable", "pg_sleep"})


@dataclass(frozen=True)
class QueryResult:
    """Column names, made distinct, and rows of Python values. Vectors are tuples."""

    columns: list[str]
    rows: list[tuple[Any, ...]]


def run_read_only(path: Path, sql: str, timeout_seconds: float = TIMEOUT_SECONDS) -> QueryResult:
    """The result of the last of some queries to a release file.

    Raises QueryError for invalid SQL and for statements other than SELECT, ReleaseError if the file is not a release.
    """
    _check_asking(sql)
    with open_release(path) as connection:
        read_release_row(connection, path)
    with tempfile.TemporaryDirectory(prefix="vecmill-sql-") as spill:
        config: dict[str, str | bool | int | float | list[str]] = {
            "temp_directory": spill,
            "memory_limit": MEMORY_LIMIT,
            "max_temp_directory_size": SPILL_LIMIT,
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
            timer = threading.Timer(timeout_seconds, connection.interrupt)
            timer.daemon = True
            try:
                timer.start()
                answer = connection.execute(sql)
                columns = [str(column[0]) for column in answer.description or []]
                return QueryResult(_distinct(columns), answer.fetchall())
            except duckdb.InterruptException as error:
                raise QueryError(f"no answer within {timeout_seconds:g} s; see --timeout") from error
            except duckdb.Error as error:
                raise QueryError(f"DuckDB cannot run the query: {error}") from error
            finally:
                timer.cancel()


def _check_asking(sql: str) -> None:
    """Raise QueryError unless DuckDB's parser reads nothing but SELECTs of tables and of allowed functions."""
    if not is_unicode(sql):
        raise QueryError("the query is not valid UTF-8")
    try:
        statements = parsed_selects(sql)
    except SelectError as error:
        if error.is_parsed:
            raise QueryError("a published table is read-only: only SELECT statements are allowed") from error
        raise QueryError(f"DuckDB cannot run the query: {error}") from error
    if not statements:
        raise QueryError("the query is empty; try \"from nearest('king')\"")
    for node in tree_nodes(statements):
        _check_node(node)


def _check_node(node: dict[str, Any]) -> None:
    if node.get("type") == "TABLE_FUNCTION":
        name = str(node["function"]["function_name"]).lower()
        if name not in TABLE_FUNCTIONS:
            raise QueryError(f"the table function {name} is not allowed; allowed: {', '.join(sorted(TABLE_FUNCTIONS))}")
    elif node.get("class") == "FUNCTION" and str(node.get("function_name")).lower() in _refused_functions():
        raise QueryError(f"the function {node['function_name']} is not allowed: it does more than compute a value")


@cache
def _refused_functions() -> frozenset[str]:
    """All functions of this DuckDB but those that compute a value from their arguments, and harmless volatile ones.

    A function that DuckDB does not know cannot run either: extensions are not loaded.
    """
    with sql_parser().cursor() as catalog:
        volatile = catalog.execute("SELECT DISTINCT function_name FROM duckdb_functions() WHERE stability = 'VOLATILE'")
        return REFUSED_FUNCTIONS | {str(name) for (name,) in volatile.fetchall()} - VOLATILE_FUNCTIONS


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
