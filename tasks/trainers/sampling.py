"""The random choices of training: initial vectors, subsampling, noise words, and the keys of their random streams."""

import numpy as np
from numpy.typing import NDArray

from tasks.trainers.config import WindowConfig
from tasks.trainers.interface import NGRAM_VECTORS, Allocator, TrainingState, Vocabulary

# Random numbers drawn at once, 4 MB.
DRAWN_NUMBERS = 1 << 20


def initial_state(vocabulary: Vocabulary, dimension: int, seed: int, allocate: Allocator = np.zeros) -> TrainingState:
    """Center vectors uniform in (-0.5, 0.5) / dimension, context vectors zero, as in word2vec.c.

    allocate: makes both matrices.  Raises ValueError if the vocabulary is empty.
    """
    if not len(vocabulary):
        raise ValueError("the vocabulary is empty, so there is nothing to train")
    shape = (len(vocabulary), dimension)
    center_vectors = allocate(shape, np.float32)
    _draw(np.random.default_rng(seed), center_vectors)
    return TrainingState(center_vectors, allocate(shape, np.float32), allocate=allocate)


def _draw(random: np.random.Generator, vectors: NDArray[np.float32]) -> None:
    """Fill (V, D) vectors uniformly in (-0.5, 0.5) / D. The numbers do not depend on the size of a block."""
    numbers, dimension = vectors.reshape(-1), vectors.shape[1]
    for start in range(0, len(numbers), DRAWN_NUMBERS):
        block = numbers[start : start + DRAWN_NUMBERS]
        random.random(out=block, dtype=np.float32)
        block -= np.float32(0.5)
        block /= np.float32(dimension)


def initial_glove_state(
    vocabulary: Vocabulary, dimension: int, seed: int, allocate: Allocator = np.zeros
) -> TrainingState:
    """Both matrices uniform in (-0.5, 0.5) / dimension, as GloVe's C program initialises them.

    The biases are 0 and the sums of squared gradients 1.  Raises ValueError if the vocabulary is empty.
    """
    state = initial_state(vocabulary, dimension, seed, allocate)
    _draw(np.random.default_rng(seed + 1), state.context_vectors)
    for side in ("center", "context"):
        squares = allocate((len(vocabulary), dimension), np.float32)
        squares[:] = 1
        state.optimizer |= {
            f"{side}_biases": np.zeros(len(vocabulary), np.float32),
            f"{side}_squares": squares,
            f"{side}_bias_squares": np.ones(len(vocabulary), np.float32),
        }
    return state


def default_buckets(words: int) -> int:
    """Hash buckets for the n-grams of a vocabulary: a power of two, so that a few new words do not change it."""
    return 1 << max(10, (words - 1).bit_length() + 1)


def initial_fasttext_state(vocabulary: Vocabulary, dimension: int, seed: int, buckets: int) -> TrainingState:
    """As `initial_state`, with rows for the n-gram buckets, drawn alike.  Raises ValueError as `initial_state`."""
    state = initial_state(vocabulary, dimension, seed)
    ngrams = np.random.default_rng((seed, 1)).random((buckets, dimension), dtype=np.float32)
    state.optimizer[NGRAM_VECTORS] = (ngrams - np.float32(0.5)) / np.float32(dimension)
    return state


def probability_thresholds(probabilities: NDArray[np.float64]) -> NDArray[np.uint32]:
    """Thresholds that 32 random bits must not exceed for events of these probabilities; 1 always happens.

    Raises ValueError if a probability is outside (0, 1].
    """
    if not np.all((probabilities > 0) & (probabilities <= 1)):
        raise ValueError("a probability is outside (0, 1]")
    return (np.ceil(probabilities * 2.0**32) - 1).astype(np.uint32)


def keep_probabilities(vocabulary: Vocabulary, config: WindowConfig) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two (V,) arrays: the chance that one occurrence survives subsampling in the early epochs and in the later ones.

    The early epochs use a fraction of the threshold. The threshold follows from the probability of the most frequent
    word, sqrt(r) + r for a threshold of r times its frequency (`tasks.text.vocabulary.keep_probability`). Where that
    probability is 1, nothing is subsampled, early or late.
    """
    late, counts = vocabulary.keep_probability, vocabulary.counts
    if not config.early_epochs or not len(counts) or late[0] == 1.0:
        return late, late
    root = 2.0 * late[0] / (np.sqrt(1.0 + 4.0 * late[0]) + 1.0)
    ratio = config.early_threshold_fraction * root**2 * counts[0] / counts
    return np.minimum(1.0, np.sqrt(ratio) + ratio), late


# Far below what a 32-bit draw can tell from zero.
SMALLEST_CHANCE = 2.0**-53


def alias_table(probabilities: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Alias table, for sampling a discrete distribution in constant time.

    probabilities: (V,) float64, positive; they are scaled to sum to 1.
    Returns (V,) float64 probability of keeping a uniformly drawn row, in (0, 1], and (V,) int32 alias row.
    Source: Vose 1991, "A linear algorithm for generating random numbers with a given distribution".
    """
    if not np.all(np.isfinite(probabilities) & (probabilities > 0)):
        raise ValueError("a noise probability is not a positive number")
    size = len(probabilities)
    # Plain lists: element access is several times faster than on arrays.
    heights: list[float] = (probabilities * (size / probabilities.sum())).tolist()
    chances, aliases = [1.0] * size, list(range(size))
    low = [row for row, height in enumerate(heights) if height < 1]
    high = [row for row, height in enumerate(heights) if height >= 1]
    while low and high:
        row, donor = low.pop(), high[-1]
        chances[row], aliases[row] = heights[row], donor
        # Rounding must not make it zero, which would mean that the row is never drawn.
        heights[donor] = max(heights[donor] - (1 - heights[row]), SMALLEST_CHANCE)
        if heights[donor] < 1:
            low.append(high.pop())
    return np.array(chances), np.array(aliases, np.int32)


def chunk_key(seed: int, epoch: int, chunk: int) -> np.uint64:
    """Key of all draws for one chunk in one epoch, so that they do not depend on the worker that trains it."""
    return np.uint64(np.random.SeedSequence((seed, epoch, chunk)).generate_state(1, np.uint64)[0])
