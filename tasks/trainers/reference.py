"""Skip-gram and CBOW with negative sampling as in a textbook: plain PyTorch on any device that torch supports.

Two embeddings, binary cross-entropy and Adam, as in Zhang et al., "Dive into Deep Learning", sections 15.3 and 15.4.
CBOW reverses the window: the mean of the words around the center predicts it. The other trainers are tested against it.

Where the textbook pads the words of a window and masks the padding, a batch lists its pairs one after the other: the
same losses and gradients without the half that is masked. `tests/trainers/test_reference.py` compares the gradients
with loops over words in NumPy.

It differs from them as the textbook does: the center word is the input, each pair draws its own noise words, and
the steps of Adam do not depend on the size of a gradient, so its default learning rate is 0.002, as in the textbook.
The rate stays constant over the epochs.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tasks.trainers.bookkeeping import check_model
from tasks.trainers.config import WindowConfig
from tasks.trainers.interface import (
    DivergenceError,
    EpochResult,
    TokenRun,
    TokenSource,
    TrainingState,
    TrainingStep,
    Vocabulary,
)
from tasks.trainers.sampling import chunk_key, initial_state, keep_probabilities

# The textbook's step size for Adam.
DEFAULT_LEARNING_RATE = 0.002
# Centers in a batch, as in the textbook.
BATCH_CENTERS = 512


def resolve_device(device: str) -> str:
    """`cpu` or `cuda`. Raises ValueError if CUDA is requested but not available."""
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("training.device is cuda, but torch finds no CUDA device; use cpu or auto")
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device


class TwoEmbeddings(nn.Module):
    """The two embeddings: V words, D dimensions."""

    def __init__(self, state: TrainingState) -> None:
        super().__init__()
        center_vectors, context_vectors = torch.tensor(state.center_vectors), torch.tensor(state.context_vectors)
        self.centers = nn.Embedding(len(center_vectors), center_vectors.shape[1], _weight=center_vectors)
        self.contexts = nn.Embedding(len(context_vectors), context_vectors.shape[1], _weight=context_vectors)

    def forward(
        self, inputs: torch.Tensor, input_starts: torch.Tensor, outputs: torch.Tensor, owners: torch.Tensor
    ) -> torch.Tensor:
        """Logits (N,) of the pairs of a batch; the arguments are its tensors."""
        predictors = nn.functional.embedding_bag(inputs, self.centers.weight, input_starts, mode="mean")
        logits: torch.Tensor = (predictors.index_select(0, owners) * self.contexts(outputs)).sum(dim=1)
        return logits


def train_reference(
    source: TokenSource,
    vocabulary: Vocabulary,
    config: WindowConfig,
    state: TrainingState | None = None,
    *,
    resumable_every_seconds: float = 60.0,
) -> Iterator[TrainingStep]:
    """Train, yielding a step after every chunk; one at the end of an epoch is resumable, others are not.

    Every epoch starts with fresh moments of Adam, so a resumed run is bit-identical to an uninterrupted one.
    resumable_every_seconds is ignored: training can only resume at the end of an epoch.
    Raises ValueError if model or state do not match or the corpus is empty, DivergenceError if the loss is not
    finite.
    """
    check_model(config, "torch")
    if not source.token_count:
        raise ValueError("the corpus has no token, so there is nothing to train")
    state = state or initial_state(vocabulary, config.dimension, config.seed)
    shape = (len(vocabulary), config.dimension)
    if state.center_vectors.shape != shape or state.context_vectors.shape != shape:
        raise ValueError(f"the state does not hold vectors of the shape {shape} that vocabulary and dimension ask for")
    if state.next_chunk:
        raise ValueError("the torch backend can resume only at the end of an epoch")
    device = resolve_device(config.device)
    rate = DEFAULT_LEARNING_RATE if config.learning_rate is None else config.learning_rate
    while state.epoch < config.epochs:
        started = time.perf_counter()
        model = TwoEmbeddings(state).to(device)
        optimizer = torch.optim.Adam(model.parameters(), lr=rate, fused=True)
        loss_sum, pairs = 0.0, 0
        kept = keep_probabilities(vocabulary, config)[state.epoch >= config.early_epochs]
        radius = config.window_radius_in(state.epoch)
        epoch_vocabulary = replace(vocabulary, keep_probability=kept)
        for number, chunk in enumerate(source.read_chunks()):
            generator = np.random.default_rng(int(chunk_key(config.seed, state.epoch, number)))
            for batch in _batches(chunk, epoch_vocabulary, config, radius, generator):
                batch_loss = _train_batch(model, optimizer, batch, device)
                if not np.isfinite(batch_loss):
                    raise DivergenceError(
                        f"training diverged in epoch {state.epoch + 1} of {config.epochs} at learning rate "
                        f"{rate:g}: the loss is {batch_loss}; lower training.learning_rate"
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
            learning_rate=rate,
        )
        state.epoch += 1
        yield TrainingStep(state, state.epoch * source.token_count, resumable=True, epoch_result=result)


@dataclass(frozen=True)
class Batch:
    """The pairs of B windows.

    inputs: (I,), words whose mean is a predictor, one predictor after the other.  input_starts: (B,), where each
    starts.  outputs: (N,), words to score.  owners: (N,), the predictor of each.  labels: (N,), 1 for the words of
    the window, 0 for noise words.
    """

    inputs: torch.Tensor
    input_starts: torch.Tensor
    outputs: torch.Tensor
    owners: torch.Tensor
    labels: torch.Tensor


def _train_batch(model: TwoEmbeddings, optimizer: torch.optim.Optimizer, batch: Batch, device: str) -> float:
    """One step of the optimizer; returns the loss summed over all pairs and their noise words."""
    logits = model(*(part.to(device) for part in (batch.inputs, batch.input_starts, batch.outputs, batch.owners)))
    loss = nn.functional.binary_cross_entropy_with_logits(logits, batch.labels.to(device), reduction="sum")
    optimizer.zero_grad()
    (loss / len(logits)).backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return float(loss.detach())


def _batches(
    chunk: TokenRun, vocabulary: Vocabulary, config: WindowConfig, radius: int, generator: np.random.Generator
) -> Iterator[Batch]:
    """The windows of all words that survive subsampling, BATCH_CENTERS at a time, in the order of the corpus.

    radius: maximum words on each side.
    """
    kept = generator.random(len(chunk.token_ids)) < vocabulary.keep_probability[chunk.token_ids]
    words = chunk.token_ids[kept].astype(np.int64)
    edges = np.concatenate([[0], np.cumsum(kept)])[chunk.sentence_offsets]
    lengths = np.diff(edges)
    begins, ends = np.repeat(edges[:-1], lengths), np.repeat(edges[1:], lengths)
    # A word alone in its sentence has no window.
    centers = np.flatnonzero(ends - begins > 1)
    least_radius = 1 if config.reduced_windows else radius
    radii = generator.integers(least_radius, radius, size=len(centers), endpoint=True)
    distances = np.delete(np.arange(-radius, radius + 1), radius)
    noise = np.cumsum(vocabulary.noise_probability)
    for first in range(0, len(centers), BATCH_CENTERS):
        some = centers[first : first + BATCH_CENTERS]
        around = some[:, None] + distances
        inside = np.abs(distances) <= radii[first : first + BATCH_CENTERS, None]
        inside &= (around >= begins[some, None]) & (around < ends[some, None])
        yield _batch(words[some], words[around[inside]], np.nonzero(inside)[0], config, noise, generator)


def _batch(
    centers: NDArray[np.int64],
    contexts: NDArray[np.int64],
    windows: NDArray[np.int64],
    config: WindowConfig,
    noise: NDArray[np.float64],
    generator: np.random.Generator,
) -> Batch:
    """Add noise words to windows.

    centers: (B,) words.  contexts: (C,) words around them.  windows: (C,), the window of each context, ascending.
    noise: (V,), sums of the noise probabilities.
    """
    each = np.arange(len(centers))
    if config.model == "cbow":
        inputs, starts, positives, owners = contexts, np.searchsorted(windows, each), centers, each
    else:
        inputs, starts, positives, owners = centers, each, contexts, windows
    draws = generator.random((len(positives), config.negatives_per_pair)) * noise[-1]
    # Sums of rounded numbers: the last one may be smaller than a draw.
    negatives = np.minimum(np.searchsorted(noise, draws, side="right"), len(noise) - 1)
    outputs = np.column_stack([positives, negatives])
    labels = np.zeros(outputs.shape, np.float32)
    labels[:, 0] = 1
    # As in word2vec.c, noise that equals the predicted word is skipped.
    used = (outputs != positives[:, None]) | (labels == 1)
    owners = np.repeat(owners, used.sum(axis=1))
    return Batch(*map(torch.from_numpy, (inputs, starts, outputs[used], owners, labels[used])))
