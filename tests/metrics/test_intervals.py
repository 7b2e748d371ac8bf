"""Intervals are SciPy's, the same every time, and absent where they would say nothing."""

import numpy as np
import pytest
from scipy.stats import binomtest, bootstrap, spearmanr

from tasks.metrics import intervals
from tasks.metrics.intervals import Interval, bootstrap_interval, mean_interval, share_interval
from tasks.metrics.similarity import rank_correlations

RANDOM = np.random.default_rng(7)
FIRST = RANDOM.standard_normal(150).round(1)  # with ties
SECOND = (FIRST + RANDOM.standard_normal(150)).round(1)


def test_correlations_of_many_rows_are_those_scipy_finds_one_by_one() -> None:
    drawn = RANDOM.integers(150, size=(20, 150))
    expected = [spearmanr(FIRST[rows], SECOND[rows]).statistic for rows in drawn]
    np.testing.assert_allclose(rank_correlations(FIRST[drawn], SECOND[drawn]), expected, atol=1e-12)


def test_a_correlation_without_spread_is_nan() -> None:
    assert np.isnan(rank_correlations(np.ones((1, 5)), np.arange(5.0)[None])).all()


def test_the_interval_of_a_correlation_is_scipys_percentile_bootstrap() -> None:
    found = bootstrap_interval(rank_correlations, FIRST, SECOND)
    peer = bootstrap(
        (FIRST, SECOND),
        lambda x, y: spearmanr(x, y).statistic,
        paired=True, vectorized=False, n_resamples=1000, method="percentile", random_state=1,
    ).confidence_interval  # fmt: skip
    assert found is not None
    # Two draws of 1,000 resamples differ by about a tenth of a standard error at their ends.
    np.testing.assert_allclose(found, [peer.low, peer.high], atol=0.025)


def test_the_interval_of_a_mean_is_the_normal_one_for_many_values() -> None:
    values = RANDOM.standard_normal(2000)
    error = 1.96 * values.std() / 2000**0.5
    found = mean_interval(values)
    assert found is not None
    np.testing.assert_allclose(found, [values.mean() - error, values.mean() + error], atol=0.01)


def test_an_interval_is_the_same_every_time_and_for_every_block_size(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bootstrap_interval(rank_correlations, FIRST, SECOND)
    assert bootstrap_interval(rank_correlations, FIRST, SECOND) == whole
    monkeypatch.setattr(intervals, "BLOCK_VALUES", 150 * 333)
    assert bootstrap_interval(rank_correlations, FIRST, SECOND) == whole


def test_few_or_degenerate_observations_have_no_interval() -> None:
    assert mean_interval(np.arange(9.0)) is None
    assert bootstrap_interval(rank_correlations, np.repeat([0.0, 1.0], [19, 1]), np.arange(20.0)) is None


@pytest.mark.parametrize(("successes", "trials"), [(0, 12), (12, 12), (700, 2000)])
def test_the_interval_of_a_share_is_wilsons(successes: int, trials: int) -> None:
    peer = binomtest(successes, trials).proportion_ci(method="wilson")
    assert share_interval(successes, trials) == Interval(peer.low, peer.high)
    # By hand: the centre is drawn towards one half.
    z, share = 1.959964, successes / trials
    centre = (share + z**2 / 2 / trials) / (1 + z**2 / trials)
    assert sum(share_interval(successes, trials) or ()) / 2 == pytest.approx(centre, abs=1e-6)


def test_the_share_of_nothing_has_no_interval() -> None:
    assert share_interval(0, 0) is None
