"""Choose words that show at a glance what vectors have learnt."""

from collections.abc import Collection, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

# Bands of ranks that one word each comes from; the first words of a language are mostly its grammar.
FIRST_RANK, LAST_RANK = 100, 6400
# Words of a band that are compared, evenly spaced.
TRIED = 120
SHORTEST = 4
# Letters that two forms of one word share at the start, such as “actor” and “actors”.
STEM = 4
# A word more similar than this to a chosen one shows the same again.
SAME_AGAIN = 0.5


def choose_examples(
    words: Sequence[str], vectors: NDArray[np.float32], stop_words: Collection[str], count: int = 5, neighbors: int = 5
) -> list[int]:
    """Rows of at most `count` frequent content words with close neighbours, the most frequent first.

    words: (V,), most frequent first.  vectors: (V, D) float32 of unit length.
    The ranks from 100 to 6,400, fewer in a small vocabulary, are divided into `count` bands. The word of a band is the
    one with the highest mean cosine to its nearest words; stop words, numbers and other forms of the word count 0.
    """
    last = min(LAST_RANK, len(words))
    first = max(min(FIRST_RANK, last * FIRST_RANK // LAST_RANK), 1)
    edges = np.geomspace(first, last + 1, count + 1).round().astype(int) - 1
    chosen: list[int] = []
    for low, high in pairwise(edges.tolist()):
        band = [row for row in range(low, high) if _is_content(words[row], stop_words)]
        band = [row for row in band if len(words[row]) >= SHORTEST] or band
        band = band[:: -(-len(band) // TRIED) or 1]
        if not band:
            continue
        similarity = vectors[band] @ vectors.T
        scores = [
            _closeness(row, line, words, stop_words, neighbors) for row, line in zip(band, similarity, strict=True)
        ]
        again = similarity[:, chosen].max(axis=1, initial=-1) > SAME_AGAIN
        best = int(np.argmax(np.where(again, -1, scores)))
        if not again[best]:
            chosen.append(band[best])
    return sorted(chosen)


def _is_content(word: str, stop_words: Collection[str]) -> bool:
    return word.isalpha() and word.lower() not in stop_words


def _closeness(
    row: int, similarity: NDArray[np.float32], words: Sequence[str], stop_words: Collection[str], neighbors: int
) -> float:
    """Mean cosine of a word's neighbours, 0 for those that show nothing."""
    similarity[row] = -np.inf
    count = min(neighbors, len(words) - 1)
    nearest = np.argpartition(-similarity, count - 1)[:count] if count else np.array([], dtype=np.int64)
    stem = words[row][:STEM]
    useful = [
        float(similarity[other])
        for other in nearest
        if _is_content(words[other], stop_words) and not words[other].startswith(stem)
    ]
    return sum(useful) / max(count, 1)
