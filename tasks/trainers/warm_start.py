"""Warm start: initialise training with the vectors of an earlier model, word by word."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from tasks.trainers.interface import NGRAM_VECTORS, OWN_VECTORS, TrainingState


@dataclass(frozen=True)
class Overlap:
    """Number of shared words, of new words, and of words of the earlier model that are lost."""

    kept: int
    new: int
    lost: int


def start_from(
    state: TrainingState,
    words: Sequence[str],
    earlier_words: Sequence[str],
    center_vectors: NDArray[np.float32],
    context_vectors: NDArray[np.float32] | None,
    optimizer: Mapping[str, NDArray[np.float32]] = MappingProxyType({}),
) -> Overlap:
    """Replace the rows of every word that the earlier model has; new words keep their fresh rows.

    state: of the V `words`, changed in place.  center_vectors, context_vectors: (W, D) float32 of `earlier_words`;
    without context vectors those of `state` are kept.  optimizer: arrays of W rows, only those that `state` has count;
    and of a fastText model the rows of its n-gram buckets, which are copied, and the words' own rows, which replace
    center_vectors.  Raises ValueError if the dimensions or the buckets differ.
    """
    if center_vectors.shape[1] != state.center_vectors.shape[1]:
        raise ValueError(
            f"the vectors to start from have dimension {center_vectors.shape[1]}, "
            f"and training.dimension is {state.center_vectors.shape[1]}; use the same dimension"
        )
    if NGRAM_VECTORS in state.optimizer.keys() & optimizer.keys():
        if state.optimizer[NGRAM_VECTORS].shape != optimizer[NGRAM_VECTORS].shape:
            raise ValueError(
                f"it has {len(optimizer[NGRAM_VECTORS]):,} n-gram buckets; set training.buckets to that number"
            )
        state.optimizer[NGRAM_VECTORS][:] = optimizer[NGRAM_VECTORS]
        center_vectors = optimizer[OWN_VECTORS]
    earlier = {word: row for row, word in enumerate(earlier_words)}
    pairs = [(row, earlier[word]) for row, word in enumerate(words) if word in earlier]
    if pairs:
        rows, sources = np.array(pairs).T
        state.center_vectors[rows] = center_vectors[sources]
        if context_vectors is not None:
            state.context_vectors[rows] = context_vectors[sources]
        for name in (state.optimizer.keys() & optimizer.keys()) - {NGRAM_VECTORS}:
            state.optimizer[name][rows] = optimizer[name][sources]
    return Overlap(kept=len(pairs), new=len(words) - len(pairs), lost=len(earlier_words) - len(pairs))
