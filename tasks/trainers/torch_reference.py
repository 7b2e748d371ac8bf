"""Skip-gram with negative sampling as a textbook writes it: slow, obvious, on any device that torch knows.

Two embeddings, padded contexts and negatives with a mask, masked binary cross-entropy and Adam, as in Zhang et al.,
"Dive into Deep Learning", sections 15.3 and 15.4. The other trainers are tested against it.

It differs from them where the textbook does: the center word is the input and each pair draws its own noise words,
and Adam's steps do not depend on how large a gradient is, so it takes `learning_rate` times ADAM_RATE (the textbook's
0.002 at the default 0.05), constant over the epochs.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tasks.trainers.config import SkipGramConfig
from tasks.trainers.interface import (
    DivergenceError,
    EpochResult,
    TokenRun,
    TokenSource,
    TrainingState,
    TrainingStep,
    Vocabulary,
)
from tasks.trainers.sampling import chunk_key, initial_state

ADAM_RATE = 0.04
# Centers in a batch, as in the textbook.
BATCH_CENTERS = 512


def resolve_device(device: str) -> str:
    """`cpu` or `cuda`. Raises ValueError if CUDA was asked for and is not there."""
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("skipgram.device is cuda, but torch finds no CUDA device; use cpu or auto")
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device


class SkipGram(nn.Module):
    """The two embeddings: V words, D dimensions."""

    def __init__(self, state: TrainingState) -> None:
        super().__init__()
        center_vectors, context_vectors = torch.tensor(state.center_vectors), torch.tensor(state.context_vectors)
        self.centers = nn.Embedding(len(center_vectors), center_vectors.shape[1], _weight=center_vectors)
        self.contexts = nn.Embedding(len(context_vectors), context_vectors.shape[1], _weight=context_vectors)

    def forward(self, centers: torch.Tensor, contexts_and_negatives: torch.Tensor) -> torch.Tensor:
        """Logits. centers: (B,); contexts_and_negatives: (B, L). Returns (B, L)."""
        return torch.einsum("bd,bld->bl", self.centers(centers), self.contexts(contexts_and_negatives))


def train_reference(
    source: TokenSource,
    vocabulary: Vocabulary,
    config: SkipGramConfig,
    state: TrainingState | None = None,
    *,
    resumable_every_seconds: float = 60.0,
) -> Iterator[TrainingStep]:
    """Train, yielding a step after every chunk; one at the end of an epoch is resumable, others are not.

    A resumed run begins its epoch with fresh moments of Adam, as every epoch does, so it ends with the same bits.
    resumable_every_seconds is not used: an epoch is the smallest piece that can be resumed.
    Raises ValueError if the state does not fit or the corpus is empty, DivergenceError if the loss is not finite.
    """
    if not source.token_count:
        raise ValueError("the corpus has no token, so there is nothing to train")
    state = state or initial_state(vocabulary, config.dimension, config.seed)
    shape = (len(vocabulary), config.dimension)
    if state.center_vectors.shape != shape or state.context_vectors.shape != shape:
        raise ValueError(f"the state does not hold vectors of the shape {shape} that vocabulary and dimension ask for")
    if state.next_chunk:
        raise ValueError("the torch backend can resume only at the end of an epoch")
    device = resolve_device(config.device)
    while state.epoch < config.epochs:
        started = time.perf_counter()
        model = SkipGram(state).to(device)
        optimizer = torch.optim.Adam(model.parameters(), lr=ADAM_RATE * config.learning_rate)
        loss_sum, pairs = 0.0, 0
        for number, chunk in enumerate(source.read_chunks()):
            generator = np.random.default_rng(int(chunk_key(config.seed, state.epoch, number)))
            for batch in _batches(chunk, vocabulary, config, generator):
                batch_loss = _train_batch(model, optimizer, batch, device)
                if not np.isfinite(batch_loss):
                    raise DivergenceError(
                        f"training diverged in epoch {state.epoch + 1} of {config.epochs} at learning rate "
                        f"{config.learning_rate:g}: the loss is {batch_loss}; lower skipgram.learning_rate"
                    )
                loss_sum += batch_loss
                pairs += int(batch.labels.sum())
            tokens_done = state.epoch * source.token_count + chunk.start + len(chunk.token_ids)
            yield TrainingStep(state, tokens_done, resumable=False)
        state.center_vectors = model.centers.weight.detach().cpu().numpy().copy()
        state.context_vectors = model.contexts.weight.detach().cpu().numpy().copy()
        result = EpochResult(
            epoch=state.epoch + 1,
            mean_loss=loss_sum / max(pairs, 1),
            pairs=pairs,
            tokens=source.token_count,
            seconds=time.perf_counter() - started,
            learning_rate=ADAM_RATE * config.learning_rate,
        )
        state.epoch += 1
        yield TrainingStep(state, state.epoch * source.token_count, resumable=True, epoch_result=result)


@dataclass(frozen=True)
class Batch:
    """B centers and, padded to the longest row, their contexts and noise words.

    centers: (B,).  contexts_and_negatives: (B, L).  mask: (B, L), 0 where padded.  labels: (B, L), 1 for contexts.
    """

    centers: torch.Tensor
    contexts_and_negatives: torch.Tensor
    mask: torch.Tensor
    labels: torch.Tensor


def _train_batch(model: SkipGram, optimizer: torch.optim.Optimizer, batch: Batch, device: str) -> float:
    """One step of the optimizer; returns the loss summed over all pairs and their noise words."""
    centers, others, mask, labels = (
        tensor.to(device) for tensor in (batch.centers, batch.contexts_and_negatives, batch.mask, batch.labels)
    )
    logits = model(centers, others)
    losses = nn.functional.binary_cross_entropy_with_logits(logits, labels, weight=mask, reduction="none")
    optimizer.zero_grad()
    (losses.sum() / mask.sum()).backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return float(losses.detach().sum())


def _batches(
    chunk: TokenRun, vocabulary: Vocabulary, config: SkipGramConfig, generator: np.random.Generator
) -> Iterator[Batch]:
    """Batches of up to BATCH_CENTERS centers with subsampled, reduced windows, in the order of the corpus."""
    kept = generator.random(len(chunk.token_ids)) < vocabulary.keep_probability[chunk.token_ids]
    noise = np.cumsum(vocabulary.noise_probability)
    waiting: list[tuple[int, NDArray[np.int64], NDArray[np.int64]]] = []
    for begin, end in pairwise(chunk.sentence_offsets):
        sentence = chunk.token_ids[begin:end][kept[begin:end]].astype(np.int64)
        for place, center in enumerate(sentence):
            radius = generator.integers(1, config.window_radius, endpoint=True)
            contexts = np.concatenate([sentence[max(0, place - radius) : place], sentence[place + 1 :][:radius]])
            draws = generator.random((len(contexts), config.negatives_per_pair)) * noise[-1]
            negatives = np.searchsorted(noise, draws, side="right")
            # As in word2vec.c, noise that is the word to predict is left out.
            negatives = negatives[negatives != contexts[:, None]]
            if len(contexts):
                waiting.append((int(center), contexts, negatives))
            if len(waiting) == BATCH_CENTERS:
                yield _padded_batch(waiting)
                waiting = []
    if waiting:
        yield _padded_batch(waiting)


def _padded_batch(rows: list[tuple[int, NDArray[np.int64], NDArray[np.int64]]]) -> Batch:
    longest = max(len(contexts) + len(negatives) for _, contexts, negatives in rows)
    others = np.zeros((len(rows), longest), np.int64)
    mask = np.zeros((len(rows), longest), np.float32)
    labels = np.zeros((len(rows), longest), np.float32)
    for row, (_, contexts, negatives) in enumerate(rows):
        positives, length = len(contexts), len(contexts) + len(negatives)
        others[row, :length] = np.concatenate([contexts, negatives])
        mask[row, :length] = 1
        labels[row, :positives] = 1
    centers = np.array([center for center, _, _ in rows])
    return Batch(*(torch.from_numpy(array) for array in (centers, others, mask, labels)))
