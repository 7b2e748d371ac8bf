"""Comparison of a model with the previous release: rows as in storage/models/evaluations.py, and the rotation."""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# Metrics against the previous release, and against the reference it is aligned with.
CHANGE_METRICS = (
    "stability_overlap", "stability_rbo", "new_words", "lost_words", "version_cosine", "version_cosine_before",
)  # fmt: skip
REFERENCE_METRICS = ("reference_cosine", "reference_cosine_before")
VERSION_NAME = re.compile(r"version \d+")
FILE = "rotation.npy"


def version_name(version: int) -> str:
    """Name of the previous release in `compared_words`."""
    return f"version {version}"


def write_rotation(folder: Path, rotation: NDArray[np.float64]) -> None:
    """Write a (D, D) rotation."""
    np.save(folder / FILE, rotation, allow_pickle=False)


def read_rotation(folder: Path) -> NDArray[np.float64] | None:
    """The rotation in a folder; None if the model is not rotated."""
    path = folder / FILE
    if not path.exists():
        return None
    rotation: NDArray[np.float64] = np.load(path, allow_pickle=False)
    return rotation
