"""Neighbour overlap: are a word's nearest words the ones that it has in reference vectors?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.metrics.cosines import score_blocks, unit_rows
from tasks.metrics.lookup import find_rows, rows_by_folded_word

# The random table is a yardstick, drawn the same every time.
RANDOM_SEED = 0


@dataclass(frozen=True)
class NeighborOverlap:
    """How far two tables agree on the neighbours of the most frequent words that both have.

    rows: (N,) int64, the compared words as rows of the model, most frequent first.
    overlaps: (N,) float64 in 0..1, share of each word's neighbours that are the same in both tables.
    random_overlaps: (N,) float64, the same with a table of random vectors in place of the model.
    shared, total: words that both have, and words of the model.
    """

    rows: NDArray[np.int64]
    overlaps: NDArray[np.float64]
    random_overlaps: NDArray[np.float64]
    shared: int
    total: int

    @property
    def mean(self) -> float | None:
        """Mean overlap, None if no word could be compared."""
        return float(self.overlaps.mean()) if len(self.overlaps) else None

    @property
    def random_mean(self) -> float | None:
        """Mean overlap of the random table, None if no word could be compared."""
        return float(self.random_overlaps.mean()) if len(self.random_overlaps) else None

    @property
    def coverage(self) -> float:
        """Share of the model's words that the reference has."""
        return self.shared / self.total if self.total else 0.0


def compare_neighbors(
    words: Sequence[str],
    vectors: NDArray[np.float32],
    reference_words: Sequence[str],
    reference_vectors: NDArray[np.float32],
    neighbors: int = 10,
    word_limit: int = 1000,
) -> NeighborOverlap:
    """Overlap of the nearest neighbours of frequent words in two tables, and of a random table beside it.

    words, vectors: V words, most frequent first, and their (V, D) vectors.
    reference_words, reference_vectors: R words and their (R, E) vectors.
    neighbors: k, neighbours looked at.  word_limit: most words compared.
    Both lists of neighbours are searched by cosine among the shared words. Compared are the most frequent shared
    words that are alphabetic and not in scikit-learn's list of English stop words. Words are matched without regard
    to case, the most frequent spelling standing for all. With no more than k shared words nothing is compared.
    Raises ValueError if words and vectors differ in number.
    """
    if len(words) != len(vectors) or len(reference_words) != len(reference_vectors):
        raise ValueError(
            f"{len(words)} words, {len(vectors)} vectors; "
            f"{len(reference_words)} reference words, {len(reference_vectors)} vectors"
        )
    model_rows, reference_rows = _shared_rows(words, reference_words)
    compared = _compared(words, model_rows, word_limit) if len(model_rows) > neighbors else np.empty(0, dtype=np.int64)
    if not len(compared):
        nothing = np.empty(0, dtype=np.float64)
        return NeighborOverlap(model_rows[compared], nothing, nothing, len(model_rows), len(words))

    expected = nearest_rows(unit_rows(reference_vectors, reference_rows), compared, neighbors)
    found = nearest_rows(unit_rows(vectors, model_rows), compared, neighbors)
    generator = np.random.default_rng(RANDOM_SEED)
    noise = generator.standard_normal((len(model_rows), vectors.shape[1]), dtype=np.float32)
    drawn = nearest_rows(unit_rows(noise), compared, neighbors)
    return NeighborOverlap(
        rows=model_rows[compared],
        overlaps=_overlaps(found, expected),
        random_overlaps=_overlaps(drawn, expected),
        shared=len(model_rows),
        total=len(words),
    )


def nearest_rows(unit: NDArray[np.float32], queries: NDArray[np.int64], neighbors: int) -> NDArray[np.int64]:
    """The rows of (S, D) unit vectors nearest to each of (N,) rows, itself left out: (N, neighbors), in no order.

    Raises ValueError if there are not more than `neighbors` rows.
    """
    if len(unit) <= neighbors:
        raise ValueError(f"{len(unit)} rows have no {neighbors} neighbors each")
    nearest = np.empty((len(queries), neighbors), dtype=np.int64)
    for block, scores in score_blocks(unit[queries], unit):
        scores[np.arange(len(scores)), queries[block]] = -np.inf
        nearest[block] = np.argpartition(scores, -neighbors, axis=1)[:, -neighbors:]
    return nearest


def _shared_rows(words: Sequence[str], reference_words: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the words both have, in the model's order: in the model and in the reference."""
    model = rows_by_folded_word(words)
    in_reference = find_rows(rows_by_folded_word(reference_words), list(model))
    known = in_reference >= 0
    return np.fromiter(model.values(), dtype=np.int64, count=len(model))[known], in_reference[known]


def _compared(words: Sequence[str], model_rows: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """Positions among the shared words of those whose neighbours are compared."""
    # Deferred: importing scikit-learn takes a second, which every command would pay.
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    positions: list[int] = []
    for position, row in enumerate(model_rows.tolist()):
        if len(positions) == limit:
            break
        if words[row].isalpha() and words[row].lower() not in ENGLISH_STOP_WORDS:
            positions.append(position)
    return np.array(positions, dtype=np.int64)


def _overlaps(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of the entries of each row of (N, k) that are in the same row of the other."""
    same: NDArray[np.bool_] = (first[:, :, None] == second[:, None, :]).any(axis=2)
    return np.asarray(same.mean(axis=1), dtype=np.float64)
