"""What a tile of the GPU trainer is to compute, in NumPy and float64, one tile after the other."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, log_expit

Floats = NDArray[np.float64]
Integers = NDArray[np.int32]


@dataclass(frozen=True)
class DrawnTokens:
    """Surviving tokens with what was drawn for them: all (N,) int32 but outputs, (tiles, slots) int32."""

    words: Integers
    sentences: Integers
    positions: Integers
    radii: Integers
    outputs: Integers


@dataclass(frozen=True)
class Schedule:
    """Learning rate at the start and the end, part of the training done before the tokens, what one token adds."""

    learning_rate: float
    final_rate: float
    progress_start: float = 0.0
    progress_step: float = 0.0

    def rate_at(self, position: int) -> float:
        progress = self.progress_start + position * self.progress_step
        return self.learning_rate * (1 - progress) + self.final_rate * progress


def train_in_numpy(
    centers: Floats,
    contexts: Floats,
    drawn: DrawnTokens,
    noise_share: float,
    schedule: Schedule,
    radius: int,
    rounded: bool = False,
) -> tuple[float, int]:
    """Update both (V, D) tables; returns (loss, pairs).

    The inputs of a tile are taken in blocks of 32, or of 16 in wide windows, its outputs in blocks of 64, each block
    computed from the rows as the one before left them.  rounded: round what is multiplied to bfloat16.
    """
    loss, pairs = 0.0, 0
    tile_centers = 16
    for tile, outputs in enumerate(drawn.outputs):
        first = tile * tile_centers
        middle = np.arange(first, min(first + tile_centers, len(drawn.words)))
        rate = schedule.rate_at(int(drawn.positions[first]))
        inputs_at_once = 32 if radius <= 8 else 16
        for block in range(first - radius, first + tile_centers + radius, inputs_at_once):
            around = np.arange(max(block, 0), min(block + inputs_at_once, len(drawn.words)))
            distance = np.abs(middle[:, None] - around[None, :])
            same = drawn.sentences[middle][:, None] == drawn.sentences[around][None, :]
            window = same & (distance > 0) & (distance <= drawn.radii[middle][:, None])
            pairs += int(window.sum())
            for begin in range(0, len(outputs), 64):
                rows = outputs[begin : begin + 64]
                weights = np.zeros((len(rows), len(around)))
                labels = begin + np.arange(len(rows)) < tile_centers
                for slot, row in enumerate(rows):
                    if not labels[slot]:
                        weights[slot] = noise_share * window[drawn.words[middle] != row].sum(axis=0)
                    elif slot < len(middle):
                        weights[slot] = window[slot]
                used = window.any(axis=0)
                inputs = drawn.words[around[used]]
                loss += _step(centers, contexts, inputs, rows, weights[:, used], labels, rate, rounded)
    return loss, pairs


def _step(
    centers: Floats,
    contexts: Floats,
    inputs: Integers,
    outputs: Integers,
    weights: Floats,
    labels: NDArray[np.bool_],
    rate: float,
    rounded: bool,
) -> float:
    x, y = centers[inputs], contexts[outputs]
    if rounded:
        x, y = _rounded(x), _rounded(y)
    logits = y @ x.T
    gradients = rate * weights * (labels[:, None] - expit(logits))
    if rounded:
        gradients = _rounded(gradients)
    np.add.at(contexts, outputs, gradients @ x)
    np.add.at(centers, inputs, gradients.T @ y)
    return float(-(weights * log_expit(np.where(labels[:, None], logits, -logits))).sum())


def _rounded(values: Floats) -> Floats:
    nearest: Floats = torch.from_numpy(values).float().bfloat16().double().numpy()
    return nearest
