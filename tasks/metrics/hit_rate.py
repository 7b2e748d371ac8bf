"""Hit rate: how often the held-out last item of a sequence is among those nearest to the mean of the others.

Three answers to the same question: by the vectors, by popularity (the most frequent items that the sequence does not
have), and by chance.
Source: the evaluation of item2vec and of session-based recommenders (Hidasi et al. 2016), with all items as candidates.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.metrics.cosines import unit_rows
from tasks.metrics.intervals import Interval, share_interval

# Items that are recommended for a sequence.
RECOMMENDED = 10
# Scores of a block, 32 MB.
BLOCK_SCORES = 1 << 23


@dataclass(frozen=True)
class HitRate:
    """Hits of (S,) sequences: by the vectors and by popularity.  chance: expected hit rate of random items."""

    hits: NDArray[np.bool_]
    popular_hits: NDArray[np.bool_]
    chance: float | None

    @property
    def rates(self) -> tuple[float | None, float | None, float | None]:
        """By the vectors, by popularity and by chance; None without a sequence."""
        if not len(self.hits):
            return None, None, None
        return float(self.hits.mean()), float(self.popular_hits.mean()), self.chance

    @property
    def intervals(self) -> tuple[Interval | None, Interval | None, None]:
        """95 % intervals of the first two rates."""
        trials = len(self.hits)
        return share_interval(int(self.hits.sum()), trials), share_interval(int(self.popular_hits.sum()), trials), None


def score_hits(vectors: NDArray[np.float32], token_ids: NDArray[np.int32], offsets: NDArray[np.int64]) -> HitRate:
    """Recommend RECOMMENDED items for each sequence from all its items but the last, and see whether the last is there.

    vectors: (V, D) of the items, most frequent first.  token_ids: (N,).  offsets: (S + 1,), each sequence with two or
    more items. Items that the sequence has are not recommended. Of equal cosines the more frequent item wins.
    """
    sequences = len(offsets) - 1
    hits, popular_hits = np.zeros(sequences, bool), np.zeros(sequences, bool)
    free = np.zeros(sequences, np.int64)
    unit = unit_rows(vectors)
    block = max(1, BLOCK_SCORES // len(unit))
    for start in range(0, sequences, block):
        known = [token_ids[offsets[s] : offsets[s + 1] - 1] for s in range(start, min(start + block, sequences))]
        targets = token_ids[offsets[start + 1 : start + len(known) + 1] - 1]
        numbers = np.arange(len(known))
        scores = np.stack([unit[items].mean(axis=0) for items in known]) @ unit.T
        for number, items in enumerate(known):
            distinct = np.unique(items)
            scores[number, distinct] = -np.inf
            free[start + number] = len(unit) - len(distinct)
            before = targets[number] - np.searchsorted(distinct, targets[number])
            popular_hits[start + number] = before < RECOMMENDED
        own = scores[numbers, targets][:, None]
        better = (scores > own).sum(axis=1)
        equal, rows = np.nonzero(scores == own)
        better += np.bincount(equal[rows < targets[equal]], minlength=len(known))
        hits[start : start + len(known)] = better < RECOMMENDED
    chance = float(np.minimum(1.0, RECOMMENDED / free).mean()) if sequences else None
    return HitRate(hits, popular_hits, chance)
