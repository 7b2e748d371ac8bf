"""Ranks that train without seeing each other, and whole tables that are merged at the end of each epoch.

The product of a center and a context vector says what was learned, so each rank's two tables may have turned together.
Each rank turns its own back onto those of rank 0 (orthogonal Procrustes, Schönemann 1966), and each row becomes the
mean over the ranks, weighted by how often each has trained it: what a rank has not seen does not dilute the others.
Source: Anand et al. 2019, "Asynchronous training of word embeddings for large text corpora", whose consensus is
iterated; here all ranks start an epoch with the same tables, and one turn suffices.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.trainers.config import SharedWindowConfig
from tasks.trainers.interface import Vocabulary
from tasks.trainers.processes.exchange import BLOCK_ROWS, Group, share_tables
from tasks.trainers.processes.shares import Piece

# Most frequent rows by which a rank finds out how its tables have turned.
ANCHOR_ROWS = BLOCK_ROWS
# Of a row that no rank has used: all ranks count alike.
LEAST_USE = 1e-6


class TableMerging:
    """The tables of one rank, and how often it has used each row since they were the same on all ranks.

    tables: (V, D) float32 center and context vectors, trained in place; replaced by those of rank 0.
    values: numbers that this rank has added up with the others so far.
    """

    def __init__(
        self,
        tables: tuple[torch.Tensor, torch.Tensor],
        group: Group,
        vocabulary: Vocabulary,
        config: SharedWindowConfig,
    ) -> None:
        self._tables, self._group = tables, group
        share_tables(tables, group)
        device = tables[0].device
        self._noise = torch.from_numpy(config.negatives_per_pair * vocabulary.noise_probability).float().to(device)
        self._uses = torch.zeros(len(tables[0]), device=device)
        self.values = 0

    def saw(self, pieces: Sequence[Piece]) -> None:
        """Count the words of pieces that this rank has trained."""
        for piece in pieces:
            ids = torch.from_numpy(np.ascontiguousarray(piece.tokens.token_ids)).long().to(self._uses.device)
            self._uses.index_add_(0, ids, torch.ones(len(ids), device=self._uses.device))

    def after_slice(self, slices: int, learning_rate: float) -> None:
        """Nothing to do: ranks meet at the end of an epoch."""

    def all_rows(self, learning_rate: float) -> None:  # as an exchange of rows has it
        """Merge everything; afterwards the tables of all ranks are equal."""
        for rows, merged in self._blocks():
            for table, block in zip(self._tables, merged, strict=True):
                table[rows] = block
        self._uses.zero_()

    def merged(self, learning_rate: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Copies of the tables as a merge would leave them; training continues without it.

        Only rank 0 keeps them; the others return empty tables.
        """
        words, dimension = self._tables[0].shape
        kept = words if self._group.rank == 0 else 0
        copies = tuple(np.empty((kept, dimension), np.float32) for _ in range(2))
        for rows, merged in self._blocks():
            for copy, block in zip(copies, merged, strict=True):
                if kept:
                    copy[rows] = block.cpu().numpy()
        return copies[0], copies[1]

    def _blocks(self) -> Iterator[tuple[slice, list[torch.Tensor]]]:
        """Rows, and the means of both tables over the ranks."""
        turn = self._turn()
        words, dimension = self._tables[0].shape
        trained = float(self._uses.sum())
        for first in range(0, words, BLOCK_ROWS):
            rows = slice(first, min(words, first + BLOCK_ROWS))
            as_center = self._uses[rows]
            weights = (as_center + LEAST_USE, as_center + trained * self._noise[rows] + LEAST_USE)
            message = torch.empty((2, rows.stop - first, dimension + 1), device=turn.device)
            for side, (table, weight) in enumerate(zip(self._tables, weights, strict=True)):
                message[side, :, :dimension] = (table[rows] @ turn) * weight[:, None]
                message[side, :, dimension] = weight
            self._group.add_up(message)
            self.values += message.numel()
            yield rows, [side[:, :dimension] / side[:, dimension:] for side in message]

    def _turn(self) -> torch.Tensor:
        """(D, D) rotation of this rank's tables onto those of rank 0."""
        moments = torch.zeros((self._tables[0].shape[1],) * 2, device=self._tables[0].device)
        for table in self._tables:
            own = table[:ANCHOR_ROWS].contiguous()
            target = own.clone()
            self._group.share(target)
            moments += own.T @ target
        if self._group.rank == 0:
            return torch.eye(len(moments), device=moments.device)
        # A divergence is found by its loss, at the end of the round; until then the numbers need only be numbers.
        left, _, right = torch.linalg.svd(moments.nan_to_num(0.0, 0.0, 0.0))
        turn: torch.Tensor = left @ right
        return turn
