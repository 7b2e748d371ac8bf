"""`python -m benchmarks stability`: how many neighbours two trainings of the same text share, and what raises it.

Two fresh trainings differ by the seed alone. A scheduled retraining need not be fresh: it can start from the vectors of
the previous release. Each attempt is compared with the training that it would replace.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import typer
from gensim.models import KeyedVectors
from numpy.typing import NDArray

from benchmarks.corpora import BenchmarkCorpus, EncodedText, load_corpus
from benchmarks.defaults import BASE
from benchmarks.gold_halves import reported_scores
from benchmarks.trainers import BenchmarkSettings, add_ppmi, published_vectors, run_epochs, text_vocabulary
from benchmarks.training import CorpusOption
from tasks.metrics.alignment import fit_rotation
from tasks.metrics.cosines import TableRows, nearest_rows, unit_rows
from tasks.trainers.bookkeeping import RETRAINING_LEARNING_RATE
from tasks.trainers.interface import TrainingState
from tasks.trainers.sampling import initial_state

WORDS, NEIGHBORS = 1_000, 10
# Rate and epochs of a training that starts from the previous vectors.
WARM = ((0.05, 5), (0.025, 5), (0.025, 2), (0.01, 5))
# Retrainings one after the other, each from the one before.
CHAIN = 6


@dataclass(frozen=True)
class Attempt:
    """A training, the share of neighbours that it has in common with the one it replaces, and its scores."""

    name: str
    agreement: float
    scores: dict[str, float]


def measure_stability(corpus: CorpusOption = None) -> None:
    """Train a text again in several ways and print how many neighbours stay; takes minutes."""
    with tempfile.TemporaryDirectory() as folder:
        text = load_corpus(corpus, Path(folder))
        for number, attempt in enumerate(attempt_all(text, BASE)):
            if not number:
                typer.echo(f"| retraining | neighbours in common | {' | '.join(attempt.scores)} |")
                typer.echo(f"|---|---:|{'---:|' * len(attempt.scores)}")
            cells = [f"{value:.3f}" for value in (attempt.agreement, *attempt.scores.values())]
            typer.echo(f"| {attempt.name} | {' | '.join(cells)} |")


def attempt_all(corpus: BenchmarkCorpus, settings: BenchmarkSettings) -> Iterator[Attempt]:
    """Another seed, starts from the previous vectors, a chain of them, means of two trainings, and twice the epochs."""
    text = corpus.encode(settings.min_count)

    def attempt(name: str, vectors: NDArray[np.float32], replaced: NDArray[np.float32]) -> Attempt:
        named = KeyedVectors(vectors.shape[1])
        named.add_vectors(text.words, vectors)
        return Attempt(name, agreement(vectors, replaced), reported_scores(named, korean=False))

    def fresh(seed: int, epochs: int = settings.epochs) -> TrainingState:
        return _trained(text, settings.model_copy(update={"seed": seed, "epochs": epochs}))

    def published(state: TrainingState) -> NDArray[np.float32]:
        return published_vectors(settings.training, state)

    previous, other = fresh(1), fresh(2)
    first, second = published(previous), published(other)
    yield attempt("another seed", second, first)
    for rate, epochs in WARM:
        changes = {"seed": 2, "learning_rate": rate, "epochs": epochs}
        state = _trained(text, settings.model_copy(update=changes), previous)
        yield attempt(f"started from the previous vectors, rate {rate:g}, {epochs} epochs", published(state), first)
    state, replaced = previous, first
    for number in range(1, CHAIN + 1):
        changes = {"seed": number + 1, "learning_rate": RETRAINING_LEARNING_RATE}
        state = _trained(text, settings.model_copy(update=changes), state)
        vectors = published(state)
        yield attempt(f"retraining {number} of a chain, rate {RETRAINING_LEARNING_RATE:g}", vectors, replaced)
        replaced = vectors
    means = mean_of_aligned(first, second), mean_of_aligned(*(published(fresh(seed)) for seed in (3, 4)))
    yield attempt("mean of two aligned trainings, other seeds", means[1], means[0])
    longer = [published(fresh(seed, 2 * settings.epochs)) for seed in (1, 2)]
    yield attempt(f"another seed, {2 * settings.epochs} epochs", longer[1], longer[0])


def agreement(vectors: NDArray[np.float32], others: NDArray[np.float32]) -> float:
    """Mean share of NEIGHBORS nearest words that two (V, D) tables agree on, over the WORDS most frequent words."""
    rows = np.arange(len(vectors))
    ours, theirs = (nearest_rows(TableRows(table, rows), rows[:WORDS], NEIGHBORS) for table in (vectors, others))
    return float((ours[:, :, None] == theirs[:, None, :]).any(axis=2).mean())


def mean_of_aligned(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean of the unit rows of one (V, D) table and of another one, rotated onto it."""
    rows = np.arange(len(first))
    rotation = fit_rotation(second, rows, first, rows)
    mean: NDArray[np.float32] = (unit_rows(first) + unit_rows(second) @ rotation.astype(np.float32)) / np.float32(2)
    return mean


def _trained(text: EncodedText, settings: BenchmarkSettings, previous: TrainingState | None = None) -> TrainingState:
    vocabulary = text_vocabulary(text, settings)
    state = initial_state(vocabulary, settings.dimension, settings.seed)
    if previous:
        state = TrainingState(previous.center_vectors.copy(), previous.context_vectors.copy())
    trained, _ = run_epochs(text, vocabulary, settings, state)
    add_ppmi(text, vocabulary, settings, trained)
    return trained
