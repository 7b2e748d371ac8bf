"""Skip-gram and CBOW training on the cores of one machine: threads that update shared matrices without locks (Hogwild).

Chunks of the corpus are the unit of work. Learning rate and random draws are functions of a token's position in the
corpus, so they do not depend on which thread trains a chunk; only the order of the updates does. With one worker that
order is fixed too, and runs with the same seed are bit-identical.

Several workers train the most frequent words in private copies and exchange the changes every few hundred windows:
cores that write the same cache lines wait for each other, which cost two workers a seventh of their time.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from tasks.trainers.bookkeeping import (
    begin_training,
    check_chunk,
    check_loss,
    check_model,
    check_vectors,
    finish_epoch,
    learning_rate_at,
)
from tasks.trainers.config import FamilyConfig, WindowConfig
from tasks.trainers.cpu.kernel import Copies, Radii, Rates, train_chunk
from tasks.trainers.cpu.vector_code import ROW_MULTIPLE
from tasks.trainers.interface import (
    Allocator,
    ChunkSource,
    StartingRun,
    TokenChunk,
    TokenRun,
    TokenSource,
    TrainingState,
    TrainingStep,
    Vocabulary,
)
from tasks.trainers.sampling import alias_table, chunk_key, keep_probabilities, probability_thresholds

# Chunks handed out per worker: one in training, one queued while the driver handles the last step.
CHUNKS_PER_WORKER = 2
# Movie reviews, eight workers: 1,500 cost .01 of MEN and 6,000 diverged. 200 cost nothing with 16 workers.
USES_BETWEEN_EXCHANGES = 200
# Rows that a worker updates in its windows for each row that it copies.
OUTPUTS_FOR_A_COPY = 24

# Loss summed over all pairs of a chunk, and the number of pairs.
ChunkResult = tuple[float, int]
# Chunk, epoch from 0 and number of the chunk.
ChunkTrainer = Callable[[TokenRun, int, int], ChunkResult]
Chunk = TypeVar("Chunk", bound=StartingRun)


def train_skip_gram(
    source: TokenSource,
    vocabulary: Vocabulary,
    config: WindowConfig,
    state: TrainingState | None = None,
    *,
    resumable_every_seconds: float = 60.0,
) -> Iterator[TrainingStep]:
    """Train, yielding a step after every chunk; those after `resumable_every_seconds` and each epoch are resumable.

    state: where an earlier run stopped; trained in place, its two arrays replaced by views of padded ones.
    workers none: one thread.  Closing the generator lets running chunks finish and leaves the state consistent.
    Raises ValueError if the state does not match, a token is outside the vocabulary or the corpus is empty, and
    DivergenceError if the vectors became NaN or infinite or the loss exploded.
    """
    check_model(config, "numba")
    state = begin_training(source, vocabulary, config, state)
    train = chunk_trainer(source, vocabulary, config, state)
    with Workers(source, config, state, train, lambda chunk: len(chunk.token_ids)) as workers:
        while state.epoch < config.epochs:
            yield from workers.train_epoch(resumable_every_seconds)


class Workers(Generic[Chunk]):
    """Threads that train chunks, and their progress. length: units of work of a chunk, such as tokens."""

    def __init__(
        self,
        source: ChunkSource[Chunk],
        config: FamilyConfig,
        state: TrainingState,
        train: Callable[[Chunk, int, int], ChunkResult],
        length: Callable[[Chunk], int],
    ) -> None:
        self._source, self._config, self._state, self._train, self._length = source, config, state, train, length
        self._threads = config.workers or 1
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix=config.model.replace("_", "-"))
        self._running: deque[tuple[int, Chunk, Future[ChunkResult]]] = deque()
        self._tokens_done = 0
        self._counted_until = time.perf_counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *details: object) -> None:
        # Last in, first out: the chunks that remain are the first ones submitted.
        for *_, future in reversed(self._running):
            future.cancel()
        # After close, Ctrl-C or a signal from Prefect trained chunks count; after an error they do not.
        if kind and not issubclass(kind, Exception):
            while self._running and not self._running[0][-1].cancelled():
                self._commit()
        self._pool.shutdown()

    def train_epoch(self, resumable_every_seconds: float) -> Iterator[TrainingStep]:
        """Train the rest of the epoch; the last step carries its result."""
        state = self._state
        first = state.next_chunk
        chunks = zip(range(first, self._source.chunk_count), self._source.read_chunks(first), strict=True)
        while state.next_chunk < self._source.chunk_count:
            self._counted_until = started = time.perf_counter()
            while self._hand_out(chunks, until=started + resumable_every_seconds) or self._running:
                self._commit()
                yield TrainingStep(state, self._tokens_done, resumable=False)
            check_vectors(state.center_vectors, state, self._config)
            self._count_seconds()
            if state.next_chunk < self._source.chunk_count:
                yield TrainingStep(state, self._tokens_done, resumable=True)
        result = finish_epoch(state, self._source, self._config)
        yield TrainingStep(state, state.epoch * self._source.token_count, resumable=True, epoch_result=result)

    def _hand_out(self, chunks: Iterator[tuple[int, Chunk]], until: float) -> bool:
        """Keep every thread busy until the time `until`. Returns whether any chunk is running."""
        while len(self._running) < CHUNKS_PER_WORKER * self._threads and time.perf_counter() < until:
            place = next(chunks, None)
            if place is None:
                break
            number, chunk = place
            future = self._pool.submit(self._train, chunk, self._state.epoch, number)
            self._running.append((number, chunk, future))
        return bool(self._running)

    def _commit(self) -> None:
        """Wait for the oldest running chunk and count it, once, even if a signal comes between any two lines."""
        number, chunk, future = self._running[0]
        loss_sum, pairs = future.result()
        state = self._state
        if number >= state.next_chunk:
            check_loss(loss_sum, pairs, state, self._config)
            # This line is atomic because it has no call: Python handles signals only between calls.
            state.next_chunk, state.loss_sum, state.pairs = number + 1, state.loss_sum + loss_sum, state.pairs + pairs
        self._running.popleft()
        self._tokens_done = state.epoch * self._source.token_count + chunk.start + self._length(chunk)
        self._count_seconds()

    def _count_seconds(self) -> None:
        """Add the time since the last count."""
        now = time.perf_counter()
        self._state.seconds += now - self._counted_until
        self._counted_until = now


def chunk_trainer(
    source: TokenSource, vocabulary: Vocabulary, config: WindowConfig, state: TrainingState
) -> ChunkTrainer:
    """A function of chunk, epoch and chunk number that trains `state`, already compiled."""
    words, workers = len(vocabulary), config.workers or 1
    copied_words, exchange_windows = copied_rows(vocabulary, config)
    # One after the other, so that one matrix at most exists twice.
    centers = padded(state.center_vectors, copied_words * workers, state.allocate)
    state.center_vectors = centers[:words, : config.dimension]
    contexts = padded(state.context_vectors, copied_words * workers, state.allocate)
    state.context_vectors = contexts[:words, : config.dimension]
    # First rows of the copies that no thread uses at the moment.
    free: SimpleQueue[int] = SimpleQueue()
    for worker in range(workers):
        free.put(words + worker * copied_words)
    settings = kernel_settings(vocabulary, config)

    def train(chunk: TokenRun, epoch: int, number: int) -> ChunkResult:
        check_chunk(chunk, words)
        first_copy = free.get()
        try:
            loss_sum, pairs = train_chunk(
                *kernel_tokens(chunk, epoch, source, config),
                centers,
                contexts,
                *settings[epoch],
                chunk_key(config.seed, epoch, number),
                Copies(copied_words, first_copy),
                exchange_windows,
            )
        finally:
            free.put(first_copy)
        return float(loss_sum), int(pairs)

    # Compile, or load from the cache, before the clock starts.
    train(TokenChunk(np.zeros(0, np.int32), np.zeros(1, np.int64), 0), 0, 0)
    return train


def kernel_settings(vocabulary: Vocabulary, config: WindowConfig) -> list[tuple[object, ...]]:
    """By epoch, the arguments of the kernels for subsampling, noise, windows and learning rate, in their order."""
    chances, noise_aliases = alias_table(vocabulary.noise_probability)
    noise = (probability_thresholds(chances), noise_aliases, (0,) * (1 + config.negatives_per_pair))
    early, late = map(probability_thresholds, keep_probabilities(vocabulary, config))
    settings: list[tuple[object, ...]] = []
    for epoch in range(config.epochs):
        radius = config.window_radius_in(epoch)
        radii = Radii(1 if config.reduced_windows else radius, radius)
        kept = early if epoch < config.early_epochs else late
        rates = Rates(learning_rate_at(0.0, config, epoch), learning_rate_at(1.0, config, epoch))
        settings.append((kept, *noise, radii, config.averages_inputs_in(epoch), rates))
    return settings


def kernel_tokens(chunk: TokenRun, epoch: int, source: TokenSource, config: WindowConfig) -> tuple[object, ...]:
    """The arguments of the kernels for the tokens of a chunk and their progress, in their order. epoch: from 0."""
    progress_step = 1.0 / (config.epochs * source.token_count)
    return (
        np.require(chunk.token_ids, np.int32, ["C", "W"]),
        np.require(chunk.sentence_offsets, np.int64, ["C", "W"]),
        (epoch * source.token_count + chunk.start) * progress_step,
        progress_step,
    )


def copied_rows(vocabulary: Vocabulary, config: WindowConfig) -> tuple[int, int]:
    """Number of words that every worker trains in private copies, and number of windows between exchanges.

    All workers together use any row at most USES_BETWEEN_EXCHANGES times between exchanges, because their independent
    changes to it add up. An exchange takes a few hundredths of the time between two.
    """
    workers, outputs = config.workers or 1, 1 + config.negatives_per_pair
    if workers == 1:
        return 0, 0
    kept = vocabulary.counts * vocabulary.keep_probability
    uses_in_window = (kept / kept.sum() + config.negatives_per_pair * vocabulary.noise_probability).max()
    windows = max(1, int(USES_BETWEEN_EXCHANGES / (workers * uses_in_window)))
    return min(len(vocabulary), windows * outputs // OUTPUTS_FOR_A_COPY), windows


def padded(vectors: NDArray[np.float32], more: int, allocate: Allocator = np.zeros) -> NDArray[np.float32]:
    """A copy with more rows, aligned to cache lines; the added columns are zero and stay zero."""
    given, dimension = vectors.shape
    rows = given + more
    width = -(-dimension // ROW_MULTIPLE) * ROW_MULTIPLE
    buffer = allocate(rows * width + ROW_MULTIPLE, np.float32)
    skipped = -buffer.ctypes.data // buffer.itemsize % ROW_MULTIPLE
    padded = buffer[skipped : skipped + rows * width].reshape(rows, width)
    padded[:given, :dimension] = vectors
    return padded
