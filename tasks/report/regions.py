"""Regions of a word map: clusters of its points, named by the words that are typical of them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Regions of each level: large ones for the whole map, small ones for a closer look.
REGIONS = (14, 56)
# Words in the name of a region of each level.
NAMES = (3, 2)
# With fewer words a region shows nothing.
FEWEST = 8
# Most words that a region lists.
MOST_MEMBERS = 200
SHORTEST = 3
# Letters that two forms of one word share at the start.
STEM = 4


@dataclass(frozen=True)
class Region:
    """A named part of a map. level: 0 for the large ones.  x, y: its middle, in the map's units.

    rows: words of its name.  members: its words, most frequent first.
    """

    level: int
    x: float
    y: float
    rows: Sequence[int]
    members: Sequence[int]


def find_regions(
    positions: NDArray[np.float32],
    vectors: NDArray[np.float32],
    words: Sequence[str],
    stop_words: Collection[str] = (),
    seed: int = 1,
) -> list[Region]:
    """Regions of all levels, the largest first; none on a map of few words or of words that nobody could read.

    positions: (M, 2) of the M most frequent words.  vectors: (M, D) of unit length.  words: (M,) at least.
    A region is named by its content words with the highest product of cosine to the region's mean and logarithm of
    frequency rank, so that names are typical and known.
    """
    from sklearn.cluster import KMeans

    content = np.array([_is_content(word, stop_words) for word in words[: len(positions)]], dtype=bool)
    found: list[Region] = []
    for level, (count, names) in enumerate(zip(REGIONS, NAMES, strict=True)):
        if len(positions) < count * FEWEST:
            continue
        labels = KMeans(count, n_init=1, random_state=seed).fit_predict(positions.astype(np.float64))
        regions = []
        for label in range(count):
            members = np.flatnonzero(labels == label)
            if len(members) < FEWEST:
                continue
            named = _names(members[content[members]], members, vectors, words, names)
            if named:
                x, y = (float(middle) for middle in np.median(positions[members], axis=0))
                regions.append((len(members), Region(level, x, y, named, members[:MOST_MEMBERS].tolist())))
        found += [region for _, region in sorted(regions, key=lambda one: -one[0])]
    return found


def _is_content(word: str, stop_words: Collection[str]) -> bool:
    return len(word) >= SHORTEST and word.isalpha() and word.lower() not in stop_words


def _names(
    candidates: NDArray[np.int64],
    members: NDArray[np.int64],
    vectors: NDArray[np.float32],
    words: Sequence[str],
    count: int,
) -> list[int]:
    """The most typical words of a region, no two of them forms of one word; none if there are fewer than `count`."""
    middle = vectors[members].mean(axis=0)
    typical = vectors[candidates] @ (middle / (np.linalg.norm(middle) or 1.0))
    known = 1 - np.log1p(candidates) / np.log1p(len(words) + 1)
    chosen: list[int] = []
    for at in np.argsort(-typical * (0.35 + known), kind="stable"):
        row = int(candidates[at])
        if all(words[row][:STEM] != words[other][:STEM] for other in chosen):
            chosen.append(row)
        if len(chosen) == count:
            return chosen
    return []
