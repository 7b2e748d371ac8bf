"""Maps keep near words near, and come out the same from the same vectors and seed."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness

from tasks.report.maps import MapMethod, group_words, map_words


def clustered(seed: int = 1) -> NDArray[np.float32]:
    """240 vectors of 30 dimensions around six centres."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(6, 30))
    return (np.repeat(centers, 40, axis=0) + 0.2 * rng.normal(size=(240, 30))).astype(np.float32)


@pytest.mark.parametrize("method", ["tsne", "pca"])
def test_the_same_vectors_and_seed_yield_the_same_map(method: MapMethod) -> None:
    first, second = (map_words(clustered(), method, seed=7) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("method", ["tsne", "pca"])
def test_a_map_is_centred_and_fills_its_frame_with_one_scale(method: MapMethod) -> None:
    places = map_words(clustered(), method)
    assert places.shape == (240, 2)
    assert places.dtype == np.float32
    assert np.abs(places).max() == pytest.approx(1.0)
    np.testing.assert_allclose(places.max(axis=0) + places.min(axis=0), 0, atol=1e-6)


def test_tsne_keeps_near_words_near_better_than_pca() -> None:
    vectors = clustered()
    kept = {method: trustworthiness(vectors, map_words(vectors, method), n_neighbors=10) for method in ("tsne", "pca")}
    assert kept["tsne"] > 0.9
    assert kept["tsne"] > kept["pca"]


def test_pca_is_that_of_scikit_learn_up_to_sign_and_frame() -> None:
    vectors = clustered()
    expected = PCA(2).fit_transform(vectors)
    found = map_words(vectors, "pca")
    for axis in range(2):
        assert abs(np.corrcoef(expected[:, axis], found[:, axis])[0, 1]) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("rows", [0, 1, 2, 7, 8, 12])
@pytest.mark.parametrize("method", ["tsne", "pca"])
def test_few_words_have_a_map_too(rows: int, method: MapMethod) -> None:
    places = map_words(clustered()[:rows], method)
    assert places.shape == (rows, 2)
    assert np.isfinite(places).all()


def test_words_with_one_vector_lie_at_one_point() -> None:
    places = map_words(np.ones((20, 9), dtype=np.float32))
    np.testing.assert_array_equal(places, 0)


@pytest.mark.parametrize("vectors", [np.ones(4, np.float32), np.full((3, 2), np.nan, np.float32)])
def test_a_map_of_something_else_is_refused(vectors: NDArray[np.float32]) -> None:
    with pytest.raises(ValueError, match="finite vectors"):
        map_words(vectors)


def test_groups_are_the_clusters_the_largest_first() -> None:
    vectors = np.concatenate([clustered()[40:50], clustered()[:40], clustered()[80:100]])
    groups = group_words(vectors, 3)
    assert groups.tolist() == [2] * 10 + [0] * 40 + [1] * 20


@pytest.mark.parametrize(("rows", "groups"), [(0, 1), (1, 1), (3, 3)])
def test_there_are_no_more_groups_than_words(rows: int, groups: int) -> None:
    found = group_words(clustered()[[0, 60, 120]][:rows], 10)
    assert len(found) == rows
    assert len(set(found.tolist())) == min(rows, groups)
