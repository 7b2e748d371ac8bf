"""How many different pairs of words a corpus has, estimated from the counts of the words alone."""

import numpy as np
from numpy.typing import NDArray

# Classes of words of nearly equal count; more change the estimate by less than a hundredth.
CLASSES = 256
BYTES_PER_TABLE_PAIR = 128


def expected_pairs(counts: NDArray[np.float64], occurrences: int, memory_bytes: int) -> tuple[int, int]:
    """Different pairs in the corpus, and the sum of those in the parts of it that fit into the memory.

    counts: (V,) float64, > 0.  occurrences: pairs with their repetitions.
    The estimate assumes independent words. Real text repeats its pairs more often, so it has fewer different ones.
    """
    pairs = _different(counts, occurrences)
    parts = max(1, round(pairs * BYTES_PER_TABLE_PAIR / memory_bytes))
    return pairs, min(occurrences, parts * _different(counts, occurrences / parts))


def _different(counts: NDArray[np.float64], occurrences: float) -> int:
    """Expected number of different unordered pairs among independent draws."""
    classes = np.linspace(np.log(counts.min()), np.log(counts.max()) + 1e-9, CLASSES)
    of_word = np.digitize(np.log(counts), classes)
    sizes = np.bincount(of_word, minlength=CLASSES + 1).astype(np.float64)
    means = np.bincount(of_word, counts, minlength=CLASSES + 1) / np.maximum(sizes, 1) / counts.sum()
    # Ordered pairs, each of half the occurrences: (i, j) and (j, i) are one pair with twice the rate.
    chances = -np.expm1(-2 * occurrences * np.outer(means, means))
    return min(int(np.ceil((sizes @ chances @ sizes) / 2 + len(counts) / 2)), int(np.ceil(occurrences)))
