"""Skip-gram and CBOW with negative sampling as in a textbook: slow, obvious, on any device that torch supports.

Two embeddings, padded contexts and negatives with a mask, masked binary cross-entropy and Adam, as in Zhang et al.,
"Dive into Deep Learning", sections 15.3 and 15.4. CBOW reverses the window: the mean of the words around the
center predicts it. The other trainers are tested against it.

It differs from them as the textbook does: the center word is the input, each pair draws its own noise words, and
the steps of Adam do not depend on the size of a gradient, so its default learning rate is 0.002, as in the textbook.
The rate stays constant over the epochs.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, pairwise

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
from tasks.trainers.sampling import chunk_key, initial_state

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

    def forward(self, inputs: torch.Tensor, input_weights: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
        """Logits. inputs: (B, I), input_weights: (B, I), outputs: (B, L). Returns (B, L)."""
        mean = torch.einsum("bid,bi->bd", self.centers(inputs), input_weights)
        return torch.einsum("bd,bld->bl", mean, self.contexts(outputs))


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
        optimizer = torch.optim.Adam(model.parameters(), lr=rate)
        loss_sum, pairs = 0.0, 0
        for number, chunk in enumerate(source.read_chunks()):
            generator = np.random.default_rng(int(chunk_key(config.seed, state.epoch, number)))
            for batch in _batches(chunk, vocabulary, config, generator):
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
class Example:
    """The training data of one window.

    inputs: (I,), their mean is the predictor.  positives: (P,), negatives: (N,) to discriminate them from.
    """

    inputs: NDArray[np.int64]
    positives: NDArray[np.int64]
    negatives: NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """B examples, padded to the longest.

    inputs: (B, I).  input_weights: (B, I), a row sums to 1, 0 where padded.
    outputs: (B, L), positives and negatives.  mask: (B, L), 0 where padded.  labels: (B, L), 1 for positives.
    """

    inputs: torch.Tensor
    input_weights: torch.Tensor
    outputs: torch.Tensor
    mask: torch.Tensor
    labels: torch.Tensor


def _train_batch(model: TwoEmbeddings, optimizer: torch.optim.Optimizer, batch: Batch, device: str) -> float:
    """One step of the optimizer; returns the loss summed over all pairs and their noise words."""
    inputs, input_weights, outputs, mask, labels = (
        tensor.to(device) for tensor in (batch.inputs, batch.input_weights, batch.outputs, batch.mask, batch.labels)
    )
    logits = model(inputs, input_weights, outputs)
    losses = nn.functional.binary_cross_entropy_with_logits(logits, labels, weight=mask, reduction="none")
    optimizer.zero_grad()
    (losses.sum() / mask.sum()).backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return float(losses.detach().sum())


def _batches(
    chunk: TokenRun, vocabulary: Vocabulary, config: WindowConfig, generator: np.random.Generator
) -> Iterator[Batch]:
    """Batches of up to BATCH_CENTERS windows, in the order of the corpus."""
    examples = _examples(chunk, vocabulary, config, generator)
    while waiting := list(islice(examples, BATCH_CENTERS)):
        yield _padded_batch(waiting)


def _examples(
    chunk: TokenRun, vocabulary: Vocabulary, config: WindowConfig, generator: np.random.Generator
) -> Iterator[Example]:
    """The window of every word that survives subsampling, with noise words for each of its positives."""
    kept = generator.random(len(chunk.token_ids)) < vocabulary.keep_probability[chunk.token_ids]
    noise = np.cumsum(vocabulary.noise_probability)
    least_radius = 1 if config.reduced_windows else config.window_radius
    for begin, end in pairwise(chunk.sentence_offsets):
        sentence = chunk.token_ids[begin:end][kept[begin:end]].astype(np.int64)
        for place in range(len(sentence)):
            radius = generator.integers(least_radius, config.window_radius, endpoint=True)
            contexts = np.concatenate([sentence[max(0, place - radius) : place], sentence[place + 1 :][:radius]])
            if not len(contexts):
                continue
            center = sentence[place : place + 1]
            inputs, positives = (contexts, center) if config.model == "cbow" else (center, contexts)
            draws = generator.random((len(positives), config.negatives_per_pair)) * noise[-1]
            negatives = np.searchsorted(noise, draws, side="right")
            # As in word2vec.c, noise that equals the predicted word is skipped.
            yield Example(inputs, positives, negatives[negatives != positives[:, None]])


def _padded_batch(examples: list[Example]) -> Batch:
    most_inputs = max(len(example.inputs) for example in examples)
    most_outputs = max(len(example.positives) + len(example.negatives) for example in examples)
    inputs = np.zeros((len(examples), most_inputs), np.int64)
    input_weights = np.zeros((len(examples), most_inputs), np.float32)
    outputs = np.zeros((len(examples), most_outputs), np.int64)
    mask, labels = np.zeros((2, len(examples), most_outputs), np.float32)
    for row, example in enumerate(examples):
        count, positives = len(example.inputs), len(example.positives)
        inputs[row, :count] = example.inputs
        input_weights[row, :count] = 1 / count
        length = positives + len(example.negatives)
        outputs[row, :length] = np.concatenate([example.positives, example.negatives])
        mask[row, :length] = 1
        labels[row, :positives] = 1
    return Batch(*(torch.from_numpy(array) for array in (inputs, input_weights, outputs, mask, labels)))
