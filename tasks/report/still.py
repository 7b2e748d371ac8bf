"""The map as a still drawing, for pages without a script and on paper."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.report.regions import Region

# In SVG user units; the page scales the drawing.
WIDTH, HEIGHT = 1000, 640
MARGIN = 20
# Words that are drawn as points, and that may get a label.
DOTS, TRIED = 4000, 1500
LETTER_WIDTH, LINE_HEIGHT = 6.2, 13
REGION_LETTER_WIDTH, REGION_LINE_HEIGHT = 8.4, 18
LONGEST = 28


@dataclass(frozen=True)
class Label:
    """A text on the map, centred on x. kind: `region` or `word`."""

    x: float
    y: float
    text: str
    kind: str


@dataclass(frozen=True)
class StillMap:
    """dots: SVG path data of the points of each group.  examples: words and their nearest words."""

    dots: Sequence[str]
    labels: Sequence[Label]
    examples: Sequence[tuple[str, Sequence[str]]]
    width: int = WIDTH
    height: int = HEIGHT


def draw_still_map(
    positions: NDArray[np.float32],
    groups: NDArray[np.int64],
    words: Sequence[str],
    regions: Sequence[Region],
    examples: Sequence[tuple[str, Sequence[str]]],
    colors: int,
) -> StillMap:
    """The points, names of regions, and labels of the most frequent words where there is room.

    positions: (M, 2) in -1..1.  groups: (M,).  words: M at least, most frequent first.
    """
    reach = np.maximum(np.abs(positions).max(axis=0, initial=0.2), 0.2)
    scale = min((WIDTH / 2 - MARGIN) / float(reach[0]), (HEIGHT / 2 - MARGIN) / float(reach[1]))

    def at(point: Iterable[float]) -> tuple[float, float]:
        x, y = point
        return round(WIDTH / 2 + x * scale, 1), round(HEIGHT / 2 + y * scale, 1)

    shown = [at(point) for point in positions[:DOTS].tolist()]
    dots = [""] * colors
    for (x, y), group in zip(shown, groups[:DOTS].tolist(), strict=True):
        dots[group % colors] += f"M{x:g} {y:g}h0"
    labels: list[Label] = []
    taken: list[tuple[float, float, float, float]] = []
    for region in regions:
        text = " · ".join(_short(words[row]) for row in region.rows)
        if region.level == 0:
            _place(at((region.x, region.y)), text, "region", labels, taken)
    for (x, y), word in zip(shown[:TRIED], words, strict=False):
        _place((x, y - 4), _short(word), "word", labels, taken)
    return StillMap(dots, labels, examples)


def _place(
    at: tuple[float, float],
    text: str,
    kind: str,
    labels: list[Label],
    taken: list[tuple[float, float, float, float]],
) -> None:
    """Add a label unless it would cover another one or leave the drawing."""
    letter, line = (REGION_LETTER_WIDTH, REGION_LINE_HEIGHT) if kind == "region" else (LETTER_WIDTH, LINE_HEIGHT)
    side = len(text) * letter / 2 + 3
    x = min(max(at[0], side), WIDTH - side)
    left, right, top, bottom = x - side, x + side, at[1] - line, at[1] + 3
    if abs(x - at[0]) > side or top < 0 or bottom > HEIGHT:
        return
    if any(left < other[1] and right > other[0] and top < other[3] and bottom > other[2] for other in taken):
        return
    taken.append((left, right, top, bottom))
    labels.append(Label(round(x, 1), at[1], text, kind))


def _short(word: str) -> str:
    return word if len(word) <= LONGEST else f"{word[: LONGEST - 1]}…"
