"""Plots for papers and slides: words on a labelled map, and learning curves, as PNG or SVG.

The images contain no date or machine details: the same data, matplotlib and fonts produce the same bytes.
"""

import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)

PictureFormat = Literal["png", "svg"]

COLORS = ("#4269d0", "#d89a0f", "#e8604c", "#43a596", "#3ca951", "#e56aa0", "#9457e6", "#6d9bdf", "#9c6b4e", "#1594ad")
INK, SOFT = "#1e2127", "#5d626c"
# Fallback order: each installed font supplies the characters that those before it lack.
FONTS = (
    "DejaVu Sans",
    "Noto Sans",
    "Noto Sans CJK KR",
    "Noto Sans CJK JP",
    "Noto Sans KR",
    "NanumGothic",
    "Noto Emoji",
)
DOTS_PER_INCH = 160
# Labels are moved apart in rounds, each of which visits every pair. The limit is a count and not a time, so that the
# result does not depend on the machine: 200 labels take a few seconds.
MOST_ROUNDS, FEWEST_ROUNDS = 60, 8
LABEL_PAIRS = 1_000_000
LONGEST_NOTE = 120
MOST_IN_A_ROW = 4


@dataclass(frozen=True)
class Curve:
    """One line of a chart. panel: the quantity, such as `mean loss`; each panel has separate axes.

    epochs, values: positions, such as epochs or versions, and the value at each.
    """

    name: str
    panel: str
    epochs: Sequence[int]
    values: Sequence[float]


def draw_map(
    words: Sequence[str],
    positions: NDArray[np.float32],
    groups: NDArray[np.int64],
    title: str,
    form: PictureFormat = "png",
    *,
    names: Sequence[str] = (),
    note: str = "",
) -> bytes:
    """A plot of N words at `positions` (N, 2), labelled, with one colour per group; groups: (N,).

    names: of the groups, for a legend.  note: a line below the map.
    Labels are moved apart to avoid overlap. Raises ValueError if the lengths differ.
    """
    if not len(words) == len(positions) == len(groups):
        raise ValueError(
            f"got {len(words)} words, {len(positions)} positions and {len(groups)} groups; the numbers must be equal"
        )
    side = 6.5 + min(len(words), 500) / 70
    with _figure(side, 0.8 * side, form) as (figure, picture):
        axes = figure.add_subplot()
        axes.set_axis_off()
        axes.margins(0.06)
        axes.set_title(_drawable(title), loc="left", fontsize=11, color=INK, parse_math=False)
        colors = [COLORS[group % len(COLORS)] for group in groups]
        axes.scatter(positions[:, 0], -positions[:, 1], s=14, c=colors, linewidths=0)
        for group, name in enumerate(names):
            axes.scatter([], [], s=14, color=COLORS[group % len(COLORS)], label=_literal(name))
        if names:
            figure.legend(loc="outside right upper", frameon=False, fontsize=9)
        if note:
            figure.supxlabel(
                _drawable(note, LONGEST_NOTE), x=0.01, ha="left", fontsize=8.5, color=SOFT, parse_math=False
            )
        _label_words(axes, words, positions)
    return picture.getvalue()


def draw_curves(curves: Sequence[Curve], title: str, form: PictureFormat = "png", x_title: str = "epoch") -> bytes:
    """Curves by epoch, or by what `x_title` says, with the panels side by side, at most four in a row.

    The panels are in order of first appearance.

    Raises ValueError without a curve, or if the lengths of a curve's epochs and values differ.
    """
    panels = list(dict.fromkeys(curve.panel for curve in curves))
    if not panels or any(len(curve.epochs) != len(curve.values) for curve in curves):
        raise ValueError("learning curves need at least one curve, and one value per epoch")
    from matplotlib.ticker import MaxNLocator

    wide = min(len(panels), MOST_IN_A_ROW)
    high = -(-len(panels) // wide)
    with _figure(4.8 * wide, 3.6 * high, form) as (figure, picture):
        figure.suptitle(_drawable(title), x=0.01, ha="left", fontsize=11, color=INK, parse_math=False)
        grid = figure.subplots(high, wide, squeeze=False).ravel().tolist()
        for axes in grid[len(panels) :]:
            axes.set_axis_off()
        for axes, panel in zip(grid, panels, strict=False):
            shown = [curve for curve in curves if curve.panel == panel]
            for color, curve in zip(COLORS * len(shown), shown, strict=False):
                axes.plot(curve.epochs, curve.values, marker="o", markersize=3.5, color=color, label=curve.name)
            axes.set_xlabel(x_title, color=SOFT)
            axes.set_ylabel(panel, color=SOFT)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.tick_params(colors=SOFT, length=0)
            axes.grid(axis="y", color="#e2ded4", linewidth=0.8)
            axes.spines[["top", "right", "left"]].set_visible(False)
            if len(shown) > 1:
                axes.legend(frameon=False, fontsize=9)
    return picture.getvalue()


@contextmanager
def _figure(width: float, height: float, form: PictureFormat) -> Iterator[tuple["Figure", io.BytesIO]]:
    """An empty figure, and the buffer that receives the image after the block. Opens no window, keeps no state."""
    from matplotlib import font_manager, rc_context
    from matplotlib.figure import Figure

    installed = set(font_manager.get_font_names())
    settings: Any = {
        "font.family": [name for name in FONTS if name in installed] or ["sans-serif"],
        # Keep text as text: it is searchable, and the viewer's fonts supply characters that ours lack.
        "svg.fonttype": "none",
        "svg.hashsalt": "vecmill",
    }
    picture = io.BytesIO()
    with rc_context(settings), _missing_letters(form):
        figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained")
        yield figure, picture
        figure.savefig(picture, format=form, metadata={"Date": None} if form == "svg" else {"Software": "vecmill"})


@contextmanager
def _missing_letters(form: PictureFormat) -> Iterator[None]:
    """Log once how many characters no font has, instead of one matplotlib warning per character."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    missing = {
        str(warning.message).split(" missing from")[0] for warning in caught if "missing from" in str(warning.message)
    }
    if missing and form == "png":
        logger.warning(
            "%d characters have no font on this machine and appear as boxes; install one such as Noto Sans CJK, "
            "or save as SVG, which uses the viewer's fonts",
            len(missing),
        )


def _label_words(axes: "Axes", words: Sequence[str], positions: NDArray[np.float32]) -> None:
    from adjustText import adjust_text

    texts = [
        axes.text(x, -y, _drawable(word), fontsize=8.5, color=INK, parse_math=False)
        for word, (x, y) in zip(words, positions.tolist(), strict=True)
    ]
    if len(texts) > 1 and np.ptp(positions) > 0:
        lines = {"arrowstyle": "-", "color": "#c9c5bb", "linewidth": 0.6}
        rounds = min(max(LABEL_PAIRS // len(texts) ** 2, FEWEST_ROUNDS), MOST_ROUNDS)
        adjust_text(texts, ax=axes, iter_lim=rounds, prevent_crossings=False, expand=(1.05, 1.15), arrowprops=lines)


def _drawable(text: str, longest: int = 60) -> str:
    """Text without control characters, which fonts lack and SVG forbids; long words are truncated."""
    shown = "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def _literal(name: str) -> str:
    """A label of a legend, which hides names that start with `_` and reads `$` as mathematics."""
    return f"\u200b{_drawable(name)}".replace("$", r"\$")
