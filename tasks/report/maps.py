"""Two-dimensional maps of word vectors: positions of words, and the groups they form.

t-SNE is openTSNE's with interpolated forces, and attraction between a word and its nearest ones, equal for all of them,
in place of a perplexity: a third of the pairs, and neighbourhoods are kept better (docs/experiments.md has figures). It
uses one thread: two are no faster on a busy machine, and a different order of summation would move the points from run
to run.
"""

import itertools
from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

MapMethod = Literal["tsne", "pca"]

# t-SNE runs on the first principal components, which hold nearly all of the variance between words.
COMPONENTS = 50
# Nearest words that attract a word. With 30, fewer of the ten nearest words stay near it.
ATTRACTING_NEIGHBORS = 15
# Iterations with attraction exaggerated, and without; the width of a cell of the grid of forces, and the least number
# of cells along an axis. Wider cells keep neighbourhoods worse.
EXAGGERATED_ITERATIONS, ITERATIONS = 75, 200
CELL_WIDTH, LEAST_CELLS = 1.5, 20
REPORTED_ITERATIONS = 25
# Nearest words that place a further word, how far it goes towards their middle, and how far it is moved aside.
PLACING_NEIGHBORS, TOWARDS_MIDDLE, OFFSET = 8, 0.15, 0.008
# 40 MB of cosines to 5,000 words.
PLACED_AT_ONCE = 2000
# With fewer points there are no neighbourhoods for t-SNE to keep.
FEWEST_FOR_TSNE = 8


def map_words(
    vectors: NDArray[np.float32],
    method: MapMethod = "tsne",
    seed: int = 1,
    on_iteration: Callable[[int], None] | None = None,
) -> NDArray[np.float32]:
    """Positions of N words on a map: (N, 2) float32, centred, the widest axis from -1 to 1.

    vectors: (N, D) float32, finite.  Deterministic for the same vectors and seed. Fewer than 8 words are laid out by
    PCA regardless of the method; identical vectors share one point.
    on_iteration: called with the number of iterations of t-SNE that are done, every 25.
    Raises ValueError for other shapes or values that are not finite.
    Source of t-SNE: van der Maaten and Hinton 2008, "Visualizing Data using t-SNE"; as built in openTSNE.
    """
    if vectors.ndim != 2 or not np.isfinite(vectors).all():
        raise ValueError(f"a map needs finite vectors of shape (N, D), not {vectors.shape}")
    components = _principal_components(vectors, seed)
    if method == "tsne" and len(vectors) >= FEWEST_FOR_TSNE and np.ptp(components) > 0:
        return _framed(_tsne(components, seed, on_iteration))
    return _framed(components[:, :2])


def place_words(
    vectors: NDArray[np.float32],
    known: NDArray[np.float32],
    positions: NDArray[np.float32],
    without: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Positions of words on an existing map, (N, 2) float32, and the row in `known` that each is close to, (N,).

    vectors: (N, D) float32 of unit length.  known, positions: (M, D) and (M, 2) of the words of the map.
    without: (N,) the row in `known` of each word itself, which is left out.
    A word goes to the one of its nearest words that the others surround, moved slightly towards their center. Of 5 to
    10 neighbours, 8 put words of a t-SNE map nearest to where they are; their mean alone would fall between two groups.
    Close to that word, but not on it: the offset is the same for the same row.
    """
    count = min(PLACING_NEIGHBORS, len(known))
    placed, hosts = np.zeros((len(vectors), 2), dtype=np.float32), np.zeros(len(vectors), dtype=np.int64)
    for start in range(0, len(vectors) if count else 0, PLACED_AT_ONCE):
        block = slice(start, start + PLACED_AT_ONCE)
        cosines = vectors[block] @ known.T
        if without is not None:
            cosines[np.arange(len(cosines)), without[block]] = -np.inf
        near = np.argpartition(cosines, -count, axis=1)[:, -count:]
        weights = np.maximum(np.take_along_axis(cosines, near, axis=1), 1e-3) ** 2
        weights /= weights.sum(axis=1, keepdims=True)
        around = positions[near]
        apart = np.linalg.norm(around[:, :, None] - around[:, None, :], axis=3)
        lines, host = np.arange(len(near)), np.argmin((apart * weights[:, None, :]).sum(axis=2), axis=1)
        middle = (around * weights[:, :, None]).sum(axis=1)
        placed[block] = (1 - TOWARDS_MIDDLE) * around[lines, host] + TOWARDS_MIDDLE * middle
        hosts[block] = near[lines, host]
    offsets = np.random.default_rng(1).normal(scale=OFFSET, size=placed.shape)
    return (placed + offsets).astype(np.float32), hosts


def group_words(vectors: NDArray[np.float32], groups: int, seed: int = 1) -> NDArray[np.int64]:
    """Group of each of N words by k-means: (N,) int64 below `groups`, 0 is the largest group.

    vectors: (N, D) float32.  There are no more groups than distinct vectors.
    """
    from sklearn.cluster import KMeans

    distinct = len(np.unique(vectors, axis=0))
    if distinct <= 1:
        return np.zeros(len(vectors), dtype=np.int64)
    components = _principal_components(vectors, seed)
    kmeans = KMeans(n_clusters=min(groups, distinct), n_init=1, random_state=seed)
    labels: NDArray[np.int64] = kmeans.fit_predict(components).astype(np.int64)
    sizes = np.bincount(labels)
    rank_by_size = np.empty(len(sizes), dtype=np.int64)
    rank_by_size[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes))
    labels = rank_by_size[labels]
    return labels


def _principal_components(vectors: NDArray[np.float32], seed: int) -> NDArray[np.float64]:
    """(N, at least 2 and at most COMPONENTS) float64; zeros if all vectors are identical."""
    from sklearn.decomposition import PCA

    components = min(COMPONENTS, *vectors.shape)
    padded = np.zeros((len(vectors), max(components, 2)))
    if len(vectors) > 1 and (vectors != vectors[0]).any():
        padded[:, :components] = PCA(components, random_state=seed).fit_transform(vectors.astype(np.float64))
    return padded


def _tsne(
    components: NDArray[np.float64], seed: int, on_iteration: Callable[[int], None] | None
) -> NDArray[np.float64]:
    from openTSNE import TSNE
    from openTSNE.affinity import Uniform

    calls = itertools.count(1)

    def report(*_: object) -> None:
        assert on_iteration is not None
        on_iteration(REPORTED_ITERATIONS * next(calls))

    neighbors = min(ATTRACTING_NEIGHBORS, len(components) // 2)
    affinities = Uniform(components, k_neighbors=neighbors, method="exact", symmetrize="mean", random_state=seed)
    tsne = TSNE(
        negative_gradient_method="fft",
        early_exaggeration_iter=EXAGGERATED_ITERATIONS,
        n_iter=ITERATIONS,
        ints_in_interval=CELL_WIDTH,
        min_num_intervals=LEAST_CELLS,
        callbacks=report if on_iteration else None,
        callbacks_every_iters=REPORTED_ITERATIONS,
        n_jobs=1,
        random_state=seed,
    )
    return np.asarray(tsne.fit(components, affinities))


def _framed(positions: NDArray[np.float64]) -> NDArray[np.float32]:
    """Centre the positions and scale both axes by the same factor."""
    middle = (positions.max(axis=0) + positions.min(axis=0)) / 2 if len(positions) else np.zeros(2)
    reach = np.abs(positions - middle).max(initial=0.0)
    return ((positions - middle) / (reach or 1.0)).astype(np.float32)
