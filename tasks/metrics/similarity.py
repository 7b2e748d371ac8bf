"""Word similarity: do cosines rank word pairs as people do?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.metrics.bands import END, band_name
from tasks.metrics.cosines import unit_rows
from tasks.metrics.intervals import FEWEST_OBSERVATIONS, Interval, bootstrap_interval
from tasks.metrics.lookup import find_rows, rows_by_folded_word

# First and last rank of the rarer word of a pair. With the 30,734 words of the movie reviews, the bands have 53, 152
# and 110 pairs of WordSim-353, and 189, 533 and 244 of SimLex-999.
BANDS = ((1, 2_000), (2_001, 10_000), (10_001, END))


@dataclass(frozen=True)
class SimilarityScore:
    """Spearman's correlation over the covered pairs.

    spearman: None if undefined: fewer than two covered pairs, or constant cosines or scores.
    interval: 95 % bootstrap interval over pairs, None with fewer than ten pairs.
    covered, total: pairs with both words known, and all pairs.
    """

    spearman: float | None
    interval: Interval | None
    covered: int
    total: int

    @property
    def coverage(self) -> float:
        """Share of pairs with both words known."""
        return self.covered / self.total if self.total else 0.0


def score_similarity(
    words: Sequence[str],
    vectors: NDArray[np.float32],
    first: Sequence[str],
    second: Sequence[str],
    scores: NDArray[np.float64],
) -> SimilarityScore:
    """Spearman's rank correlation between people's scores and the cosines of the words' vectors.

    words, vectors: V words, most frequent first, and their (V, D) vectors.
    first, second, scores: P pairs and their (P,) scores. Case is ignored.
    Same as gensim's `KeyedVectors.evaluate_word_pairs(..., case_insensitive=True, dummy4unknown=False)`.
    Raises ValueError if the lengths differ.
    """
    if len(second) != len(scores):
        raise ValueError(f"{len(second)} pairs, {len(scores)} scores")
    covered, cosines = pair_cosines(words, vectors, first, second)
    return _score(cosines[covered], scores[covered], len(scores))


def score_bands(
    words: Sequence[str],
    vectors: NDArray[np.float32],
    first: Sequence[str],
    second: Sequence[str],
    scores: NDArray[np.float64],
    ranked: int,
) -> dict[str, SimilarityScore]:
    """The same correlation for the covered pairs of each of BANDS, by the rank of their rarer word.

    ranked: how many of `words` have a rank by frequency, 1 for the first; pairs with a later word are in no band.
    Bands with fewer than ten pairs are left out, as their correlation would say nothing.
    """
    covered, cosines = pair_cosines(words, vectors, first, second)
    bands = {}
    for name, inside in band_masks(words, first, second, ranked).items():
        inside &= covered
        if (count := int(inside.sum())) >= FEWEST_OBSERVATIONS:
            bands[name] = _score(cosines[inside], scores[inside], count)
    return bands


def band_masks(
    words: Sequence[str], first: Sequence[str], second: Sequence[str], ranked: int
) -> dict[str, NDArray[np.bool_]]:
    """Name of each of BANDS -> which of P pairs have their rarer word in it, (P,). Unknown words are not checked.

    words, ranked: as in `score_bands`.
    """
    rows = rows_by_folded_word(words)
    ranks = np.maximum(find_rows(rows, first), find_rows(rows, second)) + 1
    return {band_name(low, high): (ranks >= low) & (ranks <= min(high, ranked)) for low, high in BANDS}


def pair_cosines(
    words: Sequence[str], vectors: NDArray[np.float32], first: Sequence[str], second: Sequence[str]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Which of P pairs have both words known, (P,), and the cosines of their vectors, (P,), 0 for the other pairs.

    The arguments are those of `score_similarity`.  Raises ValueError if lengths differ.
    """
    if len(words) != len(vectors) or len(first) != len(second):
        raise ValueError(f"{len(words)} words, {len(vectors)} vectors; {len(first)}, {len(second)} words in pairs")
    rows = rows_by_folded_word(words)
    first_rows, second_rows = find_rows(rows, first), find_rows(rows, second)
    covered = (first_rows >= 0) & (second_rows >= 0)
    cosines = np.zeros(len(first), dtype=np.float64)
    cosines[covered] = np.einsum(
        "ij,ij->i", unit_rows(vectors, first_rows[covered]), unit_rows(vectors, second_rows[covered]), dtype=np.float64
    )
    return covered, cosines


def rank_correlations(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spearman's correlation of each row of (B, P) with the same row of the other, (B,); NaN where undefined.

    Pearson's correlation of the ranks, ties sharing their mean rank, as SciPy's `spearmanr` computes it for one row.
    """
    # Not SciPy's own: importing scipy.stats takes most of a second.
    x, y = (_centered_ranks(values) for values in (first, second))
    lengths = np.sqrt(np.einsum("ij,ij->i", x, x) * np.einsum("ij,ij->i", y, y))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.einsum("ij,ij->i", x, y) / lengths, dtype=np.float64)


def _centered_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks in each row of (B, P) values minus their mean, ties sharing their mean rank."""
    order = np.argsort(values, axis=1)
    ordered = np.take_along_axis(values, order, axis=1)
    places = np.broadcast_to(np.arange(values.shape[1]), values.shape)
    rises = np.ones(values.shape, dtype=bool)
    rises[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    # Each value's group of ties reaches from its first place to the one before the next group.
    first = np.maximum.accumulate(np.where(rises, places, 0), axis=1)
    ends = np.where(np.roll(rises, -1, axis=1), places, values.shape[1] - 1)
    ends[:, -1] = values.shape[1] - 1
    last = np.minimum.accumulate(ends[:, ::-1], axis=1)[:, ::-1]
    ranks = np.empty(values.shape, dtype=np.float64)
    np.put_along_axis(ranks, order, (first + last) / 2, axis=1)
    return np.asarray(ranks - (values.shape[1] - 1) / 2, dtype=np.float64)


def _score(cosines: NDArray[np.float64], scores: NDArray[np.float64], total: int) -> SimilarityScore:
    """The score of the covered pairs. total: all pairs."""
    spearman = _spearman(cosines, scores)
    interval = None if spearman is None else bootstrap_interval(rank_correlations, cosines, scores)
    return SimilarityScore(spearman, interval, len(cosines), total)


def _spearman(cosines: NDArray[np.float64], scores: NDArray[np.float64]) -> float | None:
    if not np.isfinite(cosines).all() or np.unique(cosines).size < 2 or np.unique(scores).size < 2:
        return None
    return float(rank_correlations(cosines[None], scores[None])[0])
