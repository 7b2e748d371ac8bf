"""Intervals: how much a score would vary with another sample of pairs, questions or words."""

from collections.abc import Callable
from math import sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
# Of the upper end, scipy.special.ndtri(0.975).
NORMAL_QUANTILE = 1.959963984540054
# The ends of a 95 % interval then vary by a few hundredths of its width between seeds.
RESAMPLES = 1000
SEED = 0
# With fewer observations a bootstrap is meaningless.
FEWEST_OBSERVATIONS = 10
# 512 KB of resampled values at a time: what a statistic makes of them stays in the processor's cache.
BLOCK_VALUES = 1 << 16

Statistic = Callable[..., NDArray[np.float64]]


class Interval(NamedTuple):
    """Both ends of a 95 % interval."""

    low: float
    high: float


def bootstrap_interval(statistic: Statistic, *observations: NDArray[np.float64]) -> Interval | None:
    """Percentile interval of a statistic over bootstrap resamples of paired observations, with a fixed seed.

    statistic: maps one (B, N) array for each (N,) array of observations to (B,) values, NaN where undefined.
    Returns None with fewer than ten observations, or if one resample in twenty is undefined.
    Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13.
    """
    count = len(observations[0])
    if count < FEWEST_OBSERVATIONS:
        return None
    random = np.random.default_rng(SEED)
    block = max(1, BLOCK_VALUES // count)
    values = np.empty(RESAMPLES, dtype=np.float64)
    for start in range(0, RESAMPLES, block):
        part = values[start : start + block]
        drawn = random.integers(count, size=(len(part), count))
        part[:] = statistic(*(observed[drawn] for observed in observations))
    if np.isnan(values).mean() > 1 - CONFIDENCE:
        return None
    tail = (1 - CONFIDENCE) / 2
    low, high = np.nanquantile(values, (tail, 1 - tail))
    return Interval(float(low), float(high))


def mean_interval(values: NDArray[np.float64]) -> Interval | None:
    """Bootstrap interval of the mean of (N,) values."""
    return bootstrap_interval(lambda resampled: resampled.mean(axis=1), values)


def share_interval(successes: int, trials: int) -> Interval | None:
    """Wilson's interval of a proportion, within 0..1 even if none or all succeed. None without a trial.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    if not trials:
        return None
    # SciPy's formula, not its function: importing scipy.stats takes most of a second.
    z = NORMAL_QUANTILE
    share = successes / trials
    denominator = 2 * (trials + z**2)
    center = (2 * trials * share + z**2) / denominator
    half = z / denominator * sqrt(4 * trials * share * (1 - share) + z**2)
    return Interval(
        0.0 if successes == 0 else center - half,
        1.0 if successes == trials else center + half,
    )


def interval_text(low: float | None, high: float | None) -> str:
    """Both bounds of an interval; empty if there is none."""
    return "" if low is None or high is None else f"{low:.4f} to {high:.4f}"
