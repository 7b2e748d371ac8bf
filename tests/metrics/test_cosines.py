"""The nearest rows are scikit-learn's, in order, whatever the block and whoever makes the rows."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from tasks.metrics import cosines
from tasks.metrics.cosines import RandomRows, TableRows, nearest_rows, unit_rows


def table(rows: int, dimension: int, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((rows, dimension), dtype=np.float32)


@pytest.fixture(params=[cosines.BLOCK_SCORES, 300, 1], ids=["one block", "several blocks", "a row a block"])
def block_scores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cosines, "BLOCK_SCORES", request.param)


@pytest.mark.usefixtures("block_scores")
def test_the_nearest_rows_are_those_scikit_learn_finds_in_its_order() -> None:
    vectors, chosen = table(400, 8, 1), np.arange(0, 400, 2)
    queries = np.arange(0, 200, 7)
    found = nearest_rows(TableRows(vectors, chosen), queries, 5)
    unit = unit_rows(vectors, chosen)
    peer = NearestNeighbors(n_neighbors=6, metric="cosine").fit(unit).kneighbors(unit[queries], return_distance=False)
    np.testing.assert_array_equal(found, peer[:, 1:])


@pytest.mark.usefixtures("block_scores")
def test_a_row_without_direction_is_no_ones_neighbor() -> None:
    vectors = np.abs(table(9, 3, 1))
    vectors[4] = np.nan
    found = nearest_rows(TableRows(vectors, np.arange(9)), np.arange(4), 7)
    assert 4 not in found


def test_random_rows_are_the_same_however_they_are_read() -> None:
    rows = RandomRows(50, 6, seed=3)
    whole = np.concatenate(list(rows.blocks(50)))
    np.testing.assert_allclose(np.linalg.norm(whole, axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(np.concatenate(list(rows.blocks(7))), whole)
    np.testing.assert_array_equal(rows.take(np.array([3, 49, 0])), whole[[3, 49, 0]])


@pytest.mark.usefixtures("block_scores")
def test_neighbors_among_random_rows_are_those_of_the_table_they_make() -> None:
    rows = RandomRows(60, 6, seed=3)
    whole = np.concatenate(list(rows.blocks(60)))
    expected = nearest_rows(TableRows(whole, np.arange(60)), np.arange(60), 4)
    np.testing.assert_array_equal(nearest_rows(rows, np.arange(60), 4), expected)


def test_too_few_rows_are_a_misuse() -> None:
    with pytest.raises(ValueError, match="5 rows have no 5 neighbors"):
        nearest_rows(TableRows(table(9, 3, 1), np.arange(5)), np.arange(2), 5)


def test_no_query_has_no_neighbor() -> None:
    assert nearest_rows(TableRows(table(9, 3, 1), np.arange(9)), np.empty(0, dtype=np.int64), 3).shape == (0, 3)
