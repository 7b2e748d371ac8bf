"""SQL that somebody typed can ask a release anything, and neither change it nor reach another file."""

import re
from pathlib import Path

import duckdb
import pytest

from storage.errors import QueryError, ReleaseError
from storage.layout import Workspace
from storage.releases import read_only_sql
from storage.releases.publishing import publish_release
from storage.releases.read_only_sql import _check_asking, run_read_only
from tests.storage.sample_releases import content

LURE = ["a variable that SQL must not see"]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kept file: a log could be created next to it, but not next to the file with the table's name."""
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
        (
            "SELECT tokenize('A Film!'), len(text_vector('word3 word4')), known(['word3', 'x'])",
            [(["a", "film"], 16, ["word3"])],
        ),
        ("SELECT count(*) FROM most_similar(['word3'], ['word4'], k := 4)", [(4,)]),
        ("SELECT count(*) FROM (DESCRIBE word_vectors)", [(5,)]),
        ("SELECT count(*) FROM (PIVOT evaluation ON section IN ('all') USING count(*))", [(3,)]),
        ("SELECT typeof(vector) FROM word_vectors LIMIT 1", [("FLOAT[16]",)]),
        ("SELECT count(*) FROM (SUMMARIZE word_vectors)", [(5,)]),
        ("SELECT word FROM word_vectors QUALIFY row_number() OVER (ORDER BY count DESC) = 1", [("word0",)]),
        ("SELECT count(*) FROM nearest('word3', k := 4) JOIN word_vectors USING (word)", [(4,)]),
    ],
)
def test_queries_are_answered(release: Path, sql: str, rows: list[tuple[object, ...]]) -> None:
    assert run_read_only(release, sql).rows == rows


def test_columns_with_the_same_name_are_distinguished(release: Path) -> None:
    assert run_read_only(release, "SELECT 1 a, 2 a, 3 a_1, 4 a").columns == ["a", "a_1", "a_1_1", "a_2"]
    assert run_read_only(release, "SHOW TABLES").columns == ["name"]


ONLY_SELECT = "only SELECT"
NO_FILES = "disabled|does not exist|extension|not allowed"
# A reason (a pattern) -> what is refused for it.
REFUSED = {
    ONLY_SELECT: """
        UPDATE release SET version = 9
        UPDATE word_vectors SET count = 0
        INSERT INTO release SELECT * FROM release
        INSERT OR REPLACE INTO settings VALUES ('a', 'b')
        DELETE FROM word_vectors_v1
        DELETE FROM release
        TRUNCATE release
        MERGE INTO release USING release AS other ON release.version = other.version WHEN MATCHED THEN DELETE
        DROP VIEW word_vectors
        DROP TABLE release
        DROP MACRO similarity
        DROP SCHEMA main CASCADE
        CREATE TABLE mine (x INTEGER)
        CREATE TABLE mine AS FROM release
        CREATE OR REPLACE TABLE release AS SELECT 1
        CREATE TEMP TABLE mine (x INTEGER)
        CREATE VIEW mine AS SELECT 1
        CREATE OR REPLACE VIEW word_vectors AS SELECT 1
        CREATE OR REPLACE MACRO similarity(a, b) AS 1
        CREATE TEMP MACRO mine() AS 1
        CREATE SCHEMA mine
        CREATE SEQUENCE mine
        CREATE TYPE mine AS ENUM ('a')
        CREATE INDEX mine ON release (version)
        CREATE SECRET mine (TYPE http)
        CREATE PERSISTENT SECRET mine (TYPE http)
        DROP SECRET mine
        ALTER TABLE release RENAME TO other
        ALTER TABLE release ADD COLUMN x INTEGER
        ALTER VIEW word_vectors RENAME TO other
        COMMENT ON TABLE release IS 'mine'
        ATTACH '{secret}.duckdb' AS other
        ATTACH ':memory:' AS other
        ATTACH '{release}' AS again (READ_ONLY)
        ATTACH 'https://127.0.0.1:9/x.duckdb'
        DETACH v000001
        USE memory
        COPY release TO '{folder}/out.csv'
        COPY release TO '{folder}/out.parquet'
        COPY release TO '{release}'
        COPY release TO '{release}.wal'
        COPY release TO '/dev/stdout'
        COPY (SELECT 1) TO '{folder}/out.json'
        COPY release FROM '{secret}'
        COPY FROM DATABASE v000001 TO memory
        EXPORT DATABASE '{folder}/out'
        EXPORT DATABASE '{folder}/out' (FORMAT parquet)
        IMPORT DATABASE '{folder}'
        IMPORT DATABASE '/proc/self'
        EXPLAIN SELECT 1
        EXPLAIN COPY release TO '{folder}/out.csv'
        EXPLAIN ANALYZE COPY release TO '{release}.wal'
        EXPLAIN ANALYZE INSERT INTO release FROM release
        INSTALL httpfs
        FORCE INSTALL httpfs
        INSTALL httpfs FROM '{folder}'
        LOAD httpfs
        LOAD '{folder}/x.duckdb_extension'
        UPDATE EXTENSIONS
        SET enable_external_access = true
        SET lock_configuration = false
        SET GLOBAL memory_limit = '1TB'
        SET SESSION threads = 99
        SET temp_directory = '{folder}'
        SET home_directory = '{folder}'
        SET secret_directory = '{folder}'
        SET extension_directory = '{folder}'
        SET log_query_path = '{folder}/log'
        SET profiling_output = '{folder}/profile'
        SET enable_profiling = 'json'
        SET allow_unsigned_extensions = true
        SET search_path = 'memory'
        SET VARIABLE mine = 1
        RESET VARIABLE mine
        RESET enable_external_access
        RESET memory_limit
        PRAGMA enable_profiling
        PRAGMA memory_limit = '1TB'
        PRAGMA profile_output = '{folder}/profile'
        PRAGMA force_checkpoint
        PRAGMA enable_logging
        PRAGMA enable_object_cache
        CALL enable_logging()
        CALL enable_logging(storage = 'file', storage_path = '{folder}/log')
        CALL truncate_duckdb_logs()
        CALL pragma_version()
        CALL force_checkpoint()
        PREPARE p AS SELECT 1
        PREPARE p AS COPY release TO '{folder}/out.csv'
        EXECUTE p
        DEALLOCATE p
        SELECT 1; COPY release TO '{folder}/out.csv'
        SELECT 1; DROP TABLE release
        SELECT 1; SET threads = 1
        FROM release; ATTACH ':memory:' AS other
        CHECKPOINT
        CHECKPOINT v000001
        FORCE CHECKPOINT
        VACUUM
        VACUUM ANALYZE
        ANALYZE
        BEGIN
        BEGIN TRANSACTION READ ONLY
        PIVOT read_text('{secret}') ON filename USING count(*)
        COMMIT
        ROLLBACK
        ABORT
        WITH a AS (SELECT 1) INSERT INTO release FROM a
        WITH a AS (SELECT 1) DELETE FROM release
        WITH a AS (SELECT 1) UPDATE release SET version = 2
    """,
    "is not allowed": """
        FROM read_csv('{secret}')
        FROM read_csv_auto('{secret}')
        FROM sniff_csv('{secret}')
        FROM read_text('{secret}')
        FROM read_text('/etc/hostname')
        FROM READ_TEXT('{secret}')
        FROM "read_text"('{secret}')
        FROM main.read_text('{secret}')
        FROM system.main.read_text('{secret}')
        FROM read_blob('{secret}')
        FROM read_blob('/proc/self/environ')
        FROM read_json('{secret}')
        FROM read_json_auto('{secret}')
        FROM read_ndjson('{secret}')
        FROM read_json_objects('{secret}')
        FROM read_parquet('{folder}/x.parquet')
        FROM parquet_scan('{folder}/x.parquet')
        FROM parquet_metadata('{folder}/x.parquet')
        FROM parquet_schema('{folder}/x.parquet')
        FROM parquet_kv_metadata('{folder}/x.parquet')
        FROM read_duckdb('{secret}.duckdb')
        FROM seq_scan('release')
        FROM glob('{folder}/*')
        FROM glob('/etc/*')
        FROM query_table('{secret}')
        FROM query('FROM ''{secret}''')
        FROM query('COPY release TO ''{folder}/out.csv''')
        FROM sql_auto_complete('SEL')
        FROM arrow_scan(1, 2, 3)
        FROM arrow_scan_dumb(1, 2, 3)
        FROM pandas_scan(1)
        FROM python_map_function(1)
        FROM enable_logging(storage := 'file')
        FROM disable_logging()
        FROM duckdb_secrets()
        FROM which_secret('s3://x', 's3')
        FROM duckdb_logs()
        FROM duckdb_temporary_files()
        FROM duckdb_memory()
        FROM duckdb_extensions()
        FROM duckdb_variables()
        FROM checkpoint()
        FROM force_checkpoint()
        FROM test_all_types()
        FROM test_vector_types(NULL::INTEGER)
        FROM repeat_row(1, num_rows = 10)
        FROM pragma_database_size()
        FROM pragma_storage_info('release')
        FROM pragma_user_agent()
        FROM from_substrait('x')
        SELECT * FROM release, read_text('{secret}')
        SELECT * FROM release JOIN read_text('{secret}') ON true
        SELECT * FROM release, LATERAL (FROM read_text('{secret}'))
        SELECT (SELECT content FROM read_text('{secret}'))
        SELECT 1 WHERE EXISTS (FROM read_text('{secret}'))
        SELECT 1 IN (SELECT size FROM read_text('{secret}'))
        SELECT 1 ORDER BY (SELECT size FROM read_text('{secret}'))
        SELECT 1 LIMIT (SELECT size FROM read_text('{secret}'))
        WITH a AS (FROM read_text('{secret}')) FROM a
        WITH RECURSIVE a AS (SELECT 1 UNION ALL SELECT size FROM read_text('{secret}')) FROM a
        FROM nearest((SELECT content FROM read_text('{secret}')))
        SELECT similarity('a', (SELECT content FROM read_text('{secret}')))
        SELECT 1 UNION ALL SELECT size FROM read_text('{secret}')
        UNPIVOT read_text('{secret}') ON COLUMNS(*)
        SUMMARIZE FROM read_text('{secret}')
        DESCRIBE FROM read_text('{secret}')
        SELECT list_transform([1], lambda x: (SELECT size FROM read_text('{secret}')))
        SELECT CASE WHEN true THEN (SELECT size FROM read_text('{secret}')) END
        SELECT 1; SELECT content FROM read_text('{secret}')
        SELECT write_log('x')
        SELECT WRITE_LOG('x')
        SELECT main.write_log('x')
        SELECT list_transform([1], lambda x: write_log('x'))
        SELECT 1 WHERE write_log('x') IS NULL
        SELECT sleep_ms(100000)
        SELECT pg_sleep(100)
        SELECT nextval('mine')
        SELECT currval('mine')
        SELECT setseed(0.5)
        SELECT getenv('HOME')
        SELECT getvariable('mine')
    """,
    NO_FILES: """
        FROM '{secret}'
        FROM '{secret}.duckdb'
        FROM '{folder}/*.csv'
        FROM '{folder}/x.parquet'
        FROM '{folder}/x.json'
        FROM '{folder}'
        FROM '/etc/passwd'
        FROM '/proc/self/environ'
        FROM 'https://127.0.0.1:9/x.parquet'
        FROM 'http://127.0.0.1:9/x.csv'
        FROM 's3://bucket/x.parquet'
        FROM 'gs://bucket/x.parquet'
        FROM 'hf://datasets/x/y.parquet'
        FROM 'file:///etc/passwd'
        FROM "{secret}"
        FROM LURE
        FROM sys
        FROM memory.main.release
        FROM drift('"{secret}"')
        FROM drift('read_text')
        SELECT * FROM no_such_table
        SELECT no_such_function(1)
        SELECT st_area(1)
        SELECT http_get('http://127.0.0.1:9')
        FROM information_schema.no_such_view
    """,
    "DuckDB cannot run|the query is empty|not valid": """
        SELEKT 1
        SELECT similarity('a')
        SELECT (
        SELECT 1 +
        ';
        -- nothing
        ;
        /* nothing */
        FROM nearest()
        SELECT 1 / 'a'
        SELECT CAST('a' AS INTEGER)
        .read {secret}
        .shell true
        \\! true
    """,
}
ATTEMPTS = [(line.strip(), reason) for reason, lines in REFUSED.items() for line in lines.splitlines() if line.strip()]


def test_whatever_else_is_refused_with_a_reason_and_leaves_no_trace(release: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("word,count\nsecret,1\n")
    duckdb.connect(f"{secret}.duckdb").execute("CREATE TABLE word_vectors AS SELECT 'secret' AS word").close()
    before = release.read_bytes()
    files = [*tmp_path.rglob("*"), *release.parent.rglob("*")]
    attempts = [
        *ATTEMPTS,
        ("", "query is empty"),
        ("\0", "DuckDB cannot run|query is empty"),
        ("\ud800", "not valid UTF-8"),
    ]
    assert len(attempts) >= 200
    wrong = {}
    for attempt, reason in attempts:
        sql = attempt.replace("{secret}", str(secret)).replace("{folder}", str(tmp_path))
        try:
            wrong[attempt] = str(run_read_only(release, sql.replace("{release}", str(release)), 20))
        except QueryError as refusal:
            if not re.search(reason, str(refusal)):
                wrong[attempt] = f"{refusal} (expected {reason})"
    assert not wrong
    assert release.read_bytes() == before
    assert [*tmp_path.rglob("*"), *release.parent.rglob("*")] == files


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
        with pytest.raises(QueryError, match="not allowed"):
            run_read_only(release, f"WITH a AS (FROM {name}('x')) FROM a")


def test_functions_that_compute_a_value_are_run(release: Path) -> None:
    names = duckdb.execute(
        "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type IN ('scalar', 'aggregate') "
        "AND stability = 'CONSISTENT' AND function_name SIMILAR TO '[a-z_]\\w*'"
    )
    for (name,) in names.fetchall():
        if name not in ("getenv", "getvariable"):
            _check_asking(f'SELECT "{name}"(1)')
    assert run_read_only(release, "SELECT count(*) FROM (SELECT random(), uuid(), current_date)").rows == [(1,)]


def test_a_query_that_needs_too_much_memory_is_refused(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_only_sql, "MEMORY_LIMIT", "50MB")
    monkeypatch.setattr(read_only_sql, "SPILL_LIMIT", "1MB")
    with pytest.raises(QueryError, match=r"(?i)memory|temp_directory"):
        run_read_only(release, "SELECT list(i) FROM range(100000000) a(i)")


def test_a_query_that_takes_too_long_is_interrupted(release: Path) -> None:
    with pytest.raises(QueryError, match=r"within 0\.2 s"):
        run_read_only(release, "SELECT count(*) FROM range(10000000) a, range(10000000) b", 0.2)


def test_what_is_no_release_is_named(tmp_path: Path) -> None:
    (tmp_path / "news.duckdb").write_text("not a database")
    with pytest.raises(ReleaseError, match=r"news\.duckdb"):
        run_read_only(tmp_path / "news.duckdb", "SELECT 1")
