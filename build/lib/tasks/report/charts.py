"""Small charts as geometry: from numbers to positions of lines, ticks and labels, which the template draws as SVG.

Colours and fonts come from the page's stylesheet, so charts follow its light or dark theme without a script.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# In SVG user units; the page scales the drawing. Small enough to be readable on a phone.
WIDTH, HEIGHT = 460, 256
LEFT, RIGHT, TOP, BOTTOM = 52, 30, 30, 40


@dataclass(frozen=True)
class Tick:
    """A labelled mark on an axis, at a position in the drawing."""

    position: float
    label: str


@dataclass(frozen=True)
class Mark:
    """A labelled point on the line."""

    x: float
    y: float
    label: str


@dataclass(frozen=True)
class LineChart:
    """A line over two axes, in the drawing's units.

    path: SVG path data.  name_marks: draw the labels next to the marks.
    """

    path: str
    marks: Sequence[Mark]
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    x_title: str
    y_title: str
    name_marks: bool = False
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


def loss_chart(epochs: Sequence[int], losses: Sequence[float]) -> LineChart | None:
    """Mean loss by epoch, None if no loss is finite."""
    finite = [(epoch, loss) for epoch, loss in zip(epochs, losses, strict=True) if np.isfinite(loss)]
    if not finite:
        return None
    x, y = np.array(finite, dtype=np.float64).T
    x_axis, y_axis = _Axis.linear(x, whole=True, least_span=1.0), _Axis.linear(y, vertical=True, least_span=0.01)
    xs, ys = x_axis.positions(x), y_axis.positions(y)
    marks = [Mark(a, b, f"{loss:.4f}") for a, b, loss in zip(xs.tolist(), ys.tolist(), y, strict=True)]
    return LineChart(_path(xs, ys), marks, x_axis.ticks(), y_axis.ticks(), "epoch", "mean loss per pair")


def frequency_chart(counts: NDArray[np.int64], words: Sequence[str], labelled: int = 4) -> LineChart | None:
    """Count by rank on logarithmic axes, with a few words labelled; None if no word has a count.

    counts: (V,) int64, most frequent first.  words: the most frequent words.
    """
    counted = counts[counts > 0]
    if not len(counted):
        return None
    ranks = np.unique(np.geomspace(1, len(counted), 160).round().astype(np.int64))
    x_axis = _Axis.logarithmic(np.array([1.0, max(len(counted), 10.0)]))
    y_axis = _Axis.logarithmic(np.array([counted[-1], max(counted[0], 10.0 * counted[-1])], np.float64), vertical=True)
    xs, ys = x_axis.positions(ranks), y_axis.positions(counted[ranks - 1])
    chosen = np.unique(np.geomspace(1, max(min(len(words), len(counted)), 1), labelled + 1).astype(np.int64))[:labelled]
    chosen = chosen if len(words) else chosen[:0]
    marks = [
        Mark(x, y, words[rank - 1])
        for x, y, rank in zip(x_axis.positions(chosen), y_axis.positions(counted[chosen - 1]), chosen, strict=True)
    ]
    return LineChart(_path(xs, ys), marks, x_axis.ticks(), y_axis.ticks(), "rank of the word", "occurrences", True)


def history_path(values: Sequence[float | None], width: int = 96, height: int = 22) -> str | None:
    """A line through the values of a metric by release, as SVG path data; None for fewer than two values."""
    known = [(release, value) for release, value in enumerate(values) if value is not None]
    if len(known) < 2:
        return None
    x, y = np.array(known, dtype=np.float64).T
    span = np.ptp(y) or 1.0
    xs = 3 + (width - 6) * x / (len(values) - 1)
    ys = height - 4 - (height - 8) * (y - y.min()) / span
    return _path(xs, ys)


@dataclass(frozen=True)
class _Axis:
    """Maps values from low..high to start..end, linearly or by logarithm."""

    low: float
    high: float
    start: float
    end: float
    logarithm: bool = False
    whole: bool = False

    @classmethod
    def linear(
        cls, values: NDArray[np.float64], *, least_span: float, vertical: bool = False, whole: bool = False
    ) -> "_Axis":
        low, high = float(values.min()), float(values.max())
        missing = max(0.0, least_span - (high - low)) / 2
        margin = 0.0 if whole else 0.08 * max(high - low, least_span)
        return cls(low - missing - margin, high + missing + margin, *_ends(vertical), whole=whole)

    @classmethod
    def logarithmic(cls, values: NDArray[np.float64], *, vertical: bool = False) -> "_Axis":
        return cls(float(values.min()), float(values.max()), *_ends(vertical), logarithm=True)

    def positions(self, values: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.float64]:
        shares = (self._scaled(values) - self._scaled(self.low)) / (self._scaled(self.high) - self._scaled(self.low))
        return np.asarray(self.start + (self.end - self.start) * shares, dtype=np.float64)

    def ticks(self) -> list[Tick]:
        from matplotlib.ticker import LogLocator, MaxNLocator

        locator = LogLocator(numticks=7) if self.logarithm else MaxNLocator(nbins=5, integer=self.whole)
        values = np.asarray(locator.tick_values(self.low, self.high), dtype=np.float64)
        inside = values[(values >= self.low * (1 - 1e-9)) & (values <= self.high * (1 + 1e-9))]
        positions = self.positions(inside).tolist()
        return [Tick(position, _short(value)) for position, value in zip(positions, inside.tolist(), strict=True)]

    def _scaled(self, values: float | NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.float64]:
        numbers = np.asarray(values, dtype=np.float64)
        return np.log10(numbers) if self.logarithm else numbers


def _ends(vertical: bool) -> tuple[float, float]:
    """Start and end of an axis: left to right, or bottom to top, in coordinates that grow downwards."""
    return (HEIGHT - BOTTOM, TOP) if vertical else (LEFT, WIDTH - RIGHT)


def _short(value: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:.4g}"


def _path(xs: NDArray[np.float64], ys: NDArray[np.float64]) -> str:
    points = (f"{x:.1f} {y:.1f}" for x, y in zip(xs.tolist(), ys.tolist(), strict=True))
    return "M" + "L".join(points)
