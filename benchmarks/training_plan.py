"""Which trainings make up the report on speed and quality, and in which order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.ledger import Part
from benchmarks.quality import SHARED_DATA
from benchmarks.trainers import BenchmarkSettings

WIKIPEDIA = SHARED_DATA / "corpora" / "enwiki2015_text8like_100MB.txt.gz"


@dataclass(frozen=True)
class Comparison:
    """vecmill and peers on one text, evaluated. Without a path: the movie reviews."""

    path: Path | None
    epochs: int
    trainers: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """Everything to run `repeat` times.

    Sweeps change one setting at a time, on the first text.  sweep_trainers: trainer -> its epochs there, because runs
    of a second vary too much.
    """

    comparisons: Sequence[Comparison]
    sweeps: dict[str, Sequence[int]]
    repeat: int = 3
    base: BenchmarkSettings = field(default_factory=BenchmarkSettings)
    sweep_trainers: dict[str, int] = field(default_factory=lambda: {"vecmill": 4, "gensim": 1})


@dataclass(frozen=True)
class PlannedRun:
    """One training of the plan."""

    part: Part
    path: Path | None
    trainer: str
    settings: BenchmarkSettings


def full_plan(repeat: int) -> Plan:
    """What README quotes: about 35 minutes on two cores, most of them the peers'.

    fastText is slow enough to be left out where the text is long.
    """
    comparisons = [Comparison(None, 5, ("vecmill", "gensim", "fasttext"))]
    if WIKIPEDIA.exists():
        comparisons.append(Comparison(WIKIPEDIA, 4, ("vecmill", "gensim")))
    base = BenchmarkSettings()
    sweeps = {
        "dimension": (32, 64, 100, 128, 200, 300, 512),
        "negatives_per_pair": (2, 5, 10, 20),
        "window_radius": (2, 5, 10),
        "workers": worker_counts(base.workers),
    }
    return Plan(comparisons, sweeps, repeat, base)


def worker_counts(cores: int) -> list[int]:
    """1, 2, 4, … and all cores."""
    return sorted({*(1 << power for power in range(cores.bit_length()) if 1 << power <= cores), cores})


def planned_runs(plan: Plan) -> Iterator[PlannedRun]:
    """Every training once; then again with the next seed. Those that are compared follow each other."""
    for seed in range(plan.base.seed, plan.base.seed + plan.repeat):
        for settings in sweep_settings(plan):
            for trainer, epochs in plan.sweep_trainers.items():
                seeded = settings.model_copy(update={"seed": seed, "epochs": epochs})
                yield PlannedRun("sweep", plan.comparisons[0].path, trainer, seeded)
        for comparison in plan.comparisons:
            seeded = plan.base.model_copy(update={"epochs": comparison.epochs, "seed": seed})
            for trainer in comparison.trainers:
                yield PlannedRun("comparison", comparison.path, trainer, seeded)


def sweep_settings(plan: Plan) -> list[BenchmarkSettings]:
    """The settings of all sweeps, each once, with one epoch: they meet in the base."""
    once = plan.base.model_copy(update={"epochs": 1})
    values = [{name: value} for name, several in plan.sweeps.items() for value in several]
    return list(dict.fromkeys(once.model_copy(update=value) for value in values))
