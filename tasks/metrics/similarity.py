"""Word similarity: do the cosines of word pairs rank them as people do?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.metrics.cosines import unit_rows
from tasks.metrics.lookup import find_rows, rows_by_folded_word


@dataclass(frozen=True)
class SimilarityScore:
    """Spearman's correlation over the covered pairs.

    spearman: None where it is undefined: fewer than two covered pairs, or all cosines or all scores the same.
    covered, total: pairs with both words known, and all pairs.
    """

    spearman: float | None
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
    first, second, scores: P pairs and their (P,) scores. Words are matched without regard to case.
    Same as gensim's `KeyedVectors.evaluate_word_pairs(..., case_insensitive=True, dummy4unknown=False)`.
    Raises ValueError if the lengths differ.
    """
    if len(words) != len(vectors) or not len(first) == len(second) == len(scores):
        raise ValueError(
            f"{len(words)} words, {len(vectors)} vectors; {len(first)}, {len(second)} words in pairs, "
            f"{len(scores)} scores"
        )
    rows = rows_by_folded_word(words)
    first_rows, second_rows = find_rows(rows, first), find_rows(rows, second)
    covered = (first_rows >= 0) & (second_rows >= 0)
    cosines = np.einsum(
        "ij,ij->i", unit_rows(vectors, first_rows[covered]), unit_rows(vectors, second_rows[covered]), dtype=np.float64
    )
    return SimilarityScore(_spearman(cosines, scores[covered]), int(covered.sum()), len(scores))


def _spearman(cosines: NDArray[np.float64], scores: NDArray[np.float64]) -> float | None:
    if not np.isfinite(cosines).all() or np.unique(cosines).size < 2 or np.unique(scores).size < 2:
        return None
    # Deferred: scipy.stats takes most of a second to import, which every command would pay.
    from scipy.stats import spearmanr

    return float(spearmanr(cosines, scores).statistic)
