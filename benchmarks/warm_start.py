"""`python -m benchmarks warm-start`: what starting from an earlier release's vectors saves.

The earlier model has seen the first half of a text; what is trained is the whole, as in a scheduled retraining after
the corpus has grown.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from gensim.models import KeyedVectors
from rich.progress import track

from benchmarks.corpora import BenchmarkCorpus, EncodedText, load_corpus
from benchmarks.quality import METRICS, evaluate_quality
from benchmarks.trainers import BenchmarkSettings, run_epochs, text_vocabulary
from benchmarks.training import CorpusOption
from benchmarks.training_summary import score
from tasks.metrics.cosines import unit_rows
from tasks.trainers.interface import TrainingState
from tasks.trainers.sampling import initial_state
from tasks.trainers.warm_start import start_from

BASE = BenchmarkSettings(learning_rate=0.05, final_rate_fraction=1e-4, matrix="published")
FRESH, BOTH, CENTER = "fresh", "both matrices", "unit center vectors alone"
STARTS = (FRESH, BOTH, CENTER)
EPOCHS = (1, 2, 3, 5)


@dataclass(frozen=True)
class Attempt:
    """One training of the whole text, and what its vectors are worth."""

    start: str
    epochs: int
    learning_rate: float
    quality: dict[str, float]


def measure_warm_start(
    corpus: CorpusOption = None,
    repeat: Annotated[int, typer.Option(min=1, help="seeds")] = 3,
    learning_rate: Annotated[list[float] | None, typer.Option(help="of the retraining; may be repeated")] = None,
) -> None:
    """Train a text from fresh vectors and from those of its first half, for 1 to 5 epochs, and print a table."""
    with tempfile.TemporaryDirectory() as folder:
        text = load_corpus(corpus, Path(folder))
        seeds = track(range(1, repeat + 1), description=text.name)
        attempts = [attempt for seed in seeds for attempt in attempt_all(text, learning_rate or [0.05], seed)]
    for line in table(attempts):
        typer.echo(line)


def attempt_all(corpus: BenchmarkCorpus, rates: list[float], seed: int) -> Iterator[Attempt]:
    """Every start with every number of epochs and every rate."""
    seeded = BASE.model_copy(update={"seed": seed})
    earlier_text = corpus.first_half().encode(BASE.min_count)
    earlier = _trained(earlier_text, seeded, _fresh(earlier_text, seeded))
    text = corpus.encode(BASE.min_count)
    for start in STARTS:
        for epochs in EPOCHS:
            for rate in rates[:1] if start == FRESH else rates:
                settings = seeded.model_copy(update={"epochs": epochs, "learning_rate": rate})
                state = _trained(text, settings, _started(start, text, earlier_text, earlier, settings))
                vectors = KeyedVectors(settings.dimension)
                vectors.add_vectors(text.words, state.center_vectors)
                yield Attempt(start, epochs, rate, evaluate_quality(vectors))


def table(attempts: list[Attempt]) -> Iterator[str]:
    """Means over the seeds, in Markdown."""
    metrics = [metric for metric in METRICS if metric in attempts[0].quality]
    alike: dict[tuple[str, float, int], list[Attempt]] = {}
    for attempt in attempts:
        alike.setdefault((attempt.start, attempt.learning_rate, attempt.epochs), []).append(attempt)
    yield f"| start | rate | epochs | {' | '.join(metrics)} |"
    yield f"|---|---|---|{'---|' * len(metrics)}"
    for (start, rate, epochs), own in alike.items():
        scores = [score([attempt.quality[metric] for attempt in own]) for metric in metrics]
        cells = [f"{value.mean:.3f} ± {value.deviation:.3f}" for value in scores]
        yield f"| {start} | {rate:g} | {epochs} | {' | '.join(cells)} |"


def _fresh(text: EncodedText, settings: BenchmarkSettings) -> TrainingState:
    return initial_state(text_vocabulary(text, settings), settings.dimension, settings.seed)


def _trained(text: EncodedText, settings: BenchmarkSettings, state: TrainingState) -> TrainingState:
    return run_epochs(text, text_vocabulary(text, settings), settings, state)[0]


def _started(
    start: str, text: EncodedText, earlier_text: EncodedText, earlier: TrainingState, settings: BenchmarkSettings
) -> TrainingState:
    state = _fresh(text, settings)
    if start == BOTH:
        start_from(state, text.words, earlier_text.words, earlier.center_vectors, earlier.context_vectors)
    elif start == CENTER:
        start_from(state, text.words, earlier_text.words, unit_rows(earlier.center_vectors), None)
    return state
