"""Vectors of words that a model or a release of fastText does not have, for the scores of rare words."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from storage.models.matrices import Matrix, read_optimizer
from storage.releases.reader import read_release_ngrams
from storage.stages import Manifest, Stage
from tasks.metrics.composed import Composer
from tasks.trainers.interface import NGRAM_VECTORS

if TYPE_CHECKING:
    # Imports Prefect, which the evaluation of a release does without.
    from tasks.training import ModelFacts


def composes_unseen_words(model: "Stage[ModelFacts] | Manifest[ModelFacts]", matrix: Matrix) -> bool:
    """Whether unknown words have vectors in this matrix. Joined vectors have none: an encoder takes no n-grams."""
    return model.config.get("model") == "fasttext" and "fused_dimension" not in model.config and matrix == "center"


def model_composer(model: "Manifest[ModelFacts]", matrix: Matrix) -> Composer | None:
    """Composes words of a model's n-grams; None if it has none."""
    if not composes_unseen_words(model, matrix):
        return None
    config: dict[str, Any] = model.config
    vectors = read_optimizer(model.path)[NGRAM_VECTORS]
    return ngram_composer(config["minimum_ngram"], config["maximum_ngram"], vectors)


def release_composer(path: Path) -> Composer | None:
    """Composes words of the n-grams in a release file; None if it has none."""
    ngrams = read_release_ngrams(path)
    return ngram_composer(ngrams.minimum, ngrams.maximum, ngrams.vectors) if ngrams else None


def ngram_composer(minimum: int, maximum: int, vectors: NDArray[np.float32]) -> Composer:
    """Composes words of n-grams of these lengths. vectors: (B, D) of the hash buckets."""
    # Deferred: SciPy takes a quarter of a second to import, and Numba compiles on first use.
    from scipy.sparse import csr_matrix

    from tasks.trainers.ngrams import ngram_buckets

    def compose(words: Sequence[str]) -> NDArray[np.float32]:
        offsets, buckets = ngram_buckets(words, minimum, maximum, len(vectors))
        counts = np.diff(offsets)
        weights = np.repeat(1 / np.maximum(counts, 1), counts).astype(np.float32)
        rows = csr_matrix((weights, buckets, offsets), shape=(len(words), len(vectors)))
        return np.asarray(rows @ vectors, np.float32)

    return compose
