"""The picture of a report: words/s side by side, and how they change with each setting."""

from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.training_summary import SettingSummary, Summary

COLORS = {"vecmill": "#1b7f5c", "gensim": "#c2571a", "fasttext": "#4a6fa5"}
TITLES = {
    "dimension": "dimension",
    "negatives_per_pair": "noise words per pair",
    "window_radius": "words to each side",
    "workers": "workers",
}


def plot_summary(summary: Summary, stem: Path) -> list[Path]:
    """Write the picture as PNG and SVG; the same figures produce the same bytes."""
    panels = len(summary.comparisons) + len(summary.sweeps)
    columns = min(panels, 3)
    rows = -(-panels // columns)
    figure = Figure(figsize=(4.2 * columns, 3.2 * rows), layout="constrained")
    axes = iter(figure.subplots(rows, columns, squeeze=False).flat)
    for comparison in summary.comparisons:
        _plot_comparison(next(axes), comparison)
    for name, values in summary.sweeps.items():
        _plot_sweep(next(axes), name, values)
    for unused in axes:
        unused.set_axis_off()
    paths = [stem.with_suffix(suffix) for suffix in (".png", ".svg")]
    with mpl.rc_context({"svg.hashsalt": stem.name}):
        figure.savefig(paths[0], dpi=120, metadata={"Software": None})
        figure.savefig(paths[1], metadata={"Date": None})
    return paths


def _plot_comparison(axes: Axes, comparison: SettingSummary) -> None:
    names = [trainer.trainer for trainer in comparison.trainers]
    speeds = [trainer.words_per_second / 1e6 for trainer in comparison.trainers]
    bars = axes.barh(names, speeds, color=[COLORS[name] for name in names])
    axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set_title(comparison.corpus.split(".")[0], fontsize="medium")
    axes.set_xlabel("million words/s")


def _plot_sweep(axes: Axes, name: str, values: dict[int, SettingSummary]) -> None:
    trainers = [trainer.trainer for trainer in next(iter(values.values())).trainers]
    for trainer in trainers:
        speeds = [setting.of(trainer).words_per_second / 1e6 for setting in values.values()]
        axes.plot(list(values), speeds, marker="o", color=COLORS[trainer], label=trainer)
    axes.set_ylim(bottom=0)
    axes.set_xticks(list(values))
    axes.set_title(TITLES[name], fontsize="medium")
    axes.set_ylabel("million words/s")
    axes.legend()
