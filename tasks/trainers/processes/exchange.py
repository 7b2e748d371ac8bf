"""What ranks exchange and when: changes of frequent rows often, of rare rows seldom, of all rows after each epoch.

Every rank trains its own copy of both tables and remembers the values that all ranks have in common. An exchange adds
up over the ranks what each has changed since then, and adds the combined change to the common values.
Source of the scheme: Ji et al. 2016 (arXiv 1611.06172), which averages; `damping` explains how changes combine here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.trainers.config import SharedWindowConfig
from tasks.trainers.interface import Vocabulary
from tasks.trainers.processes.damping import Pull, agreed, damped, pull_of
from tasks.trainers.processes.shares import Piece

# All ranks together use a row about so often before it is exchanged, if it is not used more often in one slice.
USES_BETWEEN_EXCHANGES = 400.0
# Rows of one message: bounds the memory of an exchange of whole tables, 40 MB at 300 dimensions.
BLOCK_ROWS = 1 << 14
# The pull on the rows changes fast at first, while the tables grow from nearly zero.
FIRST_SLICES = 64
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
    radius = (1 + config.window_radius) / 2 if config.reduced_windows else config.window_radius
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
        self.values = 0

    def saw(self, pieces: Sequence[Piece]) -> None:
        """Nothing to do: how often ranks use a row is planned from its frequency."""

    def after_slice(self, slices: int, learning_rate: float) -> None:
        """Exchange the rows whose turn it is after this many slices of the epoch, from 1."""
        self._slices += 1
        if self._slices <= FIRST_SLICES or self._slices % SLICES_PER_PULL == 0:
            self._renew_pulls()
        self._apply(self._schedule.rows_after(slices), learning_rate)

    def all_rows(self, learning_rate: float) -> None:
        """Exchange everything; afterwards the tables of all ranks are equal."""
        self._apply(len(self._tables[0]), learning_rate)

    def merged(self, learning_rate: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Copies of the tables as an exchange of everything would leave them; training goes on without it.

        Only rank 0 keeps them; the others return empty tables.
        """
        words, dimension = self._tables[0].shape
        kept = words if self._group.rank == 0 else 0
        copies = tuple(np.empty((kept, dimension), np.float32) for _ in range(2))
        for first in range(0, words, BLOCK_ROWS):
            rows = slice(first, min(words, first + BLOCK_ROWS))
            for common, change, copy in zip(self._common, self._combined(rows, learning_rate), copies, strict=True):
                if kept:
                    copy[rows] = (common[rows] + change).cpu().numpy()
        return copies[0], copies[1]

    def _apply(self, count: int, learning_rate: float) -> None:
        for first in range(0, count, BLOCK_ROWS):
            rows = slice(first, min(count, first + BLOCK_ROWS))
            changes = self._combined(rows, learning_rate)
            for common, change, table in zip(self._common, changes, self._tables, strict=True):
                common[rows] += change
                table[rows] = common[rows]
            self._exchanged_at[rows] = self._slices

    def _combined(self, rows: slice, learning_rate: float) -> list[torch.Tensor]:
        """The changes of all ranks to these rows of both tables, combined."""
        slices = (self._slices - self._exchanged_at[rows]).float()
        dimension, size = self._tables[0].shape[1], self._group.size
        message = torch.empty((2, len(slices), dimension + 1), device=slices.device)
        for side, (table, common, meetings, pull) in enumerate(
            zip(self._tables, self._common, self._meetings, self._pulls, strict=True)
        ):
            change = damped(table[rows] - common[rows], meetings[rows] * slices, pull, learning_rate, size)
            message[side, :, :dimension] = change
            torch.sum(change * change, dim=1, out=message[side, :, dimension])
        self._group.add_up(message)
        self.values += message.numel()
        return [agreed(side[:, :dimension], side[:, dimension], size) for side in message]

    def _renew_pulls(self) -> None:
        """Measure on rank 0 how each table pulls on the rows of the other."""
        (centers, contexts), (as_center, as_context) = self._tables, self._meetings
        self._pulls = (pull_of(contexts, as_context), pull_of(centers, as_center))
        for pull in self._pulls:
            self._group.share(pull.strengths)
            self._group.share(pull.directions)
