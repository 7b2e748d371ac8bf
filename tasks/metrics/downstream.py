"""Downstream: accuracy of a small classifier on word vectors, frozen and fine-tuned, compared with random vectors.

The classifier is the mean of a text's word vectors, a hidden layer of 16 rectified units and one output, or a small
Transformer (transformer.py). Row 0 of the embedding is `<pad>`, which is masked, row 1 `<unk>`, which represents every
unknown word.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tasks.metrics.transformer import Positions, TransformerClassifier

Start = Literal["frozen", "fine-tuned", "random"]
STARTS: tuple[Start, ...] = ("frozen", "fine-tuned", "random")
Network = Literal["mean", "transformer"]
PAD, UNKNOWN, SPECIAL_ROWS = 0, 1, 2
HIDDEN_UNITS = 16
BATCH_TEXTS = 128
LEARNING_RATE = 1e-3


@dataclass(frozen=True)
class Examples:
    """ids: (N, L) int64 rows of the table, padded with PAD.  labels: (N,) int64, 0 or 1."""

    ids: NDArray[np.int64]
    labels: NDArray[np.int64]

    def part(self, rows: NDArray[np.int64]) -> "Examples":
        """The chosen texts."""
        return Examples(self.ids[rows], self.labels[rows])


@dataclass(frozen=True)
class EpochScores:
    """Mean loss and accuracy of one epoch, on the training and on the validation texts."""

    epoch: int
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float


@dataclass(frozen=True)
class Classified:
    """One trained classifier. accuracy: on held-out texts, after the epoch with the lowest validation loss.

    positions: of a Transformer; None for the mean.
    """

    start: Start
    accuracy: float
    best_epoch: int
    curve: list[EpochScores]
    network: Network = "mean"
    positions: Positions | None = None


def split_texts(texts: Sequence[str], shares: Sequence[float], seed: int) -> list[NDArray[np.int64]]:
    """Rows of the texts, split into parts of about these shares; identical texts go to the same part.

    Texts are identical if they have the same words, ignoring case.
    """
    _, groups = np.unique([" ".join(text.lower().split()) for text in texts], return_inverse=True)
    count = int(groups.max()) + 1
    part_of_group = np.empty(count, dtype=np.int64)
    bounds = np.searchsorted(np.cumsum(shares) / np.sum(shares), np.arange(count) / count, side="right")
    part_of_group[np.random.default_rng(seed).permutation(count)] = bounds
    return [np.flatnonzero(part_of_group[groups] == part) for part in range(len(shares))]


def padded_ids(rows: NDArray[np.int64], lengths: NDArray[np.int64], longest: int) -> NDArray[np.int64]:
    """(N, longest) rows of the table for N texts, each cut to its first words and padded.

    rows: all words of all texts, as rows of the vectors, -1 where unknown.  lengths: (N,) words of each text.
    """
    ids = np.full((len(lengths), longest), PAD, dtype=np.int64)
    known = np.where(rows < 0, UNKNOWN, rows + SPECIAL_ROWS)
    for text, (end, length) in enumerate(zip(np.cumsum(lengths).tolist(), lengths.tolist(), strict=True)):
        kept = min(length, longest)
        ids[text, :kept] = known[end - length : end - length + kept]
    return ids


def classify(
    start: Start,
    vectors: NDArray[np.float32],
    train: Examples,
    validation: Examples,
    held_out: Examples,
    epochs: int,
    seed: int,
    positions: Positions | None = None,
    on_epoch: Callable[[], None] = lambda: None,
) -> Classified:
    """Train one classifier and score it on held-out texts. vectors: (V, D); `random` uses only their shape.

    positions: of a Transformer; None: the mean of the words.  on_epoch: called after each epoch.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        table, frozen = _table(vectors, start), start == "frozen"
        model: nn.Module
        if positions is None:
            model = MeanClassifier(table, frozen=frozen)
        else:
            model = TransformerClassifier(table, positions, train.ids.shape[1], frozen=frozen, pad=PAD)
        best, best_state, curve = 0, model.state_dict(), []
        for scores in _train(model, train, validation, epochs):
            curve.append(scores)
            on_epoch()
            if scores.validation_loss <= min(earlier.validation_loss for earlier in curve):
                best = scores.epoch
                best_state = {name: value.clone() for name, value in model.state_dict().items()}
        model.load_state_dict(best_state)
        network: Network = "mean" if positions is None else "transformer"
        return Classified(start, _score(model, held_out)[1], best, curve, network, positions)


class MeanClassifier(nn.Module):
    """Mean of the embeddings of a text's words, a layer of 16 rectified units, one logit."""

    def __init__(self, table: Tensor, *, frozen: bool) -> None:
        """table: (V + 2, D), with the rows PAD and UNKNOWN."""
        super().__init__()
        rows, dimension = table.shape
        self.embedding = nn.Embedding(rows, dimension, padding_idx=PAD, _weight=table, _freeze=frozen)
        self.hidden = nn.Linear(dimension, HIDDEN_UNITS)
        self.output = nn.Linear(HIDDEN_UNITS, 1)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, L) rows to (B,) logits."""
        words = (ids != PAD).sum(dim=1, keepdim=True).clamp(min=1)
        mean = self.embedding(ids).sum(dim=1) / words
        logits: Tensor = self.output(torch.relu(self.hidden(mean))).squeeze(1)
        return logits


def _table(vectors: NDArray[np.float32], start: Start) -> Tensor:
    rows, dimension = vectors.shape
    table = torch.zeros(rows + SPECIAL_ROWS, dimension)
    if start == "random":
        # Unit length on average, like published vectors.
        table[UNKNOWN:] = torch.randn(rows + 1, dimension) / dimension**0.5
    else:
        table[SPECIAL_ROWS:] = torch.from_numpy(vectors)
        table[UNKNOWN] = table[SPECIAL_ROWS:].mean(dim=0)
    return table


def _batches(examples: Examples, order: NDArray[np.int64]) -> Iterator[tuple[Tensor, Tensor]]:
    for begin in range(0, len(order), BATCH_TEXTS):
        rows = order[begin : begin + BATCH_TEXTS]
        ids = examples.ids[rows]
        # Cut to the longest text of the batch; the rest is padding.
        longest = max(int((ids != PAD).sum(axis=1).max()), 1)
        yield torch.from_numpy(ids[:, :longest]), torch.from_numpy(examples.labels[rows]).float()


def _train(model: nn.Module, train: Examples, validation: Examples, epochs: int) -> Iterator[EpochScores]:
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=LEARNING_RATE)
    loss_of = nn.BCEWithLogitsLoss()
    for epoch in range(1, epochs + 1):
        model.train()
        loss_sum = right = 0.0
        for ids, labels in _batches(train, torch.randperm(len(train.labels)).numpy()):
            optimizer.zero_grad()
            logits = model(ids)
            loss = loss_of(logits, labels)
            loss.backward()
            optimizer.step()
            loss_sum += loss.item() * len(labels)
            right += float(((logits > 0) == (labels > 0.5)).sum())
        count = len(train.labels)
        yield EpochScores(epoch, loss_sum / count, right / count, *_score(model, validation))


def _score(model: nn.Module, examples: Examples) -> tuple[float, float]:
    """Mean loss and accuracy."""
    model.eval()
    loss_of = nn.BCEWithLogitsLoss(reduction="sum")
    loss = right = 0.0
    with torch.no_grad():
        for ids, labels in _batches(examples, np.arange(len(examples.labels))):
            logits = model(ids)
            loss += float(loss_of(logits, labels))
            right += float(((logits > 0) == (labels > 0.5)).sum())
    return loss / len(examples.labels), right / len(examples.labels)
