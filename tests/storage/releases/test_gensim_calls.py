"""What docs/querying.md says of gensim's KeyedVectors: each call and its SQL return the same, on 300 random inputs."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from storage.releases.file import ReleaseContent, write_release_file
from storage.releases.opening import open_release
from tests.storage.sample_releases import content

models = pytest.importorskip("gensim.models", reason="the second opinion is gensim's")

ROWS, INPUTS, K = 500, 300, 5
Row = tuple[Any, ...]


@pytest.fixture(scope="module")
def made() -> ReleaseContent:
    return content(rows=ROWS)


@pytest.fixture(scope="module")
def keyed(made: ReleaseContent) -> Any:
    vectors = models.KeyedVectors(made.vectors.shape[1])
    unit = made.vectors / np.linalg.norm(made.vectors, axis=1, keepdims=True)
    vectors.add_vectors(list(made.words), unit.astype(np.float32))
    return vectors


@pytest.fixture(scope="module")
def connection(made: ReleaseContent, tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    path = tmp_path_factory.mktemp("gensim") / "release.duckdb"
    write_release_file(path, "news", 1, made)
    with open_release(path) as connection:
        yield connection


def some_words(made: ReleaseContent, least: int, most: int) -> list[list[str]]:
    chosen = random.Random(least * 100 + most)
    return [chosen.sample(list(made.words), chosen.randint(least, most)) for _ in range(INPUTS)]


def searched(connection: duckdb.DuckDBPyConnection, call: str, inputs: list[Row]) -> list[list[Row]]:
    """The rows of a macro for each input, in one query. call: over the columns asked.a, asked.b, …"""
    columns = [[values[place] for values in inputs] for place in range(len(inputs[0]))]
    names = [chr(ord("a") + place) for place in range(len(columns))]
    source = ", ".join(f"unnest(${place + 2}) AS {name}" for place, name in enumerate(names))
    rows = connection.execute(
        f"""SELECT asked.number, found.word, COLUMNS('similarity|score'), found.rank
            FROM (SELECT unnest($1) AS number, {source}) asked, LATERAL (FROM {call}) found""",
        [list(range(len(inputs))), *columns],
    ).fetchall()
    answers: list[list[Row]] = [[] for _ in inputs]
    for number, word, score, _ in sorted(rows, key=lambda row: (row[0], -row[2], row[3])):
        answers[number].append((word, score))
    return answers


def valued(connection: duckdb.DuckDBPyConnection, call: str, inputs: list[Row]) -> list[Any]:
    """The value of a macro for each input, in one query."""
    columns = [[values[place] for values in inputs] for place in range(len(inputs[0]))]
    names = [chr(ord("a") + place) for place in range(len(columns))]
    source = ", ".join(f"unnest(${place + 2}) AS {name}" for place, name in enumerate(names))
    rows = connection.execute(
        f"SELECT number, {call} FROM (SELECT unnest($1) AS number, {source}) asked ORDER BY number",
        [list(range(len(inputs))), *columns],
    ).fetchall()
    return [value for _, value in rows]


def assert_same(found: list[list[Row]], expected: list[list[Row]]) -> None:
    assert len(found) == len(expected) == INPUTS
    for mine, theirs in zip(found, expected, strict=True):
        assert [word for word, _ in mine] == [word for word, _ in theirs]
        np.testing.assert_allclose([score for _, score in mine], [score for _, score in theirs], atol=2e-6, rtol=2e-5)


def test_most_similar(connection: duckdb.DuckDBPyConnection, made: ReleaseContent, keyed: Any) -> None:
    inputs = [(words[:2], words[2:]) for words in some_words(made, 2, 5)]
    expected = [keyed.most_similar(positive=list(a), negative=list(b), topn=K) for a, b in inputs]
    assert_same(searched(connection, f"most_similar(asked.a, asked.b, k := {K})", inputs), expected)
    a, b = inputs[0]
    direct = connection.execute("SELECT word FROM most_similar(?, ?, k := 5)", [a, b]).fetchall()
    assert [word for (word,) in direct] == [word for word, _ in expected[0]]


def test_most_similar_cosmul(connection: duckdb.DuckDBPyConnection, made: ReleaseContent, keyed: Any) -> None:
    inputs = [(words[:2], words[2:]) for words in some_words(made, 2, 4)]
    expected = [keyed.most_similar_cosmul(positive=list(a), negative=list(b), topn=K) for a, b in inputs]
    assert_same(searched(connection, f"most_similar_cosmul(asked.a, asked.b, k := {K})", inputs), expected)


def test_similar_by_word(connection: duckdb.DuckDBPyConnection, made: ReleaseContent, keyed: Any) -> None:
    inputs: list[Row] = [(words[0],) for words in some_words(made, 1, 1)]
    expected = [keyed.similar_by_word(word, topn=K) for (word,) in inputs]
    assert_same(searched(connection, f"nearest(asked.a, k := {K})", inputs), expected)


def test_similar_by_vector(connection: duckdb.DuckDBPyConnection, keyed: Any) -> None:
    vectors = np.random.default_rng(3).normal(size=(INPUTS, keyed.vector_size)).astype(np.float32)
    expected = [keyed.similar_by_vector(vector, topn=K) for vector in vectors]
    inputs: list[Row] = [(vector.tolist(),) for vector in vectors]
    assert_same(searched(connection, f"nearest_to(asked.a, k := {K})", inputs), expected)
    rows = connection.execute(
        "SELECT id, word, similarity FROM nearest_to_many(?, ?, k := ?)",
        [list(range(INPUTS)), [values[0] for values in inputs], K],
    ).fetchall()
    assert [number for number, *_ in rows] == [number for number in range(INPUTS) for _ in range(K)]
    assert_same([[row[1:] for row in rows[at : at + K]] for at in range(0, len(rows), K)], expected)


def test_closer_than_and_rank(connection: duckdb.DuckDBPyConnection, made: ReleaseContent, keyed: Any) -> None:
    inputs: list[Row] = [tuple(words) for words in some_words(made, 2, 2)]
    found = searched(connection, "closer_than(asked.a, asked.b)", inputs)
    for (a, b), rows in zip(inputs, found, strict=True):
        assert {word for word, _ in rows} == set(keyed.closer_than(a, b))
    assert valued(connection, "rank_of(a, b)", inputs) == [keyed.rank(a, b) for a, b in inputs]


def test_similarity_and_vectors(connection: duckdb.DuckDBPyConnection, made: ReleaseContent, keyed: Any) -> None:
    inputs: list[Row] = [tuple(words) for words in some_words(made, 2, 2)]
    found = valued(connection, "similarity(a, b)", inputs)
    np.testing.assert_allclose(found, [keyed.similarity(a, b) for a, b in inputs], atol=1e-6)
    vectors = valued(connection, "word_vector(a)", inputs)
    np.testing.assert_allclose(vectors, [keyed.get_vector(a, norm=True) for a, _ in inputs], atol=1e-7)


def test_get_mean_vector(connection: duckdb.DuckDBPyConnection, made: ReleaseContent, keyed: Any) -> None:
    inputs: list[Row] = [(words,) for words in some_words(made, 1, 6)]
    weights = dict(connection.execute("SELECT word, weight FROM word_vectors").fetchall())
    expected = [keyed.get_mean_vector(words, weights=[weights[word] for word in words]) for (words,) in inputs]
    np.testing.assert_allclose(valued(connection, "mean_vector(a)", inputs), expected, atol=1e-6)


def test_doesnt_match(connection: duckdb.DuckDBPyConnection, made: ReleaseContent, keyed: Any) -> None:
    inputs: list[Row] = [(words,) for words in some_words(made, 3, 7)]
    assert valued(connection, "doesnt_match(a)", inputs) == [keyed.doesnt_match(words) for (words,) in inputs]


def test_known_words(connection: duckdb.DuckDBPyConnection, made: ReleaseContent, keyed: Any) -> None:
    inputs: list[Row] = [([*words, "no-such-word"],) for words in some_words(made, 0, 4)]
    assert valued(connection, "known(a)", inputs) == [[w for w in words if w in keyed] for (words,) in inputs]
    assert valued(connection, "unknown(a)", inputs) == [["no-such-word"]] * INPUTS


def test_a_restricted_vocabulary(connection: duckdb.DuckDBPyConnection, made: ReleaseContent, keyed: Any) -> None:
    inputs: list[Row] = [(words[0],) for words in some_words(made, 1, 1)]
    expected = [keyed.similar_by_word(word, topn=K, restrict_vocab=100) for (word,) in inputs]
    assert_same(searched(connection, f"nearest(asked.a, k := {K}, max_rank := 100)", inputs), expected)


def test_nearest_among_chosen_words(connection: duckdb.DuckDBPyConnection, made: ReleaseContent, keyed: Any) -> None:
    inputs: list[Row] = [(words[0], words[1:]) for words in some_words(made, 8, 12)]
    expected = [
        sorted(((word, keyed.similarity(a, word)) for word in words), key=lambda pair: -pair[1])[:K]
        for a, words in inputs
    ]
    assert_same(searched(connection, f"nearest_filtered(asked.a, words := asked.b, k := {K})", inputs), expected)


@pytest.mark.parametrize(
    "call",
    [
        "most_similar(['word1', 'no-such-word'])",
        "most_similar([])",
        "most_similar(NULL)",
        "most_similar(['word1'], ['word1'])",
        "most_similar_cosmul(['word1', 'no-such-word'])",
        "most_similar_cosmul([])",
        "nearest_to_many([], [])",
        "nearest_to_many([1], [NULL])",
        "nearest_filtered('no-such-word')",
        "nearest_filtered('word1', words := [])",
        "nearest_filtered('word1', pattern := 'x')",
        "closer_than('word1', 'no-such-word')",
        "closer_than(NULL, 'word1')",
        "suggest('zzzzzzzzz')",
        "suggest(NULL)",
        "suggest('')",
        "most_similar(['word1'], k := 0)",
    ],
)
def test_nothing_to_answer_is_no_rows(connection: duckdb.DuckDBPyConnection, call: str) -> None:
    assert connection.execute(f"FROM {call}").fetchall() == []


def test_odd_arguments_of_values(connection: duckdb.DuckDBPyConnection) -> None:
    row = connection.execute(
        "SELECT rank_of('word1', 'quux'), rank_of(NULL, 'word1'), rank_of('word1', 'word1'), known([]), unknown(NULL), "
        "known(['word1', 'word1', NULL])"
    ).fetchone()
    assert row == (None, None, 1, [], [], ["word1", "word1"])


def test_all_neighbors_are_given_for_null(connection: duckdb.DuckDBPyConnection) -> None:
    for call in ("most_similar(['word1', 'word2'], ['word3'], k := NULL)", "nearest_filtered('word1', k := NULL)"):
        ((count,),) = connection.execute(f"SELECT count(*) FROM {call}").fetchall()
        assert count in (ROWS - 3, ROWS - 1)


def test_filters_are_applied_together(connection: duckdb.DuckDBPyConnection) -> None:
    found = connection.execute(
        "SELECT word FROM nearest_filtered('word1', pattern := '*[37]', min_count := ?, k := NULL)", [10 * (ROWS - 20)]
    ).fetchall()
    assert {word for (word,) in found} == {"word3", "word7", "word13", "word17"}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("WORD12", ("word12", 0)),
        ("wrod123", ("word123", 1)),
        ("ｗord", None),
        ("CAFE\u0301", ("café", 0)),
        ("naïve", ("naive", 1)),
        ("İ", None),
    ],
)
def test_suggestions(tmp_path: Path, asked: str, expected: tuple[str, int] | None) -> None:
    write_release_file(tmp_path / "r.duckdb", "news", 1, content(["café", "naive", *(f"word{n}" for n in range(200))]))
    with open_release(tmp_path / "r.duckdb") as connection:
        found = connection.execute("SELECT word, edits FROM suggest(?, k := 1)", [asked]).fetchone()
    assert found == expected


def test_a_regular_expression_is_refused(connection: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(duckdb.InvalidInputException, match="pattern is a glob"):
        connection.execute("FROM nearest_filtered('word1', pattern := '^word')")
