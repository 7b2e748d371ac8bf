"""The GPU of one rank: the Triton kernels on a slice at a time, and tables on the device for exchanges by nccl."""

from collections.abc import Sequence

import numpy as np
import torch

from tasks.trainers.bookkeeping import check_chunk
from tasks.trainers.config import SharedWindowConfig, SkipGramConfig
from tasks.trainers.gpu.corpus import Portion, joined_tokens
from tasks.trainers.gpu.kernels import INTERPRETED
from tasks.trainers.gpu.model import GpuModel
from tasks.trainers.interface import TrainingState, Vocabulary
from tasks.trainers.processes.shares import Piece, SteppedSource


class GpuTrainer:
    """Trains pieces on the current GPU, or in Triton's interpreter. tables: (V, D) float32 on its device."""

    def __init__(
        self, source: SteppedSource, vocabulary: Vocabulary, config: SharedWindowConfig, state: TrainingState
    ) -> None:
        if not isinstance(config, SkipGramConfig):
            raise ValueError(f"the triton backend trains skip_gram, not {config.model}; set training.backend numba")
        self._device = torch.device("cpu") if INTERPRETED.value else torch.device("cuda", torch.cuda.current_device())
        self._words = len(vocabulary)
        self._model = GpuModel(vocabulary, config, state, source.token_count, self._device)
        self.tables = self._model.tables
        # Compiled, or loaded from the cache, before the clock starts: a sentence of one word changes nothing.
        self._model.train(Portion(torch.full((1,), -1, dtype=torch.int32, device=self._device), 0, 0, 0), 0)

    def train(self, pieces: Sequence[Piece], epoch: int) -> tuple[float, int]:
        """Train pieces; returns (loss summed over all pairs, pairs)."""
        total_loss, total_pairs = 0.0, 0
        for piece in pieces:
            check_chunk(piece.tokens, self._words)
            portion = Portion(joined_tokens([piece.tokens]).to(self._device), piece.tokens.start, 0, 0)
            loss_sum, pairs = self._model.train(portion, epoch).tolist()
            total_loss, total_pairs = total_loss + loss_sum, total_pairs + int(np.nan_to_num(pairs))
        return total_loss, total_pairs

    def read_into(self, state: TrainingState) -> None:
        """Copy the vectors into the state."""
        self._model.read_into(state)
