"""Charts put values where they belong, in the drawing's own units."""

import re

import numpy as np
import pytest

from tasks.report.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, frequency_chart, history_path, loss_chart


def points(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.-]+) ([\d.-]+)", path)]


def test_a_falling_loss_goes_down_from_left_to_right() -> None:
    chart = loss_chart([1, 2, 3], [3.0, 2.0, 1.5])
    assert chart is not None
    xs, ys = zip(*points(chart.path), strict=True)
    assert list(xs) == [LEFT, (LEFT + WIDTH - RIGHT) / 2, WIDTH - RIGHT]
    assert list(ys) == sorted(ys)
    assert all(TOP <= y <= HEIGHT - BOTTOM for y in ys)
    assert [tick.label for tick in chart.x_ticks] == ["1", "2", "3"]
    assert [mark.label for mark in chart.marks] == ["3.0000", "2.0000", "1.5000"]


def test_a_tick_is_drawn_at_its_value() -> None:
    chart = loss_chart([1, 2], [0.0, 1.0])
    assert chart is not None
    first, second = (mark.y for mark in chart.marks)
    for tick in chart.y_ticks:
        assert tick.position == pytest.approx(first + (second - first) * float(tick.label))


@pytest.mark.parametrize(
    ("epochs", "losses"), [([1], [2.5]), ([1, 2], [2.0, 2.0]), ([1, 2, 3], [1.0, float("nan"), 2])]
)
def test_one_epoch_an_even_loss_or_a_missing_one_can_be_drawn(epochs: list[int], losses: list[float]) -> None:
    chart = loss_chart(epochs, losses)
    assert chart is not None
    assert all(np.isfinite(place) for point in points(chart.path) for place in point)


def test_no_epoch_has_no_chart() -> None:
    assert loss_chart([], []) is None
    assert loss_chart([1], [float("inf")]) is None


def test_a_power_law_is_a_straight_line() -> None:
    counts = (1e6 / np.arange(1, 1001)).astype(np.int64)
    chart = frequency_chart(counts, [f"word{n}" for n in range(1000)])
    assert chart is not None
    xs, ys = np.array(points(chart.path)).T
    assert np.corrcoef(xs, ys)[0, 1] > 0.9999
    assert chart.marks[0].label == "word0"
    assert [chart.marks[0].x, chart.marks[0].y] == pytest.approx([LEFT, TOP])
    assert {tick.label for tick in chart.y_ticks} >= {"1k", "10k", "100k"}


@pytest.mark.parametrize("counts", [[7], [5, 5, 5], [3, 0, 0]])
def test_few_or_equal_counts_can_be_drawn(counts: list[int]) -> None:
    chart = frequency_chart(np.array(counts), ["a", "b", "c"][: len(counts)])
    assert chart is not None
    assert all(np.isfinite(place) for point in points(chart.path) for place in point)


def test_words_that_no_one_counted_have_no_chart() -> None:
    assert frequency_chart(np.zeros(3, np.int64), ["a", "b", "c"]) is None


def test_a_history_rises_with_its_values_and_skips_missing_ones() -> None:
    path = history_path([0.1, None, 0.3, 0.2])
    assert path is not None
    (_, first), (_, highest), (_, last) = points(path)
    assert highest < last < first
    assert history_path([0.1]) is None
    assert history_path([None, 0.1]) is None
