"""Two releases of a table are compared by the neighbours of their words."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pytest
from numpy.typing import NDArray

from storage.releases.file import ReleaseContent, write_release_file
from tests.storage.sample_releases import content

OLDER = content(rows=150, dimension=16, seed=1)
# Other words, another order, another dimension: only the neighbours of shared words can be compared.
NEWER = content([f"word{number}" for number in range(200, 40, -1)], dimension=24, seed=2)


@pytest.fixture
def newer(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Both releases attached as the documents say, the newer one in use."""
    write_release_file(tmp_path / "v000001.duckdb", "news", 1, OLDER)
    write_release_file(tmp_path / "v000002.duckdb", "news", 2, NEWER)
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{tmp_path / 'v000001.duckdb'}' AS older (READ_ONLY)")
        connection.execute(f"ATTACH '{tmp_path / 'v000002.duckdb'}' AS newer (READ_ONLY)")
        connection.execute("USE newer")
        yield connection


def neighbors(made: ReleaseContent, shared: list[str], k: int) -> dict[str, list[str]]:
    """Word -> its k nearest among the shared words, by NumPy."""
    rows = [list(made.words).index(word) for word in shared]
    unit: NDArray[np.float32] = made.vectors[rows] / np.linalg.norm(made.vectors[rows], axis=1, keepdims=True)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -np.inf)
    return {word: [shared[row] for row in np.argsort(-cosines[place])[:k]] for place, word in enumerate(shared)}


@pytest.mark.parametrize(("words", "k", "max_rank"), [(1000, 10, None), (20, 3, None), (1000, 5, 80)])
def test_drift_is_the_overlap_of_neighbors_among_shared_words(
    newer: duckdb.DuckDBPyConnection, words: int, k: int, max_rank: int | None
) -> None:
    shared = [word for word in NEWER.words[:max_rank] if word in OLDER.words]
    now, before = neighbors(NEWER, shared, k), neighbors(OLDER, shared, k)
    expected = [
        (
            word,
            list(NEWER.words).index(word) + 1,
            len(set(now[word]) & set(before[word])) / k,
            [other for other in now[word] if other not in before[word]],
            [other for other in before[word] if other not in now[word]],
        )
        for word in shared[:words]
    ]
    expected.sort(key=lambda row: (row[2], row[1]))
    found = newer.execute("FROM drift('older', words := ?, k := ?, max_rank := ?)", [words, k, max_rank]).fetchall()
    assert [(row[0], row[1], row[3], row[4]) for row in found] == [(row[0], row[1], *row[3:]) for row in expected]
    np.testing.assert_allclose([row[2] for row in found], [row[2] for row in expected])


def test_a_release_did_not_drift_from_itself(newer: duckdb.DuckDBPyConnection) -> None:
    assert newer.execute("SELECT min(overlap), count(*) FROM drift('newer')").fetchall() == [(1.0, 160)]


def test_releases_without_a_shared_word_cannot_be_compared(newer: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    write_release_file(tmp_path / "other.duckdb", "news", 3, content(["other", "words"]))
    newer.execute(f"ATTACH '{tmp_path / 'other.duckdb'}' (READ_ONLY)")
    assert newer.execute("FROM drift('other')").fetchall() == []


@pytest.mark.parametrize("name", ["no-such", "older; DROP TABLE release", "older.word_vectors; --", "'"])
def test_a_name_that_is_not_attached_is_refused(newer: duckdb.DuckDBPyConnection, name: str) -> None:
    with pytest.raises((duckdb.CatalogException, duckdb.ParserException, duckdb.BinderException)):
        newer.execute("FROM drift(?)", [name])


@pytest.mark.parametrize("words", [0, None, 7.0, 2_000_000])
@pytest.mark.parametrize("k", [0, None, 3.0, 2_000_000])
def test_drift_takes_any_number_of_words_and_neighbors(
    newer: duckdb.DuckDBPyConnection, words: float | None, k: float | None
) -> None:
    shared = [word for word in NEWER.words if word in OLDER.words]
    found = newer.execute("FROM drift('older', words := ?, k := ?)", [words, k]).fetchall()
    expected = 0 if k == 0 else len(shared[: None if words is None else int(words)])
    assert len(found) == expected
    if k is None or k > len(shared):
        assert all((overlap, gained, lost) == (1.0, [], []) for _, _, overlap, gained, lost in found)


@pytest.mark.parametrize("value", [-1, 2.5, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["words", "k"])
def test_a_number_for_drift_without_a_meaning_is_refused(
    newer: duckdb.DuckDBPyConnection, name: str, value: float
) -> None:
    with pytest.raises(duckdb.InvalidInputException, match=f"{name} is a whole number, 0 or more; NULL means all"):
        newer.execute(f"FROM drift('older', {name} := ?)", [value])
