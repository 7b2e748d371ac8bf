"""Plot words of a release on a labelled map, or its learning curves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from storage.releases.records import Release
from storage.releases.reports import neighbors_of, read_vectors_of
from tasks.report.maps import MapMethod, group_words, map_words
from tasks.report.plots import Curve, PictureFormat, draw_curves, draw_map

GROUPS = 8


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
    places = map_words(selected.vectors, method, seed)
    title = f"{_name(release)}: {len(selected.words)} words, {'t-SNE' if method == 'tsne' else 'PCA'}"
    names = [*named_groups, *(["other words"] if named_groups and len(named_groups) in colors.values() else [])]
    note = f"not in {release.table}: {', '.join(unknown)}" if unknown else ""
    return Plot(
        picture=draw_map(selected.words, places, groups, title, form, names=names, note=note),
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


def _name(release: Release) -> str:
    version = release.row.version
    return f"{release.table}, {'candidate' if version is None else f'version {version}'}"
