"""The compiled training loop of GloVe on a CPU: weighted least squares by AdaGrad, one pair of words at a time.

Formulas of the C program (Pennington et al. 2014, https://github.com/stanfordnlp/GloVe, src/glove.c): cost and
gradients as there, and accumulators that start at 1. The readable specification is `tests/trainers/cpu/plain_glove.py`.
"""

# Numba's compiled functions are untyped. The tests check what they return.
# mypy: disable-error-code="no-untyped-call, no-any-return"

import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.compiled import uncounted
from tasks.trainers.cpu import vector_code, window_code
from tasks.trainers.cpu.kernel import FAST, code_digest
from tasks.trainers.cpu.window_code import prefetch_row

# Pairs between the request for a row and its use.
PREFETCH_DISTANCE = 4


class Side(NamedTuple):
    """The parameters of all words on one side of a pair: as the word, or as its context.

    vectors: (V, W) float32.  biases: (V,) float32.  vector_squares, bias_squares: the same shapes, sums of squared
    gradients.
    """

    vectors: NDArray[np.float32]
    biases: NDArray[np.float32]
    vector_squares: NDArray[np.float32]
    bias_squares: NDArray[np.float32]


class Rule(NamedTuple):
    """Constants of the cost and of its minimisation."""

    x_max: float
    alpha: float
    learning_rate: float


@uncounted(inline="always")
def _update(words: Side, contexts: Side, i: int, j: int, logarithm: float, weight: float, rate: float) -> float:
    """Move word i and context j by one step of AdaGrad; returns the cost before it."""
    dot = np.float32(0.0)
    for k in range(words.vectors.shape[1]):
        dot += words.vectors[i, k] * contexts.vectors[j, k]
    difference = dot + words.biases[i] + contexts.biases[j] - np.float32(logarithm)
    weighted = np.float32(weight) * difference
    step = weighted * np.float32(rate)
    for k in range(words.vectors.shape[1]):
        word, context = words.vectors[i, k], contexts.vectors[j, k]
        of_word, of_context = step * context, step * word
        word_squares, context_squares = words.vector_squares[i, k], contexts.vector_squares[j, k]
        words.vectors[i, k] = word - of_word / np.sqrt(word_squares)
        contexts.vectors[j, k] = context - of_context / np.sqrt(context_squares)
        words.vector_squares[i, k] = word_squares + of_word * of_word
        contexts.vector_squares[j, k] = context_squares + of_context * of_context
    words.biases[i] -= step / np.sqrt(words.bias_squares[i])
    contexts.biases[j] -= step / np.sqrt(contexts.bias_squares[j])
    words.bias_squares[i] += step * step
    contexts.bias_squares[j] += step * step
    return np.float64(0.5) * weighted * difference


@uncounted(inline="always")
def _prefetch(side: Side, row: int) -> None:
    start = row * side.vectors.shape[1]
    prefetch_row(side.vectors, start)
    prefetch_row(side.vector_squares, start)


def make_train_pairs(code_digest: int) -> Callable[..., float]:
    """The training loop, compiled at its first call or loaded from Numba's cache on disk.

    It closes over a digest of the emitted code, as that of `kernel.make_train_chunk` does.
    """

    @uncounted(fastmath=FAST, error_model="numpy")
    def train_pairs(
        rows: NDArray[np.int32],
        columns: NDArray[np.int32],
        weights: NDArray[np.float32],
        words: Side,
        contexts: Side,
        rule: Rule,
    ) -> float:
        """Train on pairs in both directions (a word with itself: once); returns the summed cost.

        rows, columns: (N,) int32.  weights: (N,) float32, > 0.
        """
        _ = code_digest
        cost = np.float64(0.0)
        for n in range(len(rows)):
            ahead = min(n + PREFETCH_DISTANCE, len(rows) - 1)
            for row in (rows[ahead], columns[ahead]):
                _prefetch(words, row)
                _prefetch(contexts, row)
            i, j = rows[n], columns[n]
            logarithm = math.log(weights[n])
            weight = min(1.0, (weights[n] / rule.x_max) ** rule.alpha)
            cost += _update(words, contexts, i, j, logarithm, weight, rule.learning_rate)
            if i != j:
                cost += _update(words, contexts, j, i, logarithm, weight, rule.learning_rate)
        return cost

    return train_pairs


train_pairs = make_train_pairs(code_digest(*(Path(str(module.__file__)) for module in (vector_code, window_code))))
