"""A rotation brings two tables together as SciPy's does, and changes no similarity inside one."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import orthogonal_procrustes
from scipy.stats import ortho_group

from storage.vectors.reference import ReferenceVectors
from tasks.metrics import alignment
from tasks.metrics.alignment import fit_rotation, mean_cosine, rotate
from tasks.metrics.cosines import unit_rows

ALL = np.arange(500)


def table(rows: int, dimension: int, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((rows, dimension), dtype=np.float32)


@pytest.fixture
def older() -> NDArray[np.float32]:
    return table(500, 12, 1)


@pytest.fixture
def newer(older: NDArray[np.float32]) -> NDArray[np.float32]:
    """The older one turned, lengthened and a little moved."""
    turned = older @ ortho_group.rvs(12, random_state=2).astype(np.float32) * 3
    moved: NDArray[np.float32] = (turned + 0.3 * table(500, 12, 3)).astype(np.float32)
    return moved


def test_a_turned_table_is_turned_back(older: NDArray[np.float32], newer: NDArray[np.float32]) -> None:
    before = mean_cosine(newer, ALL, older, ALL)
    rotation = fit_rotation(newer, ALL, older, ALL)
    after = mean_cosine(newer, ALL, older, ALL, rotation)
    assert before is not None
    assert after is not None
    assert abs(before) < 0.4
    assert after > 0.99
    cosines = (unit_rows(rotate(newer, rotation)) * unit_rows(older)).sum(axis=1)
    assert after == pytest.approx(cosines.mean(), abs=1e-6)


def test_the_rotation_is_scipys_on_shared_rows(older: NDArray[np.float32], newer: NDArray[np.float32]) -> None:
    rows, other_rows = ALL[::3], ALL[::-3][: len(ALL[::3])]
    rotation = fit_rotation(newer, rows, older, other_rows)
    peer, _ = orthogonal_procrustes(
        unit_rows(newer, rows).astype(np.float64), unit_rows(older, other_rows).astype(np.float64)
    )
    np.testing.assert_allclose(rotation, peer, atol=1e-6)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(12), atol=1e-12)


def test_the_size_of_a_block_changes_nothing(
    older: NDArray[np.float32], newer: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    rotation = fit_rotation(newer, ALL, older, ALL)
    turned, cosine = rotate(newer, rotation), mean_cosine(newer, ALL, older, ALL, rotation)
    monkeypatch.setattr(alignment, "BLOCK_ROWS", 7)
    np.testing.assert_allclose(fit_rotation(newer, ALL, older, ALL), rotation, atol=1e-6)
    np.testing.assert_array_equal(rotate(newer, rotation), turned)
    assert mean_cosine(newer, ALL, older, ALL, rotation) == pytest.approx(cosine)


def test_similarity_inside_a_real_table_stays_within_a_hundred_thousandth(glove: ReferenceVectors) -> None:
    vectors = glove.vectors[:3000]
    rotation = fit_rotation(vectors, np.arange(1500), glove.vectors[3000:6000], np.arange(1500))
    before, after = (unit @ unit.T for unit in (unit_rows(vectors), unit_rows(rotate(vectors, rotation))))
    np.testing.assert_allclose(after, before, atol=1e-5)


def test_what_cannot_be_aligned_is_a_misuse(older: NDArray[np.float32]) -> None:
    with pytest.raises(ValueError, match="vectors of 12 numbers cannot be turned onto vectors of 5"):
        fit_rotation(older, ALL, table(500, 5, 1), ALL)
    with pytest.raises(ValueError, match="no row is shared"):
        fit_rotation(older, ALL[:0], older, ALL[:0])
    assert mean_cosine(older, ALL[:0], older, ALL[:0]) is None
