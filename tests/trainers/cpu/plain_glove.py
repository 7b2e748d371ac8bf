"""GloVe as its C program computes it, one pair at a time in plain NumPy: the specification of the kernels."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from tasks.trainers.config import GloveConfig
from tasks.trainers.interface import TrainingState


def plain_counts(sentences: Iterable[Sequence[int]], radius: int) -> dict[tuple[int, int], float]:
    """The full symmetric matrix: (word, context) -> sum of 1 / distance, each direction added as cooccur.c does."""
    counts: defaultdict[tuple[int, int], float] = defaultdict(float)
    for sentence in sentences:
        for position, word in enumerate(sentence):
            for distance in range(1, min(radius, position) + 1):
                other = sentence[position - distance]
                counts[word, other] += 1 / distance
                counts[other, word] += 1 / distance
    return dict(counts)


def both_directions(
    rows: Iterable[int], columns: Iterable[int], weights: Iterable[float]
) -> list[tuple[int, int, float]]:
    """The entries of the full matrix in the order in which vecmill trains them."""
    entries = []
    for row, column, weight in zip(rows, columns, weights, strict=True):
        entries.append((row, column, weight))
        if row != column:
            entries.append((column, row, weight))
    return entries


def plain_epoch(entries: Iterable[tuple[int, int, float]], state: TrainingState, config: GloveConfig) -> float:
    """One pass of AdaGrad over the entries, in float64; returns the summed cost. Formulas: glove.c."""
    words, contexts, more = state.center_vectors, state.context_vectors, state.optimizer
    cost = 0.0
    for i, j, x in entries:
        difference = words[i] @ contexts[j] + more["center_biases"][i] + more["context_biases"][j] - math.log(x)
        weighted = difference * (1.0 if x > config.x_max else (x / config.x_max) ** config.alpha)
        cost += 0.5 * weighted * difference
        step = weighted * config.learning_rate
        of_word, of_context = step * contexts[j], step * words[i]
        words[i] -= of_word / np.sqrt(more["center_squares"][i])
        contexts[j] -= of_context / np.sqrt(more["context_squares"][j])
        more["center_squares"][i] += of_word**2
        more["context_squares"][j] += of_context**2
        for side, word in (("center", i), ("context", j)):
            more[f"{side}_biases"][word] -= step / np.sqrt(more[f"{side}_bias_squares"][word])
            more[f"{side}_bias_squares"][word] += step**2
    return cost


def plain_cost(entries: Iterable[tuple[int, int, float]], parameters: NDArray[np.float64], words: int) -> float:
    """The cost as a function of one (2 * words, D + 1) matrix: vectors, and biases in the last column; x_max 10."""
    cost = 0.0
    for i, j, x in entries:
        word, context = parameters[i], parameters[words + j]
        difference = word[:-1] @ context[:-1] + word[-1] + context[-1] - math.log(x)
        cost += 0.5 * min(1.0, (x / 10) ** 0.75) * difference**2
    return cost
