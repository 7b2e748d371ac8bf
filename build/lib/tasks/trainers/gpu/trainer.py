"""Skip-gram training on one GPU: word2vec.c's algorithm in tiles, by the kernels of `gpu.kernels`.

The corpus is uploaded while it is first read and stays on the GPU as far as it fits. Subsampling, windows, noise and
learning rate are computed there. Each draw depends only on its position in the corpus, so a resumed run repeats the
same draws. Results are not bitwise reproducible: atomic additions happen in any order.
"""

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from tasks.trainers.bookkeeping import begin_training, check_loss, check_model, check_vectors, finish_epoch
from tasks.trainers.config import SkipGramConfig
from tasks.trainers.gpu.corpus import GpuCorpus, Portion
from tasks.trainers.gpu.kernels import INTERPRETED
from tasks.trainers.gpu.model import GpuModel
from tasks.trainers.gpu.status import (
    LEAST_PORTION_TOKENS,
    PORTION_TOKENS,
    memory_obstacle,
    needed_bytes,
)
from tasks.trainers.gpu.tile_shape import tile_shape
from tasks.trainers.interface import TokenSource, TrainingState, TrainingStep, Vocabulary

# Portions queued on the GPU while the next is read.
PORTIONS_AHEAD = 1


def train_on_gpu(
    source: TokenSource,
    vocabulary: Vocabulary,
    config: SkipGramConfig,
    state: TrainingState | None = None,
    *,
    resumable_every_seconds: float = 60.0,
) -> Iterator[TrainingStep]:
    """Train, yielding a step after every portion; those after `resumable_every_seconds` and each epoch are resumable.

    state: where an earlier run stopped; its two arrays are replaced whenever a step is resumable.  Closing the
    generator waits for queued work and leaves the state consistent.
    Raises ValueError if model or state do not match, a token is outside the vocabulary or the corpus is empty,
    MemoryError if the GPU has too little left, DivergenceError if the vectors are not finite or the loss exploded.
    """
    check_model(config, "triton", ("skip_gram",))
    state = begin_training(source, vocabulary, config, state)
    run = _Run(source, vocabulary, config, state)
    try:
        while state.epoch < config.epochs:
            yield from run.train_epoch(resumable_every_seconds)
    except (GeneratorExit, KeyboardInterrupt):
        run.settle()
        raise


@dataclass(frozen=True)
class _Queued:
    """A portion that the GPU is training. result: (2,) float64 in the host's memory, valid after `done`."""

    portion: Portion
    result: torch.Tensor
    done: torch.cuda.Event | None


class _Run:
    """The model, the queued portions, and the progress of the training."""

    def __init__(
        self, source: TokenSource, vocabulary: Vocabulary, config: SkipGramConfig, state: TrainingState
    ) -> None:
        self._source, self._config, self._state = source, config, state
        self._device = torch.device("cpu" if INTERPRETED.value else "cuda")
        portion_tokens, room_bytes = _memory_plan(len(vocabulary), config, self._device)
        self._model = GpuModel(vocabulary, config, state, source.token_count, self._device)
        self._corpus = GpuCorpus(source, len(vocabulary), portion_tokens, room_bytes, self._device)
        self._queued: deque[_Queued] = deque()
        self._tokens_done = 0
        self._compile()

    def train_epoch(self, resumable_every_seconds: float) -> Iterator[TrainingStep]:
        """Train the rest of the epoch; the last step carries its result."""
        state = self._state
        saved = self._clock = time.perf_counter()
        for portion in self._corpus.portions(state.next_chunk):
            self._queue(portion)
            if len(self._queued) > PORTIONS_AHEAD:
                self._commit()
                yield TrainingStep(state, self._tokens_done, resumable=False)
            if time.perf_counter() - saved >= resumable_every_seconds and portion.next_chunk < self._source.chunk_count:
                self.settle()
                yield TrainingStep(state, self._tokens_done, resumable=True)
                saved = self._clock = time.perf_counter()
        self.settle()
        result = finish_epoch(state, self._source, self._config)
        yield TrainingStep(state, state.epoch * self._source.token_count, resumable=True, epoch_result=result)

    def settle(self) -> None:
        """Wait for all queued work, count it, and copy the vectors back. Raises DivergenceError."""
        while self._queued:
            self._commit()
        self._model.read_into(self._state)
        check_vectors(self._state.center_vectors, self._state, self._config)

    def _queue(self, portion: Portion) -> None:
        result = self._model.train(portion, self._state.epoch)
        if self._device.type == "cpu":
            self._queued.append(_Queued(portion, result, None))
            return
        received = torch.empty(result.shape, dtype=result.dtype, pin_memory=True)
        received.copy_(result, non_blocking=True)
        done = torch.cuda.Event()  # type: ignore[no-untyped-call]
        done.record()
        self._queued.append(_Queued(portion, received, done))

    def _commit(self) -> None:
        """Wait for the oldest queued portion and count it."""
        queued = self._queued[0]
        if queued.done is not None:
            queued.done.synchronize()
        self._queued.popleft()
        loss_sum, pairs = float(queued.result[0]), int(np.nan_to_num(float(queued.result[1])))
        check_loss(loss_sum, pairs, self._state, self._config)
        now = time.perf_counter()
        self._state.seconds += now - self._clock
        self._clock = now
        self._state.next_chunk = queued.portion.next_chunk
        self._state.loss_sum += loss_sum
        self._state.pairs += pairs
        done = queued.portion.start + len(queued.portion.tokens)
        self._tokens_done = self._state.epoch * self._source.token_count + done

    def _compile(self) -> None:
        """Compile, or load from the cache, before the clock starts: a sentence of one word changes nothing."""
        self._model.train(Portion(torch.full((1,), -1, dtype=torch.int32, device=self._device), 0, 0, 0), 0)
        self._model.read_into(self._state)


def _memory_plan(words: int, config: SkipGramConfig, device: torch.device) -> tuple[int, int]:
    """(tokens of a portion, bytes for resident portions). Raises MemoryError if the GPU has too little left."""
    if device.type == "cpu":
        return LEAST_PORTION_TOKENS, 1 << 30
    obstacle = memory_obstacle(words, config.dimension, now=True)
    if obstacle:
        raise MemoryError(
            f"{obstacle}; set training.backend numba, or a lower training.dimension or vocabulary.max_size"
        )
    # The minimum already includes a small portion.
    room = torch.cuda.mem_get_info(device)[0] - needed_bytes(words, config.dimension)
    token_bytes = tile_shape(config, words).token_bytes
    portion_tokens = min(PORTION_TOKENS, LEAST_PORTION_TOKENS + room // 2 // token_bytes)
    return portion_tokens, max(0, room - portion_tokens * token_bytes)
