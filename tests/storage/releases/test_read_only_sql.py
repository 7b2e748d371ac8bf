"""SQL that somebody typed can ask a release anything, and neither change it nor reach another file."""

from pathlib import Path

import duckdb
import pytest

from storage.errors import QueryError, ReleaseError
from storage.layout import Workspace
from storage.releases.publishing import publish_release
from storage.releases.read_only_sql import run_read_only
from tests.storage.sample_releases import content

LURE = ["a variable that SQL must not see"]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kept file: beside it, unlike beside the table's name, a log could be made."""
    return publish_release(Workspace(tmp_path_factory.mktemp("workspace")), "news", content()).path


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT version FROM release", [(1,)]),
        ("select word from word_vectors where rank <= 2 order by rank;", [("word0",), ("word1",)]),
        ("SELECT count(*) FROM nearest('word3', k := 4)", [(4,)]),
        ("WITH first AS (FROM word_vectors LIMIT 1) SELECT count(*) FROM first", [(1,)]),
        ("VALUES (1), (2)", [(1,), (2,)]),
        ("SELECT 1; SELECT 2", [(2,)]),
        ("SELECT ';--' -- a comment", [(";--",)]),
        ("SELECT count(*) FROM (DESCRIBE word_vectors)", [(4,)]),
        ("SELECT count(*) FROM (PIVOT evaluation ON section IN ('all') USING count(*))", [(3,)]),
        ("SELECT typeof(vector) FROM word_vectors LIMIT 1", [("FLOAT[16]",)]),
        ("SELECT count(*) FROM (SUMMARIZE word_vectors)", [(4,)]),
        ("SELECT word FROM word_vectors QUALIFY row_number() OVER (ORDER BY count DESC) = 1", [("word0",)]),
        ("SELECT count(*) FROM nearest('word3', k := 4) JOIN word_vectors USING (word)", [(4,)]),
    ],
)
def test_queries_are_answered(release: Path, sql: str, rows: list[tuple[object, ...]]) -> None:
    assert run_read_only(release, sql).rows == rows


def test_columns_of_one_name_are_told_apart(release: Path) -> None:
    assert run_read_only(release, "SELECT 1 a, 2 a, 3 a_1, 4 a").columns == ["a", "a_1", "a_1_1", "a_2"]
    assert run_read_only(release, "SHOW TABLES").columns == ["name"]


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE release SET version = 9",
        "DELETE FROM word_vectors_v1",
        "DROP VIEW word_vectors",
        "CREATE TABLE mine (x INTEGER)",
        "CREATE OR REPLACE MACRO similarity(a, b) AS 1",
        "ATTACH '{secret}.duckdb' AS other",
        "ATTACH ':memory:' AS other",
        "COPY release TO '{folder}/out.csv'",
        "COPY release TO '{release}'",
        "COPY release TO '{release}.wal'",
        "EXPLAIN ANALYZE COPY release TO '{release}.wal'",
        "EXPORT DATABASE '{folder}/out'",
        "FROM '{secret}'",
        "FROM read_csv('{secret}')",
        "FROM read_text('{secret}')",
        "FROM read_blob('{secret}')",
        "FROM glob('{folder}/*')",
        "FROM query_table('{secret}')",
        "FROM query('FROM ''{secret}''')",
        "FROM drift('\"{secret}\"')",
        "FROM read_text('/etc/hostname')",
        "FROM 'https://127.0.0.1:9/x.parquet'",
        "FROM LURE",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "RESET enable_external_access",
        "PRAGMA enable_profiling",
        "CALL enable_logging(storage = 'file', storage_path = '{folder}/log')",
        "CREATE SECRET s (TYPE http)",
        "PREPARE p AS COPY release TO '{folder}/out.csv'",
        "SELECT 1; COPY release TO '{folder}/out.csv'",
        "CHECKPOINT",
        "FORCE CHECKPOINT",
        "VACUUM",
        "BEGIN",
        "IMPORT DATABASE '{folder}'",
        "SELEKT 1",
        "SELECT * FROM no_such_table",
        "SELECT similarity('a')",
        "",
        "-- nothing",
        "\0",
        "';",
    ],
)
def test_whatever_else_is_refused_and_leaves_no_trace(release: Path, tmp_path: Path, sql: str) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("word,count\nsecret,1\n")
    duckdb.connect(f"{secret}.duckdb").execute("CREATE TABLE word_vectors AS SELECT 'secret' AS word").close()
    before = release.read_bytes()
    places = [*tmp_path.rglob("*"), *release.parent.rglob("*")]
    with pytest.raises(QueryError):
        run_read_only(release, sql.format(secret=secret, folder=tmp_path, release=release))
    assert release.read_bytes() == before
    assert [*tmp_path.rglob("*"), *release.parent.rglob("*")] == places


ALLOWED = {
    "unnest",
    "range",
    "generate_series",
    "repeat",
    "json_each",
    "json_tree",
    "pragma_table_info",
    "pragma_version",
}
CATALOG = {
    f"duckdb_{name}"
    for name in [
        "columns",
        "constraints",
        "databases",
        "functions",
        "keywords",
        "schemas",
        "settings",
        "tables",
        "types",
        "views",
    ]
}


def test_no_other_table_function_of_duckdb_is_run(release: Path) -> None:
    names = duckdb.execute("SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type LIKE 'table%'")
    refused = {name for (name,) in names.fetchall()} - ALLOWED - CATALOG
    assert len(refused) > 50
    for name in refused:
        for sql in (f"FROM {name}()", f"WITH a AS (FROM {name}('x')) FROM a", f"SELECT (SELECT 1 FROM main.{name}())"):
            with pytest.raises(QueryError, match="not allowed"):
                run_read_only(release, sql)


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("IMPORT DATABASE '/proc/self'", "only SELECT"),
        ("FROM enable_logging(storage := 'file')", "enable_logging is not allowed"),
        ("CALL enable_logging()", "only SELECT"),
        ("SELECT write_log('x')", "write_log is not allowed"),
        ("SELEKT 1", "syntax error"),
    ],
)
def test_the_reason_of_a_refusal_is_named(release: Path, sql: str, reason: str) -> None:
    with pytest.raises(QueryError, match=reason):
        run_read_only(release, sql)


def test_a_query_that_takes_too_long_is_interrupted(release: Path) -> None:
    with pytest.raises(QueryError, match=r"within 0\.2 s"):
        run_read_only(release, "SELECT count(*) FROM range(10000000) a, range(10000000) b", 0.2)


def test_what_is_no_release_is_named(tmp_path: Path) -> None:
    (tmp_path / "news.duckdb").write_text("not a database")
    with pytest.raises(ReleaseError, match=r"news\.duckdb"):
        run_read_only(tmp_path / "news.duckdb", "SELECT 1")
