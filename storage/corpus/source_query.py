"""The result of a SQL query as a corpus: written once to a Parquet file, which is then read like any other.

The query can read files and one DuckDB database, and can't change anything or use the network: only SELECT is run,
the database is opened read-only, and with VECMILL_ALLOWED_ROOTS DuckDB itself refuses paths and links out of those
folders.
"""

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from storage.disk import replaced_file
from storage.errors import CorpusError
from storage.files.compressed import UnreadableFileError, check_regular
from storage.named_paths import allowed_roots, check_allowed
from storage.select_statements import SelectError, parsed_selects, tree_nodes

SETTING = "corpus.query"
MEMORY_LIMIT = "2GB"
BATCH_ROWS = 4096
# Functions that do more than compute a value or read a file.
REFUSED_FUNCTIONS = frozenset(
    {
        "current_setting",
        "duckdb_secrets",
        "duckdb_settings",
        "getenv",
        "getvariable",
        "nextval",
        "setseed",
        "sleep_ms",
        "write_log",
    }
)


def write_query_result(sql: str, database: Path | None, target: Path, column: str) -> None:
    """Run a query and write its rows to a Parquet file, in the order of the result.

    A single column of the result is named `column`. One thread runs it, so that equal data give equal rows in equal
    order, unless the query itself is random.
    Raises CorpusError for invalid SQL, a result without the column or an unreadable database, NotAllowedError for a
    file outside VECMILL_ALLOWED_ROOTS.
    """
    _check_sql(sql)
    if database is not None:
        _check_database(database)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with replaced_file(target) as temporary, _connected(database, target.parent) as connection:
            result = connection.execute(sql).to_arrow_reader(BATCH_ROWS)
            schema = result.schema
            if len(schema) == 1:
                schema = pa.schema([schema.field(0).with_name(column)])
            # Here, because a later error would name the temporary file of the result.
            if not {column, column.split(".")[0]} & set(schema.names):
                raise CorpusError(
                    f"{SETTING}: the result has no column {column!r}, but {', '.join(map(repr, schema.names))}; "
                    "select the text alone, or choose a column with corpus.text_column"
                )
            with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
                for batch in result:
                    writer.write_batch(pa.record_batch(batch.columns, schema=schema))
    except duckdb.Error as error:
        raise CorpusError(f"{SETTING}: DuckDB cannot run the query: {error}") from error
    except (pa.ArrowException, NotImplementedError) as error:
        raise CorpusError(
            f"{SETTING}: a column of the result cannot be stored: {error}; select the text alone"
        ) from error


def _connected(database: Path | None, spill: Path) -> duckdb.DuckDBPyConnection:
    config: dict[str, Any] = {
        "memory_limit": MEMORY_LIMIT,
        "temp_directory": str(spill),
        "threads": 1,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "python_enable_replacements": False,
    }
    try:
        connection = duckdb.connect(
            str(database) if database else ":memory:", read_only=database is not None, config=config
        )
    except duckdb.Error as error:
        raise CorpusError(f"{database} cannot be opened as a DuckDB database: {error}") from error
    connection.execute("SET enable_progress_bar = false")
    roots = allowed_roots()
    if roots is not None:
        connection.execute("SET allowed_directories = $folders", {"folders": [f"{root}/" for root in roots]})
        connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def _check_database(database: Path) -> None:
    check_allowed([database], "corpus.path")
    try:
        check_regular(database)
    except (UnreadableFileError, OSError) as error:
        raise CorpusError(f"{database} cannot be opened as a DuckDB database: {error}; fix corpus.path") from error


def _check_sql(sql: str) -> None:
    """Raise CorpusError unless DuckDB's parser finds one SELECT, or a function that does more than read."""
    try:
        statements = parsed_selects(sql)
    except SelectError as error:
        if error.is_parsed:
            raise CorpusError(f"{SETTING} only reads: use a SELECT statement") from error
        raise CorpusError(f"{SETTING}: DuckDB cannot parse the query: {error}") from error
    if len(statements) != 1:
        raise CorpusError(f"{SETTING} must be one SELECT statement; found {len(statements)}")
    for node in tree_nodes(statements):
        if node.get("class") == "FUNCTION" and str(node.get("function_name")).lower() in REFUSED_FUNCTIONS:
            raise CorpusError(f"{SETTING}: the function {node['function_name']} is not allowed")
