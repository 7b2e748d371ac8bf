"""Plot words of a release on a labelled map, or its learning curves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from storage.releases.records import Release, ReleaseSummary
from storage.releases.reports import neighbors_of, read_vectors_of
from tasks.report.maps import MapMethod, group_words, map_words
from tasks.report.plots import Curve, PictureFormat, draw_curves, draw_map

if TYPE_CHECKING:
    # It imports torch.
    from tasks.downstream import DownstreamResult

GROUPS = 8
# Metrics that a trend leaves out: variants, and measures of the comparison with the previous release.
LEFT_OUT = ("_coverage", "_random", "_rbo", "_3cosmul", "_before", "_words", "_cosine")


@dataclass(frozen=True)
class Plot:
    """A plot. picture: the image file.  words: number of words shown.  unknown: requested words not in the release."""

    picture: bytes
    words: int
    unknown: list[str]


def plot_words(
    release: Release,
    words: Sequence[str],
    method: MapMethod,
    form: PictureFormat,
    neighbors: int = 0,
    named_groups: Mapping[str, Sequence[str]] | None = None,
) -> Plot:
    """A map of the words, with `neighbors` neighbours of each in the colour of their word.

    named_groups: name -> words, each group in its colour, with a legend; `words` are then those that are in no group.
    Requested words that the release lacks are named on the picture.
    Raises ReleaseError if the release contains none of the words.
    """
    named_groups = named_groups or {}
    group_of = {word: group for group, members in enumerate(named_groups.values()) for word in members}
    requested = list(dict.fromkeys([*group_of, *words]))
    selected = read_vectors_of(release.path, requested)
    present = set(selected.words)
    unknown = [word for word in requested if word not in present]
    asked = [word for word in requested if word in present]
    colors: dict[str, int] = {}
    if neighbors or named_groups:
        own = len(named_groups)
        for place, word in enumerate(asked):
            colors[word] = group_of.get(word, own) if named_groups else place
        for word, near in neighbors_of(release.path, asked, neighbors) if neighbors else ():
            colors.setdefault(near, colors[word])
        selected = read_vectors_of(release.path, list(colors))
    seed = release.row.seed
    groups = (
        np.array([colors[word] for word in selected.words], dtype=np.int64)
        if colors
        else group_words(selected.vectors, GROUPS, seed)
    )
    positions = map_words(selected.vectors, method, seed)
    title = f"{_name(release)}: {len(selected.words)} words, {'t-SNE' if method == 'tsne' else 'PCA'}"
    names = [*named_groups, *(["other words"] if named_groups and len(named_groups) in colors.values() else [])]
    note = f"not in {release.table}: {', '.join(unknown)}" if unknown else ""
    return Plot(
        picture=draw_map(selected.words, positions, groups, title, form, names=names, note=note),
        words=len(selected.words),
        unknown=unknown,
    )


def plot_training(release: Release, form: PictureFormat) -> bytes:
    """Mean loss and learning rate by epoch. Raises ValueError if the release was imported, not trained."""
    epochs = [epoch.epoch for epoch in release.training]
    if not epochs:
        raise ValueError(f"{_name(release)} has no training to plot: its vectors were imported")
    curves = [
        Curve("training", "mean loss per pair", epochs, [epoch.mean_loss for epoch in release.training]),
        Curve("training", "learning rate", epochs, [epoch.learning_rate for epoch in release.training]),
    ]
    return draw_curves(curves, _name(release), form)


def plot_trend(table: str, releases: Sequence[ReleaseSummary], form: PictureFormat) -> bytes:
    """Each gated metric of the kept releases by version. Raises ValueError with fewer than two releases or no score."""
    kept = sorted((release for release in releases if release.version is not None), key=lambda one: one.version or 0)
    names = dict.fromkeys(name for release in kept for name in release.metrics if not name.endswith(LEFT_OUT))
    curves = []
    for name in names:
        scores = [(one.version or 0, one.metrics[name]) for one in kept if one.metrics.get(name) is not None]
        if len(scores) > 1:
            versions, values = zip(*scores, strict=True)
            curves.append(Curve(table, name, versions, values))
    if not curves:
        raise ValueError(f"{table} has no metric that two kept releases share, so there is no trend to plot")
    return draw_curves(curves, f"{table}: scores of kept releases", form, "version")


def plot_classifiers(result: "DownstreamResult", form: PictureFormat) -> bytes:
    """Loss and accuracy of each classifier by epoch, on training and validation texts."""
    panels = {
        "training loss": "train_loss", "validation loss": "validation_loss",
        "training accuracy": "train_accuracy", "validation accuracy": "validation_accuracy",
    }  # fmt: skip
    curves = []
    for panel, field in panels.items():
        for score in result.scores:
            name = score.start if score.positions is None else f"{score.start}, {score.positions} positions"
            epochs = [point.epoch for point in score.curve]
            curves.append(Curve(f"{score.network}: {name}", panel, epochs, [getattr(p, field) for p in score.curve]))
    return draw_curves(curves, f"{result.name}: review classifiers", form)


def _name(release: Release) -> str:
    version = release.row.version
    return f"{release.table}, {'candidate' if version is None else f'version {version}'}"
