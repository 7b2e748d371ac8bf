"""Neighbour overlap: does a word have the same nearest words in other vectors?

The other vectors are reference vectors or an earlier release. Neighbours are searched among the shared words, so that a
word missing from one side does not count as a difference.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.metrics.bands import END, band_name
from tasks.metrics.cosines import RandomRows, TableRows, nearest_rows
from tasks.metrics.intervals import Interval, mean_interval
from tasks.metrics.lookup import shared_rows
from tasks.metrics.stop_words import english_stop_words

# Seed of the random baseline, fixed so that it is the same in every evaluation.
RANDOM_SEED = 0
# At 0.9 the first ten ranks carry 86 % of the weight (Webber et al., equation 21).
PERSISTENCE = 0.9
# First and last rank of each band; a band without shared words is left out.
BANDS = ((1, 1_000), (1_001, 10_000), (10_001, 100_000), (100_001, END))
# Words of each band, evenly spaced; enough to know the mean overlap to about 0.01.
BAND_WORDS = 250
SHOWN_WORDS = 10


@dataclass(frozen=True)
class Agreement:
    """How far two tables agree on the neighbours of some words.

    rows: (N,) int64, the words as rows of the model, most frequent first.
    overlaps: (N,) float64 in 0..1, share of each word's neighbours that both tables have.
    rank_overlaps: (N,) float64 in 0..1, rank-biased overlap, which also weights order, the first ranks most.
    """

    rows: NDArray[np.int64]
    overlaps: NDArray[np.float64]
    rank_overlaps: NDArray[np.float64]

    @property
    def mean(self) -> float | None:
        """Mean overlap, None if no word was compared."""
        return float(self.overlaps.mean()) if len(self.rows) else None

    @property
    def rank_mean(self) -> float | None:
        """Mean rank-biased overlap, None if no word was compared."""
        return float(self.rank_overlaps.mean()) if len(self.rows) else None

    @property
    def interval(self) -> Interval | None:
        """95 % interval of the mean overlap."""
        return mean_interval(self.overlaps)

    @property
    def rank_interval(self) -> Interval | None:
        """95 % interval of the mean rank-biased overlap."""
        return mean_interval(self.rank_overlaps)


class WordAgreement(NamedTuple):
    """One word in two tables, with the neighbours that only one of them has. rank: in the model, 1 = most frequent."""

    word: str
    rank: int
    overlap: float
    rank_overlap: float
    only_here: list[str]
    only_there: list[str]


@dataclass(frozen=True)
class NeighborOverlap:
    """How far a model agrees with other vectors.

    frequent: of the most frequent shared words.  random: the same for random vectors instead of the model.
    bands: name of a band of ranks -> agreement of words spread over it.
    most, least: the frequent words that agree most and least, most extreme first.
    shared, total: shared words, and words of the model.  folded: shared words whose case differs.
    """

    frequent: Agreement
    random: Agreement | None
    bands: dict[str, Agreement]
    most: list[WordAgreement]
    least: list[WordAgreement]
    shared: int
    total: int
    folded: int

    @property
    def coverage(self) -> float:
        """Share of the model's words that the other vectors have."""
        return self.shared / self.total if self.total else 0.0


def compare_neighbors(
    words: Sequence[str],
    vectors: NDArray[np.float32],
    other_words: Sequence[str],
    other_vectors: NDArray[np.float32],
    neighbors: int = 10,
    word_limit: int = 1000,
    *,
    fold: bool = True,
    random: bool = True,
    shown: int = SHOWN_WORDS,
) -> NeighborOverlap:
    """Overlap of the nearest neighbours of words in two tables, with a random table as a baseline.

    words, vectors: V words, most frequent first, and their (V, D) vectors.
    other_words, other_vectors: R words and their (R, E) vectors.
    neighbors: k, neighbours per word.  word_limit: how many of the most frequent words to compare.
    fold: ignore case.  random: compare a random table too.  shown: how many most and least agreeing words to return.
    Only shared words that are alphabetic and not in scikit-learn's list of English stop words are compared, and none
    if there are at most k of them.
    Raises ValueError if words and vectors differ in number.
    """
    if len(words) != len(vectors) or len(other_words) != len(other_vectors):
        raise ValueError(
            f"{len(words)} words, {len(vectors)} vectors; {len(other_words)} other words, {len(other_vectors)} vectors"
        )
    rows, other_rows = shared_rows(words, other_words, fold=fold)
    content = _content_positions(words, rows) if len(rows) > neighbors else np.empty(0, dtype=np.int64)
    bands = _band_positions(rows, content)
    positions = np.unique(np.concatenate([content[:word_limit], *bands.values()]))
    if len(positions):
        ours = nearest_rows(TableRows(vectors, rows), positions, neighbors)
        theirs = nearest_rows(TableRows(other_vectors, other_rows), positions, neighbors)
    else:
        ours = theirs = np.empty((0, neighbors), dtype=np.int64)
    agreement = _agreement(rows[positions], ours, theirs)
    # The most frequent content words come first among the positions, before those of the bands.
    frequent = _part(agreement, slice(len(content[:word_limit])))

    def agreeing(index: int) -> WordAgreement:
        here, there = ours[index].tolist(), theirs[index].tolist()
        return WordAgreement(
            word=words[int(agreement.rows[index])],
            rank=int(agreement.rows[index]) + 1,
            overlap=float(agreement.overlaps[index]),
            rank_overlap=float(agreement.rank_overlaps[index]),
            only_here=[words[int(rows[position])] for position in here if position not in there],
            only_there=[other_words[int(other_rows[position])] for position in there if position not in here],
        )

    # Ties keep the order of their ranks.
    most = np.lexsort((-frequent.rank_overlaps, -frequent.overlaps))[:shown]
    least = np.lexsort((frequent.rank_overlaps, frequent.overlaps))[:shown]
    return NeighborOverlap(
        frequent=frequent,
        random=_random_agreement(len(rows), vectors.shape[1], positions, frequent, theirs) if random else None,
        bands={name: _part(agreement, np.searchsorted(positions, band)) for name, band in bands.items()},
        most=[agreeing(index) for index in most.tolist()],
        least=[agreeing(index) for index in least.tolist()],
        shared=len(rows),
        total=len(words),
        folded=sum(words[row] != other_words[other] for row, other in zip(rows, other_rows, strict=True)),
    )


def rank_biased_overlap(
    first: NDArray[np.int64], second: NDArray[np.int64], persistence: float = PERSISTENCE
) -> NDArray[np.float64]:
    """Rank-biased overlap of each row of (N, k) with the same row of the other, in 0..1, (N,).

    The entries of a row are distinct, the first is ranked first. Agreement beyond rank k is extrapolated from the
    first k ranks. persistence: p, the probability of continuing to the next rank.
    Source: Webber, Moffat and Zobel 2010, "A Similarity Measure for Indefinite Rankings", equation 23 (RBO_EXT).
    """
    depth = first.shape[1]
    same = first[:, :, None] == second[:, None, :]
    # An entry is shared from the deeper of its two ranks on.
    deeper = np.maximum.outer(np.arange(depth), np.arange(depth))
    added = np.stack([(same & (deeper == rank)).sum(axis=(1, 2)) for rank in range(depth)], axis=1)
    agreement = added.cumsum(axis=1) / np.arange(1, depth + 1)
    weights = (1 - persistence) / persistence * persistence ** np.arange(1, depth + 1)
    return np.asarray(agreement @ weights + agreement[:, -1] * persistence**depth, dtype=np.float64)


def _random_agreement(
    rows: int, dimension: int, positions: NDArray[np.int64], frequent: Agreement, theirs: NDArray[np.int64]
) -> Agreement:
    count, neighbors = len(frequent.rows), theirs.shape[1]
    if not count:
        return frequent
    drawn = nearest_rows(RandomRows(rows, dimension, RANDOM_SEED), positions[:count], neighbors)
    return _agreement(frequent.rows, drawn, theirs[:count])


def _agreement(rows: NDArray[np.int64], ours: NDArray[np.int64], theirs: NDArray[np.int64]) -> Agreement:
    same = (ours[:, :, None] == theirs[:, None, :]).any(axis=2)
    return Agreement(rows, np.asarray(same.mean(axis=1), dtype=np.float64), rank_biased_overlap(ours, theirs))


def _part(whole: Agreement, indices: NDArray[np.int64] | slice) -> Agreement:
    return Agreement(whole.rows[indices], whole.overlaps[indices], whole.rank_overlaps[indices])


def _content_positions(words: Sequence[str], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions of the shared words that are alphabetic and not English stop words."""
    stop_words = english_stop_words()
    return np.array(
        [
            position
            for position, row in enumerate(rows.tolist())
            if words[row].isalpha() and words[row].lower() not in stop_words
        ],
        dtype=np.int64,
    )


def _band_positions(rows: NDArray[np.int64], content: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """Band name -> positions of at most BAND_WORDS of its content words, evenly spaced."""
    bands = {}
    for low, high in BANDS:
        inside = content[(rows[content] >= low - 1) & (rows[content] < high)]
        if len(inside):
            bands[band_name(low, high)] = inside[
                np.linspace(0, len(inside) - 1, min(BAND_WORDS, len(inside))).astype(np.int64)
            ]
    return bands
