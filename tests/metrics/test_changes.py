"""Changes between two tables: SciPy's paired bootstrap agrees, and pairing is what makes small changes visible."""

import numpy as np
import pytest
from scipy.stats import bootstrap, spearmanr

from tasks.metrics.changes import accuracy_change, clear_after_holm, correlation_change
from tasks.metrics.intervals import NORMAL_QUANTILE, Interval, bootstrap_interval
from tasks.metrics.similarity import rank_correlations

RANDOM = np.random.default_rng(3)
PAIRS = 200
SCORES = RANDOM.random(PAIRS)
NOISE = RANDOM.standard_normal(PAIRS)
# The second table has more of the same noise.
BETTER = SCORES + 0.3 * NOISE
WORSE = SCORES + 0.4 * NOISE + 0.05 * RANDOM.standard_normal(PAIRS)
ALL = np.ones(PAIRS, dtype=bool)


def correlation(values: np.ndarray, scores: np.ndarray) -> float:
    return float(spearmanr(values, scores).statistic)


def test_the_change_of_a_correlation_and_its_interval_are_scipys() -> None:
    found = correlation_change(WORSE, BETTER, SCORES, ALL)
    assert found.value == pytest.approx(correlation(WORSE, SCORES) - correlation(BETTER, SCORES), abs=1e-12)
    peer = bootstrap(
        (WORSE, BETTER, SCORES),
        lambda worse, better, scores: correlation(worse, scores) - correlation(better, scores),
        paired=True, vectorized=False, n_resamples=1000, method="percentile", random_state=1,
    ).confidence_interval  # fmt: skip
    assert found.interval is not None
    np.testing.assert_allclose(found.interval, [peer.low, peer.high], atol=0.01)


def test_pairing_shows_a_change_that_the_two_intervals_hide() -> None:
    change = correlation_change(WORSE, BETTER, SCORES, ALL).interval
    worse, better = (bootstrap_interval(rank_correlations, values, SCORES) for values in (WORSE, BETTER))
    assert change is not None
    assert worse is not None
    assert better is not None
    assert change.high < 0
    assert worse.high > better.low


def test_equal_tables_have_a_change_of_exactly_zero() -> None:
    found = correlation_change(WORSE, WORSE, SCORES, ALL)
    assert (found.value, found.interval) == (0, (0, 0))


def test_only_pairs_that_both_tables_know_are_compared() -> None:
    covered = np.arange(PAIRS) % 2 == 0
    found = correlation_change(WORSE, BETTER, SCORES, covered)
    assert (found.compared, found.total) == (PAIRS // 2, PAIRS)
    expected = correlation_change(WORSE[covered], BETTER[covered], SCORES[covered], np.ones(PAIRS // 2, dtype=bool))
    assert found.value == expected.value
    nothing = correlation_change(WORSE, BETTER, SCORES, np.zeros(PAIRS, dtype=bool))
    assert (nothing.value, nothing.interval, nothing.compared) == (None, None, 0)


def test_the_change_of_an_accuracy_has_the_variance_of_a_paired_test() -> None:
    count = 2000
    before = RANDOM.random(count) < 0.4
    lost, gained = RANDOM.random((2, count)) < np.array([[0.1], [0.05]])
    now = np.where(before, ~lost, gained)
    found = accuracy_change(now, before, np.ones(count, dtype=bool))
    only_now, only_before = (now & ~before).mean(), (before & ~now).mean()
    assert found.value == pytest.approx(only_now - only_before)
    # The variance behind McNemar's test.
    error = 1.96 * np.sqrt((only_now + only_before - (only_now - only_before) ** 2) / count)
    assert found.interval is not None
    np.testing.assert_allclose(found.interval, [found.value - error, found.value + error], atol=0.003)


def test_no_question_that_both_answer_has_no_change() -> None:
    nothing = accuracy_change(*np.zeros((3, 20), dtype=bool))
    assert (nothing.value, nothing.interval, nothing.compared, nothing.total) == (None, None, 0, 20)


def test_holm_keeps_what_is_clear_among_all() -> None:
    # Half-widths of 1.96: standard errors of 1, so that the middle is z. p: .0027, .0124, .0455, .32.
    intervals = [Interval(z - NORMAL_QUANTILE, z + NORMAL_QUANTILE) for z in (-2.5, 1.0, 3.0, 2.0)]
    # .0027 <= .05 / 4 and .0124 <= .05 / 3, but .0455 > .05 / 2: alone it would be clear.
    assert clear_after_holm(intervals) == [True, False, True, False]
    assert clear_after_holm(intervals[-1:]) == [True]
    assert clear_after_holm([]) == []
    assert clear_after_holm([Interval(0, 0), Interval(0.1, 0.1)]) == [False, True]
