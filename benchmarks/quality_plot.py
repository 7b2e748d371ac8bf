"""The plot of the quality report: a panel for each corpus, a bar for each contestant and metric."""

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.training_summary import Score

COLORS = ("#1b7f5c", "#c2571a", "#4a6fa5")
BAR_WIDTH = 0.27


def plot_quality(summaries: Mapping[str, Mapping[str, Mapping[str, Score]]], path: Path) -> None:
    """Write the PNG; the same figures produce the same bytes. summaries: corpus -> contestant -> metric -> score."""
    if not summaries:
        return
    figure = Figure(figsize=(5.2 * len(summaries), 3.6), layout="constrained")
    panels = figure.subplots(1, len(summaries), squeeze=False)[0]
    for axes, (corpus, contestants) in zip(panels, summaries.items(), strict=True):
        for number, (name, scores) in enumerate(contestants.items()):
            axes.bar(
                [place + BAR_WIDTH * (number - 1) for place in range(len(scores))],
                [score.mean for score in scores.values()],
                BAR_WIDTH,
                yerr=[score.deviation for score in scores.values()],
                color=COLORS[number],
                label=name,
            )
            axes.set_xticks(range(len(scores)), list(scores), fontsize="small")
        axes.set_title(corpus.split(".")[0], fontsize="medium")
    # Below all panels: in one of them it would hide bars.
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize="small")
    figure.savefig(path, dpi=120, metadata={"Software": None})
