"""Vectors of an earlier release, for a training that continues from them instead of from random ones."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from storage.corpus.vocabularies import FILE as VOCABULARY_FILE
from storage.corpus.vocabularies import read_vocabulary
from storage.errors import ReleaseError
from storage.layout import Workspace
from storage.models.matrices import VECTORS, read_matrices, read_optimizer
from storage.named_paths import named_path
from storage.releases.opening import open_release, read_release_row
from storage.releases.reader import read_all_words
from storage.releases.records import Release
from storage.stages import StageFacts, read_manifest

logger = logging.getLogger(__name__)

PREVIOUS = "previous"


@dataclass(frozen=True)
class StartPoint:
    """Vectors that were found and not read yet.

    digest: changes with what would be read.  release: the file of the release.  model, vocabulary: the folders of the
    stages that produced it, both None if one of them is gone; only they hold the context vectors and the lengths.
    family: the model family.
    """

    digest: str
    release: Path
    model: Path | None
    vocabulary: Path | None
    family: str


@dataclass(frozen=True)
class StartVectors:
    """V words with (V, D) float32 center vectors and, if known, context vectors.

    optimizer: more arrays of V rows that the model family trains, by name.
    """

    words: list[str]
    center_vectors: NDArray[np.float32]
    context_vectors: NDArray[np.float32] | None
    optimizer: dict[str, NDArray[np.float32]]


def find_start(spec: str | None, current: Release | None, workspace: Workspace) -> StartPoint | None:
    """What `training.start_from` means: None, the table's current release, or the release file at a path.

    None also for "previous" as long as the table has no release. Raises ReleaseError if the path is not a release,
    NotAllowedError if VECMILL_ALLOWED_ROOTS does not allow it.
    """
    if spec is None:
        return None
    if spec == PREVIOUS:
        if current is None:
            logger.info("the table has no release yet: training starts from random vectors")
            return None
        path, row = current.path, current.row
    else:
        path = named_path(spec, "training.start_from")
        if not path.is_file():
            raise ReleaseError(f"training.start_from: no such release file: {path.absolute()}")
        with open_release(path) as connection:
            row = read_release_row(connection, path)
    model = workspace.stage_folder("models", row.model_digest)
    manifest = read_manifest(model, StageFacts)
    if manifest is None or "vocabulary" not in manifest.inputs:
        return StartPoint(row.sha256, path, None, None, row.architecture)
    vocabulary = workspace.stage_folder("vocabularies", manifest.inputs["vocabulary"])
    if not (model / VECTORS).is_file() or not (vocabulary / VOCABULARY_FILE).is_file():
        return StartPoint(row.sha256, path, None, None, row.architecture)
    return StartPoint(row.model_digest, path, model, vocabulary, row.architecture)


def read_start(start: StartPoint) -> StartVectors:
    """The vectors of a start point. A release alone has unit vectors, and no context vectors.

    Distilled models have no context vectors either.
    """
    if start.model is not None and start.vocabulary is not None:
        center_vectors, context_vectors = read_matrices(start.model)
        words, optimizer = read_vocabulary(start.vocabulary).words, read_optimizer(start.model)
        return StartVectors(words, center_vectors, context_vectors if context_vectors.size else None, optimizer)
    with open_release(start.release, scan=True) as connection:
        found = read_all_words(connection, read_release_row(connection, start.release))
    return StartVectors(found.words, found.vectors, None, {})
