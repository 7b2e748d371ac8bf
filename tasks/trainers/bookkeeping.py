"""Shared by the backends with a decaying learning rate: rates, checks and the totals of an epoch."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tasks.trainers.config import FamilyConfig, FastTextConfig, GloveConfig, SkipGramConfig, WindowConfig
from tasks.trainers.interface import (
    Allocator,
    ChunkSource,
    DivergenceError,
    EpochResult,
    PairRun,
    StartingRun,
    TokenRun,
    TrainingState,
    Vocabulary,
)
from tasks.trainers.sampling import default_buckets, initial_fasttext_state, initial_glove_state, initial_state

# The default step size of stochastic gradient descent with the gradients of word2vec.c.
DEFAULT_LEARNING_RATE = 0.05
# Inputs of a window share the gradient of their mean, so each moves several times less than in skip-gram.
DEFAULT_CBOW_LEARNING_RATE = 0.2
# Rate of the epochs of CBOW that finish a skip-gram training, as a multiple of skip-gram's (docs/experiments.md).
CBOW_RATE_FACTOR = 8.0
# Of skip-gram that starts from the previous release: .06 to .08 more of the neighbors stay than with 0.05, and
# SimLex-999 and analogies gain (docs/experiments.md).
RETRAINING_LEARNING_RATE = 0.025
MODELS = ("skip_gram", "cbow")
# Untrained vectors lose log(2) for each of the 1 + negatives outputs; normal training stays below that.
DIVERGED_LOSS_FACTOR = 8.0


def begin_training(
    source: ChunkSource[StartingRun], vocabulary: Vocabulary, config: FamilyConfig, state: TrainingState | None
) -> TrainingState:
    """The state to train: the given one or a new one. Raises ValueError if corpus, vocabulary or state do not match."""
    if not source.token_count:
        raise ValueError("the corpus has no tokens, so there is nothing to train on")
    state = state or first_state(vocabulary, config)
    shape = (len(vocabulary), config.dimension)
    if state.center_vectors.shape != shape or state.context_vectors.shape != shape:
        raise ValueError(
            f"the state holds {state.center_vectors.shape} center and {state.context_vectors.shape} context vectors, "
            f"but vocabulary and dimension require {shape}"
        )
    return state


def first_state(vocabulary: Vocabulary, config: FamilyConfig, allocate: Allocator = np.zeros) -> TrainingState:
    """The random state that training starts from. Raises ValueError if the vocabulary is empty.

    allocate: makes its matrices; fastText's are always in memory.
    """
    if isinstance(config, FastTextConfig):
        buckets = config.buckets or default_buckets(len(vocabulary))
        return initial_fasttext_state(vocabulary, config.dimension, config.seed, buckets)
    initial = initial_glove_state if isinstance(config, GloveConfig) else initial_state
    return initial(vocabulary, config.dimension, config.seed, allocate)


def check_model(config: WindowConfig, backend: str, known: Sequence[str] = MODELS) -> None:
    """Raises ValueError for a model that the backend does not train."""
    if config.model not in known:
        remedy = "" if backend == "numba" else "; set training.backend numba"
        raise ValueError(f"the {backend} backend trains {' and '.join(known)}, not {config.model}{remedy}")


def first_learning_rate(config: FamilyConfig) -> float:
    """The step size at the start: as set, else the default of the architecture."""
    if config.learning_rate is not None:
        return config.learning_rate
    averaged = isinstance(config, WindowConfig) and config.averages_inputs_in(0)
    return DEFAULT_CBOW_LEARNING_RATE if averaged else DEFAULT_LEARNING_RATE


def learning_rate_at(progress: float, config: FamilyConfig, epoch: int) -> float:
    """The rate at a training progress of 0..1: linear decay to a fraction of the initial rate.

    epoch: from 0; those of CBOW after skip-gram have a higher rate.  The base rate of AdaGrad is constant.
    """
    if not isinstance(config, WindowConfig):
        return config.learning_rate
    factor = CBOW_RATE_FACTOR if isinstance(config, SkipGramConfig) and config.averages_inputs_in(epoch) else 1.0
    return factor * first_learning_rate(config) * (1.0 - (1.0 - config.final_rate_fraction) * progress)


def check_chunk(chunk: TokenRun, words: int) -> None:
    """Raises ValueError for a malformed chunk; compiled code checks no bounds."""
    offsets, token_ids = chunk.sentence_offsets, chunk.token_ids
    if not len(offsets) or offsets[0] != 0 or offsets[-1] != len(token_ids) or np.any(np.diff(offsets) < 0):
        raise ValueError(f"the sentence offsets of the chunk at token {chunk.start} do not cover its tokens in order")
    if len(token_ids) and not 0 <= token_ids.min() <= token_ids.max() < words:
        raise ValueError(f"the chunk at token {chunk.start} has a token outside the vocabulary of {words} words")


def check_pairs(chunk: PairRun, words: int) -> None:
    """Raises ValueError for a malformed chunk; compiled code checks no bounds."""
    lengths = {len(chunk.rows), len(chunk.columns), len(chunk.weights)}
    if len(lengths) > 1 or not np.all(chunk.weights > 0):
        raise ValueError(f"the chunk at pair {chunk.start} has columns of different lengths or a weight <= 0")
    ids = np.concatenate([chunk.rows, chunk.columns])
    if len(ids) and not 0 <= ids.min() <= ids.max() < words:
        raise ValueError(f"the chunk at pair {chunk.start} has a word outside the vocabulary of {words} words")


def check_loss(loss_sum: float, pairs: int, state: TrainingState, config: FamilyConfig) -> None:
    """Raises DivergenceError if the loss of a unit of work is not finite or far above that of untrained vectors."""
    # The cost of a fit to counts has no bound that depends on the settings alone.
    largest = np.inf
    if isinstance(config, WindowConfig):
        largest = DIVERGED_LOSS_FACTOR * (1 + config.negatives_per_pair) * np.log(2.0)
    if not np.isfinite(loss_sum) or loss_sum > largest * max(pairs, 1):
        raise divergence(f"the mean loss per pair of a chunk is {loss_sum / max(pairs, 1):.4g}", state, config)


def check_vectors(vectors: NDArray[np.float32], state: TrainingState, config: FamilyConfig) -> None:
    """Raises DivergenceError if a value is not finite."""
    # The sum of squares of finite values may overflow, but then the vectors have diverged as well.
    if not np.isfinite(np.einsum("ij,ij->", vectors, vectors)):
        raise divergence("a vector is no longer finite", state, config)


def divergence(found: str, state: TrainingState, config: FamilyConfig) -> DivergenceError:
    """The error with symptom, position and remedy."""
    rate = first_learning_rate(config)
    return DivergenceError(
        f"training diverged in epoch {state.epoch + 1} of {config.epochs} at learning rate {rate:g}: "
        f"{found}; lower training.learning_rate, to {rate / 4:g} for example, and run again"
    )


def finish_epoch(state: TrainingState, source: ChunkSource[StartingRun], config: FamilyConfig) -> EpochResult:
    """Summary of the finished epoch; advances the state to the start of the next one."""
    result = EpochResult(
        epoch=state.epoch + 1,
        mean_loss=state.loss_sum / max(state.pairs, 1),
        pairs=state.pairs,
        tokens=source.token_count,
        seconds=state.seconds,
        learning_rate=learning_rate_at((state.epoch + 1) / config.epochs, config, state.epoch),
    )
    state.epoch += 1
    state.next_chunk, state.loss_sum, state.pairs, state.seconds = 0, 0.0, 0, 0.0
    return result
