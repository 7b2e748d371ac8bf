"""The training of one rank: train while changes travel, and stop or save only where all ranks are at one point."""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from enum import IntEnum
from typing import Protocol

import torch

from tasks.trainers.bookkeeping import (
    begin_training,
    check_loss,
    check_vectors,
    finish_epoch,
    learning_rate_at,
)
from tasks.trainers.config import SharedWindowConfig
from tasks.trainers.cpu.trainer import ChunkResult, chunk_trainer
from tasks.trainers.interface import TrainingState, TrainingStep, Vocabulary
from tasks.trainers.processes.exchange import Exchange, Group, plan_exchanges
from tasks.trainers.processes.merging import TableMerging
from tasks.trainers.processes.shares import Piece, SteppedSource, read_rounds, slices_of_chunk


class Wish(IntEnum):
    """What rank 0 wants at the end of a round. All ranks follow it one round later. Of two wishes the larger holds."""

    GO_ON = 0
    SAVE = 1
    STOP = 2


def always_go_on() -> Wish:
    """Train to the end without saving."""
    return Wish.GO_ON


class RankTrainer(Protocol):
    """Trains pieces on the device of one rank. tables: (V, D) float32, changed by training and by exchanges."""

    tables: tuple[torch.Tensor, torch.Tensor]

    def train(self, pieces: Sequence[Piece], epoch: int) -> ChunkResult:
        """Train pieces; returns (loss summed over all pairs, pairs)."""

    def read_into(self, state: TrainingState) -> None:
        """Make the state hold the values of the tables."""


class CpuTrainer:
    """The CPU kernel on the threads of this rank; the state and the tables share their memory."""

    def __init__(
        self, source: SteppedSource, vocabulary: Vocabulary, config: SharedWindowConfig, state: TrainingState
    ) -> None:
        self._train = chunk_trainer(source, vocabulary, config, state)
        self.tables = (torch.from_numpy(state.center_vectors), torch.from_numpy(state.context_vectors))
        self._pool = ThreadPoolExecutor(config.workers or 1, thread_name_prefix="rank")

    def train(self, pieces: Sequence[Piece], epoch: int) -> ChunkResult:
        """Train pieces at once; returns (loss summed over all pairs, pairs)."""
        results = list(self._pool.map(lambda piece: self._train(piece.tokens, epoch, piece.number), pieces))
        return sum(loss for loss, _ in results), sum(pairs for _, pairs in results)

    def read_into(self, state: TrainingState) -> None:
        """Nothing to do: the state is trained in place."""


class ShareTraining:
    """The training of one rank.

    state: where an earlier run stopped, of rank 0; None: random.  Its tables and position are shared with all ranks.
    wish: asked on rank 0 after every round; what it wants happens at the end of the next one.
    exchange_seconds: time spent in exchanges, waiting for slower ranks included.
    """

    def __init__(
        self,
        source: SteppedSource,
        vocabulary: Vocabulary,
        config: SharedWindowConfig,
        group: Group,
        state: TrainingState | None = None,
        wish: Callable[[], Wish] = always_go_on,
    ) -> None:
        self._source, self._config, self._group, self._wish = source, config, group, wish
        self._state = begin_training(source, vocabulary, config, state)
        self._share_position()
        # A GPU trains a chunk faster than a core trains a slice.
        self._threads = 1 if config.backend == "triton" else config.workers or 1
        self._slices = 1 if config.backend == "triton" else slices_of_chunk(source, group.size, self._threads)
        self._trainer = _rank_trainer(source, vocabulary, config, self._state)
        self._exchange: Exchange | TableMerging
        if config.process_exchange == "tables":
            self._exchange = TableMerging(self._trainer.tables, group, vocabulary, config)
        else:
            slice_tokens = source.token_count / source.chunk_count / self._slices
            schedule = plan_exchanges(vocabulary, config, slice_tokens, group.size)
            self._exchange = Exchange(self._trainer.tables, group, schedule)
        self._totals: tuple[torch.Tensor, Callable[[], None]] | None = None
        self.exchange_seconds = 0.0

    @property
    def values_exchanged(self) -> int:
        """Numbers that this rank has added up with the others."""
        return self._exchange.values

    @property
    def tokens_done(self) -> int:
        """Encoded tokens that all ranks have trained, in all epochs."""
        state, source = self._state, self._source
        return round((state.epoch + state.next_chunk / source.chunk_count) * source.token_count)

    def steps(self) -> Iterator[TrainingStep]:
        """Train, yielding the same steps on all ranks: after every round, and where the training can be resumed.

        The state of a resumable step is complete on rank 0 only. Ends early if rank 0 wishes it, after such a step.
        Raises DivergenceError on all ranks at once.
        """
        while self._state.epoch < self._config.epochs:
            if (yield from self._train_epoch()) is Wish.STOP:
                return

    def _train_epoch(self) -> Generator[TrainingStep, None, Wish]:
        """The rest of the epoch; returns the last wish."""
        state, source, slices, wish = self._state, self._source, 0, Wish.GO_ON
        started = time.perf_counter()
        place = (state.next_chunk, self._group.rank, self._group.size)
        for turn in read_rounds(source, *place, self._slices, self._threads):
            loss_sum, pairs = 0.0, 0
            for pieces in turn.slices:
                loss, count = self._trainer.train(pieces, state.epoch)
                loss_sum, pairs, slices = loss_sum + loss, pairs + count, slices + 1
                with self._timed():
                    self._exchange.saw(pieces)
                    self._exchange.after_slice(slices, self._learning_rate())
            # Of the round before, so that no rank waits for the slowest.
            wish = self._receive_totals()
            self._send_totals(loss_sum, pairs)
            state.next_chunk += turn.chunks
            last = state.next_chunk == source.chunk_count
            if last or wish is not Wish.GO_ON:
                wish = max(wish, self._receive_totals())
            now = time.perf_counter()
            state.seconds, started = state.seconds + now - started, now
            if last:
                break
            yield TrainingStep(state, self.tokens_done, resumable=False)
            if wish is not Wish.GO_ON:
                yield TrainingStep(self._merged_state(), self.tokens_done, resumable=True)
            if wish is Wish.STOP:
                return wish
        with self._timed():
            self._exchange.all_rows(self._learning_rate())
        self._trainer.read_into(state)
        check_vectors(state.center_vectors, state, self._config)
        state.seconds += time.perf_counter() - started
        result = finish_epoch(state, source, self._config)
        yield TrainingStep(state, self.tokens_done, resumable=True, epoch_result=result)
        return wish

    def _send_totals(self, loss_sum: float, pairs: int) -> None:
        """Start to add up what all ranks have trained in a round, and send what rank 0 wants."""
        wish = self._wish() if self._group.rank == 0 else Wish.GO_ON
        totals = torch.tensor([loss_sum, pairs, wish], dtype=torch.float64, device=self._trainer.tables[0].device)
        self._totals = (totals, self._group.start_adding(totals))

    def _receive_totals(self) -> Wish:
        """Count the last totals that were sent, if any. Returns what rank 0 wanted then."""
        if self._totals is None:
            return Wish.GO_ON
        totals, wait = self._totals
        self._totals = None
        with self._timed():
            wait()
        loss_sum, pairs, wish = totals.tolist()
        check_loss(loss_sum, int(pairs), self._state, self._config)
        self._state.loss_sum += loss_sum
        self._state.pairs += int(pairs)
        return Wish(int(wish))

    def _merged_state(self) -> TrainingState:
        """What all ranks together have trained; training continues unaffected."""
        centers, contexts = self._exchange.merged(self._learning_rate())
        return replace(self._state, center_vectors=centers, context_vectors=contexts)

    def _learning_rate(self) -> float:
        """The rate that changes are damped for: skip-gram's, also in its epochs of CBOW.

        Their rate is 8 times as high, and the inputs of a window, 6 to 11 with the default radius, share each step.
        """
        progress = self.tokens_done / self._source.token_count / self._config.epochs
        return learning_rate_at(progress, self._config, 0)

    def _share_position(self) -> None:
        state = self._state
        position = torch.tensor([state.epoch, state.next_chunk, state.loss_sum, state.pairs], dtype=torch.float64)
        self._group.share(position)
        epoch, next_chunk, loss_sum, pairs = position.tolist()
        state.epoch, state.next_chunk, state.loss_sum, state.pairs = int(epoch), int(next_chunk), loss_sum, int(pairs)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.exchange_seconds += time.perf_counter() - started


def _rank_trainer(
    source: SteppedSource, vocabulary: Vocabulary, config: SharedWindowConfig, state: TrainingState
) -> RankTrainer:
    if config.backend != "triton":
        return CpuTrainer(source, vocabulary, config, state)
    # Deferred: imports Triton.
    from tasks.trainers.processes.gpu import GpuTrainer

    return GpuTrainer(source, vocabulary, config, state)
