"""A release file holds what went in, explains itself, and shows any change made to it."""

import json
import unicodedata
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.errors import ReleaseError
from storage.models.rows import ComparedWordRow, EvaluationRow
from storage.releases.file import ROW_GROUP_SIZE, content_sha256, write_parquet_copy, write_release_file
from storage.releases.macros import MACROS
from storage.releases.opening import open_release, read_rows
from storage.releases.reader import check_release_file
from storage.releases.schema import TABLES, GateRow, ReleaseRow, TrainingRow
from tests.storage.sample_releases import content, inner_table

ODD_WORDS = [
    "the",
    "don't",
    'say "hi"',
    "a b  c",
    "'; DROP TABLE release; --",
    "😀👍🏽",
    "한국어",
    unicodedata.normalize("NFD", "한국어"),  # the same, decomposed: another word
    "\u00e9",
    "e\u0301",
    "x" * 10_000,
    "%s {} $1 ?",
    "\\",
    "new\nline",
    " ",
    "",
    "NULL",
    "../../../etc/passwd",
    "$(reboot)",
    "{asked} }}",
]


def test_row_groups_are_small_enough_for_several_threads(tmp_path: Path) -> None:
    write_release_file(tmp_path / "release.duckdb", "news", 1, content(rows=2 * ROW_GROUP_SIZE + 1))
    with open_release(tmp_path / "release.duckdb") as connection:
        sizes = connection.execute(
            f"SELECT sum(count) FROM pragma_storage_info('{inner_table(tmp_path / 'release.duckdb')}') "
            "WHERE column_name = 'rank' AND segment_type = 'INTEGER' GROUP BY row_group_id ORDER BY row_group_id"
        ).fetchall()
    assert sizes == [(ROW_GROUP_SIZE,), (ROW_GROUP_SIZE,), (1,)]


def test_a_release_reads_back_as_it_was_written(tmp_path: Path) -> None:
    made = content()
    row = write_release_file(tmp_path / "release.duckdb", "news", 7, made)
    assert check_release_file(tmp_path / "release.duckdb") == row
    assert (row.table_name, row.version, row.rows, row.dimension) == ("news", 7, 200, 16)
    with open_release(tmp_path / "release.duckdb") as connection:
        assert read_rows(connection, "release", ReleaseRow) == [row]
        assert read_rows(connection, "training", TrainingRow) == made.training
        assert read_rows(connection, "evaluation", EvaluationRow) == made.evaluation
        assert read_rows(connection, "gates", GateRow) == made.gates
        assert read_rows(connection, "compared_words", ComparedWordRow) == made.compared_words
        stored = dict(connection.execute("SELECT name, value FROM settings").fetchall())
        found = connection.execute("SELECT rank, word, count, vector FROM word_vectors ORDER BY rank").fetchall()
    assert {name: json.loads(value) for name, value in stored.items()} == {
        "training.epochs": 3,
        "training.workers": None,
        "corpus.path": "a \"b\" 'c'",
    }
    ranks, words, counts, vectors = zip(*found, strict=True)
    assert ranks == tuple(range(1, 201))
    assert list(words) == made.words
    assert list(counts) == made.counts.tolist()
    unit = made.vectors / np.linalg.norm(made.vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(np.array(vectors), unit, atol=1e-6)


def test_only_the_database_itself_is_left_behind(tmp_path: Path) -> None:
    write_release_file(tmp_path / "release.duckdb", "news", 1, content())
    assert [file.name for file in tmp_path.iterdir()] == ["release.duckdb"]


def test_a_release_answers_under_any_file_name(tmp_path: Path) -> None:
    write_release_file(tmp_path / "release.duckdb", "news", 1, content())
    renamed = (tmp_path / "release.duckdb").rename(tmp_path / "movie-reviews.duckdb")
    check_release_file(renamed)
    with duckdb.connect() as connection:  # as another program attaches it
        connection.execute(f"ATTACH '{renamed}' AS reviews (READ_ONLY); USE reviews")
        assert len(connection.execute("FROM nearest('word3', k := 4)").fetchall()) == 4


def test_words_are_data(tmp_path: Path) -> None:
    path = tmp_path / "release.duckdb"
    write_release_file(path, "news", 1, content(ODD_WORDS))
    check_release_file(path)
    with open_release(path) as connection:
        for word in ODD_WORDS:
            assert connection.execute("SELECT word FROM word_vectors WHERE word = ?", [word]).fetchall() == [(word,)]
            neighbors = {
                found for (found,) in connection.execute("SELECT word FROM nearest(?, 100)", [word]).fetchall()
            }
            assert neighbors == set(ODD_WORDS) - {word}
            assert connection.execute("SELECT similarity($1, $1)", [word]).fetchall()[0][0] == pytest.approx(1)


@settings(max_examples=10, deadline=None)
@given(
    words=st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1, unique=True)
)
def test_any_words_keep_their_checksum(tmp_path_factory: pytest.TempPathFactory, words: list[str]) -> None:
    path = tmp_path_factory.mktemp("any") / "release.duckdb"
    row = write_release_file(path, "news", 1, content(words, dimension=8))
    assert check_release_file(path) == row


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no words to publish.*min_count"),
        (["fine", "ze\0ro"], r"'ze\\x00ro' contains a NUL byte"),
        (["fine", "half\ud800"], "unpaired surrogate"),
        (["fine", "twice", "twice"], "'twice' occurs twice"),
    ],
)
def test_words_that_cannot_be_published_are_named(tmp_path: Path, words: list[str], message: str) -> None:
    with pytest.raises(ReleaseError, match=message):
        write_release_file(tmp_path / "release.duckdb", "news", 1, content(words))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_a_vector_without_direction_names_its_word(tmp_path: Path, value: float) -> None:
    made = content()
    made.vectors[150] = value
    with pytest.raises(ReleaseError, match=r"'word150' is zero or not finite.*learning_rate"):
        write_release_file(tmp_path / "release.duckdb", "news", 1, made)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_very_short_and_very_long_vectors_are_published(tmp_path: Path, scale: float) -> None:
    made = content()
    write_release_file(tmp_path / "release.duckdb", "news", 1, replace(made, vectors=made.vectors * np.float32(scale)))
    check_release_file(tmp_path / "release.duckdb")


def test_shapes_and_order_are_checked() -> None:
    made = content()
    with pytest.raises(ValueError, match="vectors of shape"):
        replace(made, vectors=made.vectors[:-1])
    with pytest.raises(ValueError, match="counts of shape"):
        replace(made, counts=made.counts[:-1])
    with pytest.raises(ValueError, match="most frequent first"):
        replace(made, counts=made.counts[::-1].copy())


def test_the_checksum_is_that_of_the_content_alone(tmp_path: Path) -> None:
    first = write_release_file(tmp_path / "1.duckdb", "news", 1, content())
    second = write_release_file(tmp_path / "2.duckdb", "other", 2, content(model_digest="other"))
    assert first.sha256 == second.sha256 == content_sha256(content())
    made = content()
    nudged = made.vectors.copy()
    nudged[7, 3] += 0.001
    others = [
        replace(made, vectors=nudged),
        replace(made, counts=made.counts + 1),
        replace(made, words=[*made.words[:-1], "another"]),
        content(["wor", "d"]),
        content(["wo", "rd"]),
    ]
    assert len({first.sha256, *(content_sha256(other) for other in others)}) == 6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("UPDATE VECTORS SET count = count + 1 WHERE rank = 5", "checksum"),
        ("UPDATE VECTORS SET word = 'other' WHERE rank = 5", "checksum"),
        ("DELETE FROM VECTORS WHERE rank = 5", "it holds 199"),
        ("DELETE FROM release", "0 rows, not one"),
        ("UPDATE release SET format_version = 99", "format version 99.*update"),
        ("DROP TABLE release", "cannot be read as a release"),
        ("CREATE OR REPLACE MACRO similarity(a, b) AS 0.0", "returns 0.0, not 1.0"),
    ],
)
def test_a_changed_release_is_found_out(tmp_path: Path, change: str, message: str) -> None:
    path = tmp_path / "release.duckdb"
    write_release_file(path, "news", 1, content())
    change = change.replace("VECTORS", inner_table(path))
    with duckdb.connect(str(path)) as connection:
        connection.execute(change)
    with pytest.raises(ReleaseError, match=message):
        check_release_file(path)


def test_a_vector_that_is_not_of_unit_length_cannot_get_in(tmp_path: Path) -> None:
    path = tmp_path / "release.duckdb"
    write_release_file(path, "news", 1, content(dimension=8))
    table = inner_table(path)
    with duckdb.connect(str(path)) as connection:
        for vector in ([0.0] * 8, [1.0] * 8, [float("nan")] * 8):
            with pytest.raises(duckdb.ConstraintException, match="CHECK"):
                connection.execute(f"INSERT INTO {table} VALUES (999, 'new', 1, ?, 0.5)", [vector])
        with pytest.raises(duckdb.ConstraintException):
            connection.execute(f"INSERT INTO {table} SELECT 999, word, 1, vector, 1 FROM word_vectors LIMIT 1")


@pytest.mark.parametrize("damage", ["cut", "flip", "text"])
def test_a_damaged_file_is_named(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "release.duckdb"
    write_release_file(path, "news", 1, content(rows=5000))
    data = bytearray(path.read_bytes())
    match damage:
        case "cut":
            path.write_bytes(data[: len(data) // 2])
        case "flip":
            for place in range(20_000, len(data), 50_000):
                data[place] ^= 0xFF
            path.write_bytes(data)
        case "text":
            path.write_bytes(b"word 0.1 0.2\n" * 1000)
    with pytest.raises(ReleaseError, match=r"release\.duckdb"):
        check_release_file(path)


def test_a_stale_log_next_to_a_release_is_named_with_its_remedy(tmp_path: Path) -> None:
    for name in ("old", "new"):
        write_release_file(tmp_path / f"{name}.duckdb", "news", 1, content(seed=len(name)))
    table = inner_table(tmp_path / "old.duckdb")
    with duckdb.connect(str(tmp_path / "old.duckdb")) as connection:
        connection.execute("PRAGMA disable_checkpoint_on_shutdown")
        connection.execute(f"DELETE FROM {table}")
    (tmp_path / "old.duckdb.wal").rename(tmp_path / "new.duckdb.wal")
    with pytest.raises(ReleaseError, match=r"remove that file"), open_release(tmp_path / "new.duckdb"):
        pass


def test_the_file_describes_itself(tmp_path: Path) -> None:
    write_release_file(tmp_path / "release.duckdb", "news", 1, content())
    with open_release(tmp_path / "release.duckdb") as connection:
        tables = dict(connection.execute("SELECT table_name, comment FROM duckdb_tables()").fetchall())
        columns = connection.execute(
            "SELECT table_name, column_name, comment FROM duckdb_columns() WHERE NOT internal"
        ).fetchall()
        macros = dict(
            connection.execute("SELECT function_name, comment FROM duckdb_functions() WHERE NOT internal").fetchall()
        )
        parameters = connection.execute(
            "SELECT unnest(parameters) FROM duckdb_functions() WHERE NOT internal"
        ).fetchall()
    assert set(tables) == {*TABLES, inner_table(tmp_path / "release.duckdb")}
    assert all(tables.values())
    assert [column for column in columns if not column[2]] == []
    assert macros == {macro.name: macro.meaning for macro in MACROS}
    # A parameter with a column's name would compare that column with itself.
    assert {name for (name,) in parameters}.isdisjoint(name for _, name, _ in columns)


def test_the_parquet_copy_holds_the_same(tmp_path: Path) -> None:
    made = content(ODD_WORDS)
    write_release_file(tmp_path / "release.duckdb", "news", 1, made)
    write_parquet_copy(tmp_path / "release.parquet", made)
    copy = pq.read_table(tmp_path / "release.parquet")
    with open_release(tmp_path / "release.duckdb") as connection:
        original = connection.sql("SELECT rank, word, count, vector FROM word_vectors ORDER BY rank").to_arrow_table()
    assert copy.column_names == ["rank", "word", "count", "vector"]
    assert copy.to_pylist() == original.to_pylist()
