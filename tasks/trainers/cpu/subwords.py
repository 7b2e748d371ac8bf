"""fastText training on the cores of one machine: as `trainer`, over words and the n-grams they are composed of."""

from collections.abc import Iterator
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray

from tasks.trainers.bookkeeping import begin_training, check_chunk
from tasks.trainers.config import FastTextConfig
from tasks.trainers.cpu.subword_kernel import Subwords, compose, train_subword_chunk
from tasks.trainers.cpu.trainer import ChunkResult, ChunkTrainer, Workers, kernel_settings, kernel_tokens, padded
from tasks.trainers.interface import (
    NGRAM_VECTORS,
    TokenChunk,
    TokenRun,
    TokenSource,
    TrainingState,
    TrainingStep,
    Vocabulary,
)
from tasks.trainers.sampling import chunk_key

# Movie reviews: 30 uses are 500 tokens; twice as many change no score, and no segment makes training much faster.
USES_IN_SEGMENT = 30
LONGEST_SEGMENT = 500


def train_fasttext(
    source: TokenSource,
    vocabulary: Vocabulary,
    config: FastTextConfig,
    state: TrainingState | None = None,
    *,
    resumable_every_seconds: float = 60.0,
) -> Iterator[TrainingStep]:
    """Train, yielding a step after every chunk; those after `resumable_every_seconds` and each epoch are resumable.

    vocabulary: with the n-grams of each word.  state: where an earlier run stopped; trained in place, its arrays
    replaced by views of padded ones. `center_vectors` are the words' own rows; `composed_vectors` is what to publish.
    Raises ValueError if the state does not match, a token is outside the vocabulary or the corpus is empty, and
    DivergenceError if the vectors became NaN or infinite or the loss exploded.
    """
    state = begin_training(source, vocabulary, config, state)
    train = _chunk_trainer(source, vocabulary, config, state)
    with Workers(source, config, state, train, lambda chunk: len(chunk.token_ids)) as workers:
        while state.epoch < config.epochs:
            yield from workers.train_epoch(resumable_every_seconds)


def composed_vectors(vocabulary: Vocabulary, state: TrainingState) -> NDArray[np.float32]:
    """(V, D) float32 vectors of the words: the mean of a word's own row and the rows of its n-grams."""
    offsets, buckets = _ngrams(vocabulary)
    words, ngrams = (np.require(rows, np.float32, ["C"]) for rows in (state.center_vectors, _ngram_rows(state)))
    composed = np.empty_like(words)
    for word in range(len(words)):
        compose(Subwords(words, ngrams, offsets, buckets), word, composed[word])
    return composed


def segment_tokens(vocabulary: Vocabulary) -> int:
    """Tokens that are trained between two compositions: the row used most is used about USES_IN_SEGMENT times."""
    offsets, buckets = _ngrams(vocabulary)
    share = vocabulary.counts * vocabulary.keep_probability / vocabulary.counts.sum()
    uses = np.bincount(buckets, np.repeat(share, np.diff(offsets)), minlength=1)
    return int(np.clip(USES_IN_SEGMENT / max(uses.max(), share.max()), 1, LONGEST_SEGMENT))


def _ngrams(vocabulary: Vocabulary) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    if vocabulary.ngrams is None:
        raise ValueError("the vocabulary has no n-grams, which fastText composes vectors of")
    return vocabulary.ngrams


def _ngram_rows(state: TrainingState) -> NDArray[np.float32]:
    return state.optimizer[NGRAM_VECTORS]


def _chunk_trainer(
    source: TokenSource, vocabulary: Vocabulary, config: FastTextConfig, state: TrainingState
) -> ChunkTrainer:
    """A function of chunk, epoch and chunk number that trains `state`, already compiled."""
    words, workers = len(vocabulary), config.workers or 1
    own, ngrams, contexts = (
        padded(matrix, 0) for matrix in (state.center_vectors, _ngram_rows(state), state.context_vectors)
    )
    state.center_vectors, state.context_vectors = own[:, : config.dimension], contexts[:, : config.dimension]
    state.optimizer[NGRAM_VECTORS] = ngrams[:, : config.dimension]
    offsets, buckets = _ngrams(vocabulary)
    if len(buckets) and buckets.max() >= len(ngrams):
        raise ValueError(f"an n-gram has bucket {buckets.max()}, and the state has {len(ngrams)}")
    subwords = Subwords(own, ngrams, offsets, buckets)
    free: SimpleQueue[NDArray[np.float32]] = SimpleQueue()
    for _ in range(workers):
        free.put(padded(np.zeros((words, config.dimension), np.float32), 0))
    settings, segment = kernel_settings(vocabulary, config), segment_tokens(vocabulary)

    def train(chunk: TokenRun, epoch: int, number: int) -> ChunkResult:
        check_chunk(chunk, words)
        composed = free.get()
        try:
            loss_sum, pairs = train_subword_chunk(
                *kernel_tokens(chunk, epoch, source, config),
                subwords,
                composed,
                contexts,
                *settings[epoch],
                chunk_key(config.seed, epoch, number),
                segment,
            )
        finally:
            free.put(composed)
        return float(loss_sum), int(pairs)

    # Compile, or load from the cache, before the clock starts.
    train(TokenChunk(np.zeros(0, np.int32), np.zeros(1, np.int64), 0), 0, 0)
    return train
