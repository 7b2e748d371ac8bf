"""Plot words of a release on a labelled map, or its learning curves."""

from collections.abc import Sequence
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
    release: Release, words: Sequence[str], method: MapMethod, form: PictureFormat, neighbors: int = 0
) -> Plot:
    """A map of the words, with `neighbors` neighbours of each in the colour of their word.

    Raises ReleaseError if the release contains none of the words.
    """
    selected = read_vectors_of(release.path, list(words))
    groups_by_word: dict[str, int] = {}
    if neighbors:
        asked = [word for word in dict.fromkeys(words) if word in selected.words]
        groups_by_word = {word: group for group, word in enumerate(asked)}
        for word, near in neighbors_of(release.path, asked, neighbors):
            groups_by_word.setdefault(near, groups_by_word[word])
        selected = read_vectors_of(release.path, list(groups_by_word))
    seed = release.row.seed
    groups = (
        np.array([groups_by_word[word] for word in selected.words], dtype=np.int64)
        if neighbors
        else group_words(selected.vectors, GROUPS, seed)
    )
    places = map_words(selected.vectors, method, seed)
    title = f"{_name(release)}: {len(selected.words)} words, {'t-SNE' if method == 'tsne' else 'PCA'}"
    shown = set(selected.words)
    return Plot(
        picture=draw_map(selected.words, places, groups, title, form),
        words=len(shown),
        unknown=[word for word in dict.fromkeys(words) if word not in shown],
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
