"""Several releases attached at once: every macro answers from its own vectors, as NumPy does, or fails loudly."""

import gzip
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from storage.releases.file import ReleaseContent, write_release_file
from storage.releases.macros import MACROS
from tests.storage.sample_releases import provenance

SAMPLES = Path(__file__).parent.parent / "samples"
# Two tables, two releases of one of them, a candidate, and a file of format 3, whose inner name others share.
TOGETHER = ("movies", "glove", "movies_2", "candidate", "format_3")
PAIRS = [*itertools.permutations(TOGETHER, 2)]
PAIRS += [("format_1", "movies"), ("movies", "format_2"), ("candidate", "candidate_2")]
K = 4
SCALARS = {macro.name for macro in MACROS if macro.scalar}
# Answers that depend on the vocabulary alone, or have few values.
ALIKE = {"doesnt_match", "known", "unknown", "suggest", "tokenize"}


@dataclass(frozen=True)
class Attached:
    """A release file and its unit vectors in NumPy, (V, D) float64 by rank."""

    path: Path
    words: list[str]
    unit: NDArray[np.float64]
    macros: frozenset[str]

    def ranked(self, direction: NDArray[np.float64], left_out: Sequence[str]) -> list[tuple[str, int]]:
        cosines = self.unit @ direction
        return [(self.words[row], int(row) + 1) for row in np.argsort(-cosines) if self.words[row] not in left_out][:K]

    def vector(self, word: str) -> NDArray[np.float64]:
        row: NDArray[np.float64] = self.unit[self.words.index(word)]
        return row

    def neighbors(self, word: str) -> list[tuple[str, int]]:
        return self.ranked(self.vector(word), [word])

    def answers(self, other: "Attached") -> dict[str, object]:
        """Macro -> the answer to CALLS, by NumPy."""
        one, two, three = (self.vector(word) for word in ("one", "two", "city"))
        rows = np.stack([one, two, three])
        closeness = rows @ rows.mean(axis=0)
        cosines = self.unit @ one
        closer = int((cosines > cosines[self.words.index("city")]).sum()) - 1
        overlap = {
            word: len({found for found, _ in self.neighbors(word)} & {found for found, _ in other.neighbors(word)}) / K
            for word in self.words[:5]
        }
        return {
            "nearest": self.neighbors("one"),
            "nearest_many": [*self.neighbors("two"), *self.neighbors("city")],
            "nearest_to": self.ranked(np.arange(1.0, 51.0), []),
            "analogy": self.ranked(two - one + three, ["one", "two", "city"]),
            "similarity": round(float(one @ two), 4),
            "doesnt_match": ["one", "two", "city"][int(np.argmin(closeness))],
            "drift": sorted(overlap.items(), key=lambda pair: (pair[1], self.words.index(pair[0]))),
            "most_similar": self.ranked(two + three - one, ["one", "two", "city"]),
            "most_similar_cosmul": self.ranked_by_product([two, three], one, ["one", "two", "city"]),
            "nearest_to_many": [
                (number, *found)
                for number, direction in ((7, np.arange(1.0, 51.0)), (8, np.arange(50.0, 0.0, -1)))
                for found in self.ranked(direction, [])
            ],
            "nearest_filtered": self.ranked(one, ["one", *(word for word in self.words if not word.startswith("t"))]),
            "closer_than": [(closer,)],
            "rank_of": closer + 1,
            "known": ["one", "city"],
            "unknown": ["qqqqq"],
            "suggest": [("city",)],
            "tokenize": ["one", "two"],
            "word_vector": float(one[0]),
            "mean_vector": self.weighted_mean(["one", "two"]),
            "text_vector": self.weighted_mean(["one", "two"]),
        }

    def ranked_by_product(
        self, near: Sequence[NDArray[np.float64]], far: NDArray[np.float64], left_out: Sequence[str]
    ) -> list[tuple[str, int]]:
        """3CosMul of Levy and Goldberg 2014, as gensim computes it."""
        closeness = [(1 + self.unit @ vector) / 2 for vector in (*near, far)]
        score = closeness[0] * closeness[1] / (closeness[2] + 1e-6)
        return [(self.words[row], int(row) + 1) for row in np.argsort(-score) if self.words[row] not in left_out][:K]

    def weighted_mean(self, words: Sequence[str]) -> float:
        """The first number of the SIF-weighted mean; counts fall by one from word to word."""
        shares = np.arange(len(self.words), 0, -1) / (len(self.words) * (len(self.words) + 1) / 2)
        weights = np.array([1e-3 / (1e-3 + shares[self.words.index(word)]) for word in words])
        rows = np.stack([self.vector(word) for word in words])
        return float((weights @ rows)[0] / weights.sum())


CALLS = {
    "nearest": "SELECT word, rank FROM {}nearest('one', k := 4)",
    "nearest_many": "SELECT word, rank FROM {}nearest_many(['two', 'city'], k := 4)",
    "nearest_to": "SELECT word, rank FROM {}nearest_to(range(1, 51), k := 4)",
    "analogy": "SELECT word, rank FROM {}analogy('one', 'two', 'city', k := 4)",
    "similarity": "SELECT round({}similarity('one', 'two'), 4)",
    "doesnt_match": "SELECT {}doesnt_match(['one', 'two', 'city'])",
    "drift": "SELECT word, overlap FROM {}drift('{other}', words := 5, k := 4)",
    "most_similar": "SELECT word, rank FROM {}most_similar(['two', 'city'], negative := ['one'], k := 4)",
    "most_similar_cosmul": "SELECT word, rank FROM {}most_similar_cosmul(['two', 'city'], negative := ['one'], k := 4)",
    "nearest_to_many": "SELECT id, word, rank FROM {}nearest_to_many([7, 8], [range(1, 51), range(50, 0, -1)], k := 4)",
    "nearest_filtered": "SELECT word, rank FROM {}nearest_filtered('one', pattern := 't*', k := 4)",
    "closer_than": "SELECT count(*) FROM {}closer_than('one', 'city')",
    "rank_of": "SELECT {}rank_of('one', 'city')",
    "known": "SELECT {}known(['one', 'qqqqq', 'city'])",
    "unknown": "SELECT {}unknown(['one', 'qqqqq', 'city'])",
    "suggest": "SELECT word FROM {}suggest('ciity', k := 1)",
    "tokenize": "SELECT {}tokenize('one, two')",
    "word_vector": "SELECT {}word_vector('one')[1]",
    "mean_vector": "SELECT {}mean_vector(['one', 'two'])[1]",
    "text_vector": "SELECT {}text_vector('one, two')[1]",
}


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Attached]:
    """Files of one vocabulary and one dimension, so that an answer from another one is an answer all the same."""
    folder = tmp_path_factory.mktemp("attached")
    made: dict[str, Attached] = {}
    every = frozenset(macro.name for macro in MACROS)
    for version in (1, 2, 3):
        path = folder / f"format_{version}.duckdb"
        sample = SAMPLES / path.stem
        path.write_bytes(gzip.decompress((sample / "v000001.duckdb.gz").read_bytes()))
        stored = pq.read_table(sample / "v000001.parquet").to_pydict()
        known = frozenset(macro.name for macro in MACROS if macro.since <= version)
        made[path.stem] = Attached(path, stored["word"], np.array(stored["vector"]), known)
    words = made["format_3"].words
    named: dict[str, tuple[str, int | None]] = {
        "movies": ("movies", 1), "glove": ("glove", 1), "movies_2": ("movies", 2), "candidate": ("movies", None),
        "candidate_2": ("movies", None),
    }  # fmt: skip
    for seed, (name, (table, number)) in enumerate(named.items()):
        vectors = np.random.default_rng(seed).normal(size=(len(words), 50)).astype(np.float32)
        counts = np.arange(len(words), 0, -1, dtype=np.int64)
        path = folder / f"{name}.duckdb"
        write_release_file(path, table, number, ReleaseContent(words, counts, vectors, provenance()))
        wide = vectors.astype(np.float64)
        made[name] = Attached(path, words, wide / np.linalg.norm(wide, axis=1, keepdims=True), every)
    return made


def attached(releases: dict[str, Attached], names: Sequence[str]) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        for name in names:
            connection.execute(f"ATTACH '{releases[name].path}' AS {name} (READ_ONLY)")
        yield connection


def found(connection: duckdb.DuckDBPyConnection, macro: str, prefix: str, other: str) -> object:
    rows = connection.execute(CALLS[macro].format(prefix, other=other)).fetchall()
    return rows[0][0] if macro in SCALARS else rows


def assert_as_numpy(
    connection: duckdb.DuckDBPyConnection, releases: dict[str, Attached], name: str, prefix: str, other: str
) -> None:
    expected = releases[name].answers(releases[other])
    for macro in releases[name].macros:
        answer = found(connection, macro, prefix, other)
        if isinstance(answer, float):
            assert answer == pytest.approx(expected[macro], abs=2e-4)
        else:
            assert answer == expected[macro], (name, macro)


def test_the_releases_answer_differently(releases: dict[str, Attached]) -> None:
    answers = [releases[name].answers(releases["glove"]) for name in TOGETHER]
    for macro in CALLS.keys() - ALIKE:
        assert len({str(answer[macro]) for answer in answers}) == len(TOGETHER)
    assert CALLS.keys() == {macro.name for macro in MACROS}


@pytest.mark.parametrize("pair", PAIRS, ids=" then ".join)
def test_of_two_attached_releases_each_macro_answers_from_its_own(
    releases: dict[str, Attached], pair: tuple[str, str]
) -> None:
    for connection in attached(releases, pair):
        for used, other in (pair, pair[::-1]):
            connection.execute(f"USE {used}")
            assert_as_numpy(connection, releases, used, "", other)
            # It reads no table.
            for macro in releases[other].macros - {"tokenize"}:
                with pytest.raises(duckdb.CatalogException, match="does not exist"):
                    found(connection, macro, f"{other}.", used)
            connection.execute(f"SET search_path = 'memory,{used},{other}'")
            assert_as_numpy(connection, releases, used, f"{used}.", other)
            assert_as_numpy(connection, releases, other, f"{other}.", used)
            connection.execute(f"USE {other}")
            connection.execute(f"DETACH {used}")
            assert_as_numpy(connection, releases, other, "", other)
            connection.execute(f"ATTACH '{releases[used].path}' AS {used} (READ_ONLY)")


def test_all_at_once_in_every_order_of_the_search_path(releases: dict[str, Attached]) -> None:
    cosines = {name: float(releases[name].vector("one") @ releases[name].vector("two")) for name in TOGETHER}
    for rotation in range(len(TOGETHER)):
        names = TOGETHER[rotation:] + TOGETHER[:rotation]
        for connection in attached(releases, names):
            connection.execute(f"SET search_path = 'memory,{','.join(names[::-1])}'")
            for name, other in zip(names, names[1:] + names[:1], strict=True):
                assert_as_numpy(connection, releases, name, f"{name}.", other)
    asked = ", ".join(f"{name}.similarity('one', 'two')" for name in TOGETHER)
    for connection in attached(releases, TOGETHER):
        for order in itertools.permutations(TOGETHER):
            connection.execute(f"SET search_path = 'memory,{','.join(order)}'")
            (answer,) = connection.execute(f"SELECT {asked}").fetchall()
            np.testing.assert_allclose(answer, list(cosines.values()), atol=1e-5)
