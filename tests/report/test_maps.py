"""Maps keep near words near, and come out the same from the same vectors and seed."""

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness

from tasks.report.maps import MapMethod, group_words, map_words, place_words
from tasks.report.regions import find_regions
from tasks.report.still import HEIGHT, WIDTH, draw_still_map


def clustered(seed: int = 1) -> NDArray[np.float32]:
    """240 vectors of 30 dimensions around six centres."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(6, 30))
    return (np.repeat(centers, 40, axis=0) + 0.2 * rng.normal(size=(240, 30))).astype(np.float32)


@cache
def clustered_map(method: MapMethod = "tsne") -> NDArray[np.float32]:
    """The map of these vectors, computed once for all tests."""
    positions = map_words(clustered(), method)
    positions.flags.writeable = False
    return positions


@pytest.mark.parametrize("method", ["tsne", "pca"])
def test_the_same_vectors_and_seed_yield_the_same_map(method: MapMethod) -> None:
    np.testing.assert_array_equal(map_words(clustered(), method), clustered_map(method))


@pytest.mark.parametrize("method", ["tsne", "pca"])
def test_a_map_is_centred_and_fills_its_frame_with_one_scale(method: MapMethod) -> None:
    positions = clustered_map(method)
    assert positions.shape == (240, 2)
    assert positions.dtype == np.float32
    assert np.abs(positions).max() == pytest.approx(1.0)
    np.testing.assert_allclose(positions.max(axis=0) + positions.min(axis=0), 0, atol=1e-6)


def test_tsne_keeps_near_words_near_better_than_pca() -> None:
    vectors = clustered()
    methods: list[MapMethod] = ["tsne", "pca"]
    kept = {method: trustworthiness(vectors, clustered_map(method), n_neighbors=10) for method in methods}
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
    positions = map_words(clustered()[:rows], method)
    assert positions.shape == (rows, 2)
    assert np.isfinite(positions).all()


def test_words_with_one_vector_share_one_point() -> None:
    positions = map_words(np.ones((20, 9), dtype=np.float32))
    np.testing.assert_array_equal(positions, 0)


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


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths: NDArray[np.float32] = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / lengths).astype(np.float32)


def test_progress_of_a_map_is_reported_and_does_not_change_it() -> None:
    done: list[int] = []
    np.testing.assert_array_equal(map_words(clustered(), on_iteration=done.append), clustered_map())
    assert done == sorted(done)
    assert done[-1] == 275


def test_further_words_go_to_their_own_cluster() -> None:
    vectors = unit(clustered())
    rows = np.arange(240) % 4 > 0
    positions = map_words(vectors[rows])
    placed, hosts = place_words(vectors[~rows], vectors[rows], positions)
    clusters = np.arange(240) // 40
    np.testing.assert_array_equal(clusters[rows][hosts], clusters[~rows])
    middles = np.stack([positions[clusters[rows] == cluster].mean(axis=0) for cluster in range(6)])
    nearest = np.linalg.norm(placed[:, None] - middles[None], axis=2).argmin(axis=1)
    assert (nearest == clusters[~rows]).mean() > 0.95
    np.testing.assert_array_equal(placed, place_words(vectors[~rows], vectors[rows], positions)[0])


def test_a_word_can_be_placed_without_its_own_place() -> None:
    vectors, positions = unit(clustered()), clustered_map()
    rows = np.array([3, 77])
    _, hosts = place_words(vectors[rows], vectors, positions, without=rows)
    assert not set(hosts) & set(rows)
    assert [host // 40 for host in hosts] == [0, 1]


def test_regions_are_named_by_content_words_of_their_own() -> None:
    rng = np.random.default_rng(2)
    themes = np.arange(600) % 14
    middles = 3 * np.stack([np.cos(np.arange(14)), np.sin(np.arange(14))], axis=1) * (1 + np.arange(14))[:, None] / 14
    positions = (middles[themes] + rng.normal(scale=0.02, size=(600, 2))).astype(np.float32)
    vectors = unit((np.eye(14)[themes] + 0.1 * rng.normal(size=(600, 14))).astype(np.float32))
    letters = "abcdefghijklmn"
    words = [
        f"{letters[theme] * 3}{chr(97 + row // 14 % 26)}{chr(97 + row // 364)}word" for row, theme in enumerate(themes)
    ]
    words = [word[::-1].replace("drow", "") + "x" if row % 2 else word for row, word in enumerate(words)]
    words[:14] = ["the"] * 14
    regions = find_regions(positions, vectors, words, {"the"})
    large = [region for region in regions if region.level == 0]
    assert 10 <= len(large) <= 14
    for region in large:
        assert len({themes[row] for row in region.rows}) == 1
        assert "the" not in {words[row] for row in region.rows}
        assert set(region.rows) <= set(region.members)
    assert find_regions(positions[:50], vectors[:50], words) == []


def test_a_still_map_has_no_overlapping_labels_and_all_groups() -> None:
    rng = np.random.default_rng(5)
    positions = rng.uniform(-1, 1, (900, 2)).astype(np.float32)
    words = [f"word{row}" for row in range(900)]
    still = draw_still_map(positions, np.arange(900) % 10, words, [], [("word1", ["word2"])], colors=10)
    assert len(still.dots) == 10
    assert sum(path.count("M") for path in still.dots) == 900
    assert still.labels[0].text == "word0"
    boxes = [(label.x, label.y) for label in still.labels]
    assert all(0 < x < WIDTH and 0 < y < HEIGHT for x, y in boxes)
    assert len(set(boxes)) == len(boxes) > 100
