"""The two matrices on the GPU, and the training of one portion of the corpus."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.trainers.bookkeeping import first_learning_rate, learning_rate_at
from tasks.trainers.config import SkipGramConfig
from tasks.trainers.gpu import kernels
from tasks.trainers.gpu.corpus import Portion
from tasks.trainers.gpu.tile_shape import TILE_CENTERS, tile_shape
from tasks.trainers.interface import TrainingState, Vocabulary
from tasks.trainers.sampling import alias_table, keep_probabilities, probability_thresholds

# Elements that one program of the small kernels handles.
BLOCK = 1024
WARPS = 4


def draw_key(seed: int, epoch: int) -> int:
    """Key of all random draws of one epoch: 63 bits."""
    return int(np.random.SeedSequence((seed, epoch)).generate_state(1, np.uint64)[0] >> np.uint64(1))


@dataclass(frozen=True)
class Draws:
    """The draws for a portion of N tokens; only the first `count` survivors and their tiles are valid.

    words, sentences, positions, radii: (N,) int32.  outputs: (tiles, slots) int32.  count: (1,) int32.
    """

    words: torch.Tensor
    sentences: torch.Tensor
    positions: torch.Tensor
    radii: torch.Tensor
    outputs: torch.Tensor
    count: torch.Tensor


class GpuModel:
    """Both matrices on a device, with everything needed to train them.

    epochs_tokens: tokens of the corpus times epochs, over which the learning rate decays.
    exact: multiply in float32 rather than in bfloat16; slower, for tests.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        config: SkipGramConfig,
        state: TrainingState,
        token_count: int,
        device: torch.device,
        exact: bool = False,
    ) -> None:
        self.shape = tile_shape(config, len(vocabulary))
        self._config, self._token_count, self._device, self._exact = config, token_count, device, exact
        self._words = len(vocabulary)
        chances, aliases = alias_table(vocabulary.noise_probability)
        # In the early epochs and in the later ones.
        self._keep_thresholds = [
            self._upload(probability_thresholds(kept).view(np.int32)) for kept in keep_probabilities(vocabulary, config)
        ]
        self._noise_thresholds = self._upload(probability_thresholds(chances).view(np.int32))
        self._noise_aliases = self._upload(aliases)
        self._centers, self._contexts = self._table(state.center_vectors), self._table(state.context_vectors)
        # A GPU copies at full speed only to page-locked memory.
        pinned = device.type == "cuda"
        self._copies = [torch.empty(table.shape, pin_memory=pinned) for table in (self._centers, self._contexts)]

    @property
    def tables(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(V, D) center and context vectors on the device, changed by training."""
        return self._centers[:, : self._config.dimension], self._contexts[:, : self._config.dimension]

    def draw(self, portion: Portion, epoch: int) -> Draws:
        """Subsample a portion and draw windows and noise for the surviving tokens."""
        tokens, shape = portion.tokens, self.shape
        size = len(tokens)
        key = draw_key(self._config.seed, epoch)
        blocks = (-(-size // BLOCK),)
        kept = self._empty(size, torch.int8)
        thresholds = self._keep_thresholds[epoch >= self._config.early_epochs]
        kernels.mark_kept[blocks](tokens, thresholds, kept, size, portion.start, key, block=BLOCK)
        places = torch.cumsum(kept, 0, dtype=torch.int32)
        sentences = torch.cumsum(tokens < 0, 0, dtype=torch.int32)
        words, own_sentences, positions, radii = (self._empty(size, torch.int32) for _ in range(4))
        radius = self._config.window_radius_in(epoch)
        least = 1 if self._config.reduced_windows else radius
        kernels.gather_kept[blocks](
            tokens, kept, places, sentences, words, own_sentences, positions, radii,
            size, portion.start, key, least, radius - least + 1, block=BLOCK,
        )  # fmt: skip
        count = places[-1:]
        tiles = -(-size // TILE_CENTERS)
        outputs = self._empty(tiles * shape.slots, torch.int32)
        kernels.draw_outputs[(-(-tiles * shape.slots // BLOCK),)](
            words, positions, count, self._noise_thresholds, self._noise_aliases, outputs,
            portion.start, key, self._words, slots=shape.slots, block=BLOCK,
        )  # fmt: skip
        return Draws(words, own_sentences, positions, radii, outputs.view(tiles, shape.slots), count)

    def train(self, portion: Portion, epoch: int, draws: Draws | None = None) -> torch.Tensor:
        """Train a portion. Returns (2,) float64 on the device: loss summed over all pairs, and positive pairs.

        Queues the work without waiting for it.
        """
        draws = draws or self.draw(portion, epoch)
        shape, config = self.shape, self._config
        step = 1.0 / (config.epochs * self._token_count)
        losses, pairs = self._empty(shape.programs, torch.float32), self._empty(shape.programs, torch.int32)
        kernels.train_tiles[(shape.programs,)](
            self._centers, self._contexts, draws.words, draws.sentences, draws.positions, draws.radii, draws.outputs,
            draws.count, losses, pairs, shape.noise_share,
            first_learning_rate(config), learning_rate_at(1.0, config, epoch),
            (epoch * self._token_count + portion.start) * step, step,
            stride=shape.stride, columns=shape.columns, column_blocks=shape.column_blocks,
            largest_radius=shape.largest_radius, block_inputs=shape.block_inputs, input_blocks=shape.input_blocks,
            output_blocks=shape.output_blocks, exact=self._exact, num_warps=WARPS, num_stages=1,
        )  # fmt: skip
        return torch.stack([losses.double().sum(), pairs.double().sum()])

    def read_into(self, state: TrainingState) -> None:
        """Wait for all queued work, and copy the vectors into the state."""
        for copy, table in zip(self._copies, (self._centers, self._contexts), strict=True):
            copy.copy_(table, non_blocking=True)
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        state.center_vectors, state.context_vectors = (
            copy.numpy()[:, : self._config.dimension] for copy in self._copies
        )

    def _table(self, vectors: NDArray[np.float32]) -> torch.Tensor:
        """(V, stride) on the device; the added columns are zero and stay so."""
        table = torch.zeros((len(vectors), self.shape.stride), device=self._device)
        table[:, : vectors.shape[1]] = self._upload(vectors)
        return table

    def _upload(self, values: NDArray[Any]) -> torch.Tensor:
        return torch.tensor(values, device=self._device)

    def _empty(self, size: int, kind: torch.dtype) -> torch.Tensor:
        return torch.empty(size, dtype=kind, device=self._device)
