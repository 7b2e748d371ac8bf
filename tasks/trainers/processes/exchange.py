"""What ranks exchange and when: changes of frequent rows often, of rare rows seldom, of all rows after each epoch.

Every rank trains its own copy of both tables and remembers the values that all ranks have in common. An exchange adds
up over the ranks what each has changed since then, and adds the combined change to the common values. Changes travel
while the rank trains its next slice and arrive at its end, so that no rank waits for the network, or for one that is a
little slower. What arrives when is counted in slices, not in seconds, and so the same in every run.
Source of the scheme: Ji et al. 2016 (arXiv 1611.06172), which averages; `damping` explains how changes combine here.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.trainers.config import SharedWindowConfig
from tasks.trainers.interface import Vocabulary
from tasks.trainers.processes.damping import RANKS_THAT_NEED_AGREEMENT, Pull, agreed, damped, pull_of
from tasks.trainers.processes.shares import Piece

# All ranks together use a row about so often before it is exchanged, if it is not used more often in one slice.
USES_BETWEEN_EXCHANGES = 400.0
# Rows of one message: bounds the memory of an exchange of whole tables, 40 MB at 300 dimensions.
BLOCK_ROWS = 1 << 14
# The changes of other ranks arrive a slice after they were sent, so that the ranks differ by a slice more.
SLICES_ON_THE_WAY = 1
# Blocks on their way at once: bounds the memory of large tables.
MOST_SENT = 4
# The pull on the rows changes fast at first, while the tables grow from nearly zero.
FIRST_SLICES = 16
SLICES_PER_PULL = 16


class Group(Protocol):
    """The ranks that train together."""

    @property
    def rank(self) -> int:
        """Number of this rank, from 0."""

    @property
    def size(self) -> int:
        """Number of ranks."""

    def add_up(self, values: torch.Tensor) -> None:
        """Replace the values by their sum over all ranks, the same bits on each."""

    def start_adding(self, values: torch.Tensor) -> Callable[[], None]:
        """Start replacing the values by their sum. Returns a function that waits for it and may be called twice."""

    def share(self, values: torch.Tensor) -> None:
        """Replace the values by those of rank 0."""


@dataclass(frozen=True)
class Schedule:
    """How many rows are exchanged after each slice, and how often a rank uses them.

    rows[k]: first rows of both tables that are exchanged every 2**k slices.
    meetings: for each table (V,) float32, rows of the other table that a row meets on one rank in one slice.
    """

    rows: tuple[int, ...]
    meetings: tuple[NDArray[np.float32], NDArray[np.float32]]

    def rows_after(self, slices: int) -> int:
        """Rows to exchange after this many slices of the epoch, from 1."""
        doublings = (slices & -slices).bit_length() - 1
        return self.rows[min(doublings, len(self.rows) - 1)]


def plan_exchanges(
    vocabulary: Vocabulary,
    config: SharedWindowConfig,
    slice_tokens: float,
    ranks: int,
    uses: float = USES_BETWEEN_EXCHANGES,
) -> Schedule:
    """Exchange each row before all ranks together have used it more than `uses` times, but at most after each slice.

    slice_tokens: tokens of the corpus that each rank trains in a slice.
    """
    kept = vocabulary.counts * vocabulary.keep_probability
    windows = slice_tokens * kept.sum() / vocabulary.counts.sum()
    share = kept / kept.sum()
    largest = config.largest_window_radius
    radius = (1 + largest) / 2 if config.reduced_windows else largest
    inputs, outputs = 2 * radius, 1 + config.negatives_per_pair
    as_input = windows * inputs * share
    as_output = windows * (share + config.negatives_per_pair * vocabulary.noise_probability)
    # Words are sorted by count, and with it by use. The running maximum only removes rounding errors.
    most = np.maximum.accumulate(np.maximum(as_input, as_output)[::-1])[::-1]
    slices = uses / (ranks * most)
    rows = [max(1, int(np.searchsorted(slices, 2.0)))]
    while rows[-1] < len(vocabulary):
        rows.append(int(np.searchsorted(slices, 2.0 ** (len(rows) + 1))))
    # In CBOW the inputs of a window act as one, their mean.
    met_by_output = 1 if config.model == "cbow" else inputs
    meetings = (as_input * outputs, as_output * met_by_output)
    return Schedule(tuple(rows), (meetings[0].astype(np.float32), meetings[1].astype(np.float32)))


def share_tables(tables: tuple[torch.Tensor, torch.Tensor], group: Group) -> None:
    """Replace the tables of all ranks by those of rank 0."""
    for table in tables:
        for first in range(0, len(table), BLOCK_ROWS):
            block = table[first : first + BLOCK_ROWS].contiguous()
            group.share(block)
            table[first : first + BLOCK_ROWS] = block


@dataclass(frozen=True)
class Sent:
    """Changes of some rows of both tables on their way.

    sums: (2, N, D or D + 1), the damped changes and then their sum over all ranks; a last column has squared lengths.
    tables: (N, D) of each table, the rows when they were sent.  wait: returns when the sums are there.
    """

    rows: slice
    sums: torch.Tensor
    tables: Sequence[torch.Tensor]
    wait: Callable[[], None]


class Exchange:
    """The tables of one rank, and what all ranks have in common.

    tables: (V, D) float32 center and context vectors, trained in place; replaced by those of rank 0.
    values: numbers that this rank has added up with the others so far.
    """

    def __init__(self, tables: tuple[torch.Tensor, torch.Tensor], group: Group, schedule: Schedule) -> None:
        self._tables, self._group, self._schedule = tables, group, schedule
        share_tables(tables, group)
        self._common = tuple(table.clone(memory_format=torch.contiguous_format) for table in tables)
        device = tables[0].device
        self._meetings = tuple(torch.from_numpy(meetings).to(device) for meetings in schedule.meetings)
        self._exchanged_at = torch.zeros(len(tables[0]), dtype=torch.int32, device=device)
        self._slices = 0
        self._pulls: tuple[Pull, ...] = ()
        self._sent: deque[Sent] = deque()
        self.values = 0

    def saw(self, pieces: Sequence[Piece]) -> None:
        """Nothing to do: how often ranks use a row is planned from its frequency."""

    def after_slice(self, slices: int, learning_rate: float) -> None:
        """Receive what was sent after the last slice, and send the rows whose turn it is. slices: of the epoch."""
        self._receive_all()
        self._slices += 1
        if self._slices <= FIRST_SLICES or self._slices % SLICES_PER_PULL == 0:
            self._renew_pulls()
        self._send(self._schedule.rows_after(slices), learning_rate)

    def all_rows(self, learning_rate: float) -> None:
        """Exchange everything; afterwards the tables of all ranks are equal."""
        self._receive_all()
        self._send(len(self._tables[0]), learning_rate)
        self._receive_all()

    def merged(self, learning_rate: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Copies of the tables as an exchange of everything would leave them; training continues without it.

        Only rank 0 keeps them; the others return empty tables.
        """
        words, dimension = self._tables[0].shape
        kept = words if self._group.rank == 0 else 0
        copies = np.empty((2, kept, dimension), np.float32)
        on_their_way = {sent.rows.start: sent for sent in self._sent}
        for rows in _blocks(words):
            common = [values[rows].clone() for values in self._common]
            counted_from = common
            if sent := on_their_way.get(rows.start):
                sent.wait()
                counted_from = [values.clone() for values in common]
                for side, change in enumerate(self._combined(sent.sums)):
                    common[side][: len(change)] += change
                    counted_from[side][: len(change)] = sent.tables[side]
            tables = [table[rows] for table in self._tables]
            sums = self._changes(rows, tables, counted_from, learning_rate)
            self._group.start_adding(sums)()
            for copy, values, change in zip(copies, common, self._combined(sums), strict=True):
                if kept:
                    copy[rows] = (values + change).cpu().numpy()
        return copies[0], copies[1]

    def _send(self, count: int, learning_rate: float) -> None:
        for rows in _blocks(count):
            if len(self._sent) == MOST_SENT:
                self._receive()
            tables = [table[rows].clone(memory_format=torch.contiguous_format) for table in self._tables]
            sums = self._changes(rows, tables, [values[rows] for values in self._common], learning_rate)
            self._sent.append(Sent(rows, sums, tables, self._group.start_adding(sums)))
            self._exchanged_at[rows] = self._slices

    def _receive_all(self) -> None:
        while self._sent:
            self._receive()

    def _receive(self) -> None:
        """Wait for the oldest changes. What this rank has trained since it sent its own stays on top of them."""
        sent = self._sent.popleft()
        sent.wait()
        for values, table, before, change in zip(
            self._common, self._tables, sent.tables, self._combined(sent.sums), strict=True
        ):
            common = values[sent.rows].add_(change)
            # In this order: an untrained row becomes the common one, bit by bit.
            torch.add(common, table[sent.rows] - before, out=table[sent.rows])

    def _changes(
        self, rows: slice, tables: Sequence[torch.Tensor], counted_from: Sequence[torch.Tensor], learning_rate: float
    ) -> torch.Tensor:
        """What this rank has changed in some rows of both tables, as it is added up. (2, N, D or D + 1)."""
        slices = (self._slices - self._exchanged_at[rows]).float() + SLICES_ON_THE_WAY
        dimension, size = self._tables[0].shape[1], self._group.size
        column = size >= RANKS_THAT_NEED_AGREEMENT
        sums = torch.empty((2, len(slices), dimension + column), device=slices.device)
        for side, (table, before, meetings, pull) in enumerate(
            zip(tables, counted_from, self._meetings, self._pulls, strict=True)
        ):
            change = damped(table - before, meetings[rows] * slices, pull, learning_rate, size)
            sums[side, :, :dimension] = change
            if column:
                torch.sum(change * change, dim=1, out=sums[side, :, dimension])
        self.values += sums.numel()
        return sums

    def _combined(self, sums: torch.Tensor) -> list[torch.Tensor]:
        """The changes of all ranks to some rows of both tables."""
        dimension, size = self._tables[0].shape[1], self._group.size
        if size < RANKS_THAT_NEED_AGREEMENT:
            return list(sums)
        return [agreed(side[:, :dimension], side[:, dimension], size) for side in sums]

    def _renew_pulls(self) -> None:
        """Measure how each table pulls on the rows of the other, from what all ranks have in common."""
        (centers, contexts), (as_center, as_context) = self._common, self._meetings
        self._pulls = (pull_of(contexts, as_context), pull_of(centers, as_center))


def _blocks(count: int) -> Iterator[slice]:
    for first in range(0, count, BLOCK_ROWS):
        yield slice(first, min(count, first + BLOCK_ROWS))
