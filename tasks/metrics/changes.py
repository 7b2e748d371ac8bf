"""Changes of a score between two tables on the same pairs or questions, with paired intervals.

Two scores on the same gold set share its difficulty: pairs that are hard for one table are hard for the other. The
interval of the difference is therefore several times narrower than the intervals of the two scores suggest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import erfc, sqrt

import numpy as np
from numpy.typing import NDArray

from tasks.metrics.gates import CHANGE as CHANGE
from tasks.metrics.intervals import CONFIDENCE, NORMAL_QUANTILE, Interval, bootstrap_interval, mean_interval
from tasks.metrics.similarity import rank_correlations


@dataclass(frozen=True)
class ScoreChange:
    """The score of one table minus that of another.

    value: None if undefined.  interval: 95 % bootstrap interval over pairs or questions, None with fewer than ten.
    compared, total: pairs or questions with all words known to both tables, and all of them.
    """

    value: float | None
    interval: Interval | None
    compared: int
    total: int


def correlation_change(
    cosines: NDArray[np.float64],
    other_cosines: NDArray[np.float64],
    scores: NDArray[np.float64],
    covered: NDArray[np.bool_],
) -> ScoreChange:
    """Change of Spearman's correlation with people's scores.

    cosines, other_cosines, scores: (P,), of the same pairs.  covered: (P,), pairs that both tables know.
    Each resample draws pairs, with both cosines and the score of each: a paired bootstrap.
    Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 8.
    """
    observed = [values[covered] for values in (cosines, other_cosines, scores)]
    value = float(_correlation_changes(*(values[None] for values in observed))[0]) if covered.any() else np.nan
    interval = bootstrap_interval(_correlation_changes, *observed)
    return ScoreChange(None if np.isnan(value) else value, interval, int(covered.sum()), len(covered))


def accuracy_change(
    correct: NDArray[np.bool_], other_correct: NDArray[np.bool_], covered: NDArray[np.bool_]
) -> ScoreChange:
    """Change of the share of questions answered correctly.

    correct, other_correct: (Q,), of the same questions.  covered: (Q,), questions that both tables know.
    """
    changes = correct[covered].astype(np.float64) - other_correct[covered]
    value = float(changes.mean()) if len(changes) else None
    return ScoreChange(value, mean_interval(changes), len(changes), len(covered))


def clear_after_holm(intervals: Sequence[Interval]) -> list[bool]:
    """Which differences are still clear if all are judged together: the chance of a false one among them is 5 %.

    intervals: 95 %, of differences. Its p is that of a normal distribution with the middle and width of the interval.
    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    chances = [_chance(interval) for interval in intervals]
    clear = [False] * len(chances)
    for left, number in enumerate(sorted(range(len(chances)), key=chances.__getitem__)):
        if chances[number] > (1 - CONFIDENCE) / (len(chances) - left):
            break
        clear[number] = True
    return clear


def _chance(interval: Interval) -> float:
    """The chance of a difference as far from 0, either way, if there is none."""
    error = (interval.high - interval.low) / (2 * NORMAL_QUANTILE)
    middle = abs(interval.high + interval.low) / 2
    return erfc(middle / error / sqrt(2)) if error else float(middle == 0)


def _correlation_changes(
    cosines: NDArray[np.float64], other_cosines: NDArray[np.float64], scores: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(B, P) resamples of each -> (B,) differences of correlations."""
    return rank_correlations(cosines, scores) - rank_correlations(other_cosines, scores)
