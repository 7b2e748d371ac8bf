"""GloVe training on the cores of one machine: threads that update shared parameters without locks (Hogwild).

The pairs come in a random order that stays the same in every epoch, as in the C program. With one worker the order of
the updates is fixed, so the same seed produces the same bits.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from tasks.trainers.bookkeeping import begin_training, check_pairs
from tasks.trainers.config import GloveConfig
from tasks.trainers.cpu.glove_kernel import Rule, Side, train_pairs
from tasks.trainers.cpu.trainer import ChunkResult, Workers, padded
from tasks.trainers.interface import PairRun, PairSource, TrainingState, TrainingStep, Vocabulary


def train_glove(
    source: PairSource,
    vocabulary: Vocabulary,
    config: GloveConfig,
    state: TrainingState | None = None,
    *,
    resumable_every_seconds: float = 60.0,
) -> Iterator[TrainingStep]:
    """Train, yielding a step after every chunk; those after `resumable_every_seconds` and each epoch are resumable.

    state: where an earlier run stopped; trained in place, its arrays replaced by views of padded ones.
    workers none: one thread.  Closing the generator lets running chunks finish and leaves the state consistent.
    Raises ValueError if the state does not match, a word is outside the vocabulary or there are no pairs, and
    DivergenceError if the vectors became NaN or infinite.
    """
    state = begin_training(source, vocabulary, config, state)
    train = _chunk_trainer(len(vocabulary), config, state)
    with Workers(source, config, state, train, lambda chunk: len(chunk.rows)) as workers:
        while state.epoch < config.epochs:
            yield from workers.train_epoch(resumable_every_seconds)


def _chunk_trainer(words: int, config: GloveConfig, state: TrainingState) -> Callable[[PairRun, int, int], ChunkResult]:
    """A function of chunk, epoch and chunk number that trains `state`, already compiled."""

    def side(vectors: NDArray[np.float32], name: str) -> Side:
        squares = padded(state.optimizer[f"{name}_squares"], 0, state.allocate)
        # Columns that pad a row: 0 / sqrt(1) moves nothing.
        squares[:, config.dimension :] = 1.0
        state.optimizer[f"{name}_squares"] = squares[:, : config.dimension]
        biases, bias_squares = (
            np.require(state.optimizer[f"{name}_{part}"], np.float32, ["C", "W"]) for part in ("biases", "bias_squares")
        )
        state.optimizer |= {f"{name}_biases": biases, f"{name}_bias_squares": bias_squares}
        return Side(padded(vectors, 0, state.allocate), biases, squares, bias_squares)

    # One after the other, so that one matrix at most exists twice.
    centers = side(state.center_vectors, "center")
    state.center_vectors = centers.vectors[:, : config.dimension]
    contexts = side(state.context_vectors, "context")
    state.context_vectors = contexts.vectors[:, : config.dimension]
    rule = Rule(config.x_max, config.alpha, config.learning_rate)

    def train(chunk: PairRun, epoch: int, number: int) -> ChunkResult:
        check_pairs(chunk, words)
        rows, columns, weights = (
            np.require(values, kind, ["C", "W"])
            for values, kind in ((chunk.rows, np.int32), (chunk.columns, np.int32), (chunk.weights, np.float32))
        )
        cost = train_pairs(rows, columns, weights, centers, contexts, rule)
        return float(cost), 2 * len(rows) - int(np.count_nonzero(rows == columns))

    # Compile, or load from the cache, before the clock starts.
    empty = np.zeros(0, np.int32)
    train_pairs(empty, empty, np.zeros(0, np.float32), centers, contexts, rule)
    return train
