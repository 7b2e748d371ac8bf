"""What the runs of a report say: medians of speed and of paired ratios, means and spreads of quality."""

import statistics
from collections.abc import Sequence

from pydantic import BaseModel

from benchmarks.ledger import Run
from benchmarks.trainers import BenchmarkSettings
from benchmarks.training_plan import Plan


class Score(BaseModel):
    """Mean over the runs, and standard deviation; 0 for a single run."""

    mean: float
    deviation: float


class TrainerSummary(BaseModel):
    """One trainer at one setting. `ratios`: vecmill's words/s over this one's, pair by pair; empty for vecmill."""

    trainer: str
    runs: int
    words_per_second: float
    ratio: float | None
    ratios: list[float]
    quality: dict[str, Score]


class SettingSummary(BaseModel):
    """The trainers side by side."""

    corpus: str
    tokens: int
    settings: BenchmarkSettings
    trainers: list[TrainerSummary]

    def of(self, trainer: str) -> TrainerSummary:
        """The summary of one trainer."""
        return next(own for own in self.trainers if own.trainer == trainer)


class Summary(BaseModel):
    """Comparisons with quality, by corpus, and speed by swept setting and its value."""

    comparisons: list[SettingSummary]
    sweeps: dict[str, dict[int, SettingSummary]]


def summarise(plan: Plan, runs: Sequence[Run]) -> Summary:
    """Of a plan whose runs are all there."""
    alike: dict[tuple[str, str, BenchmarkSettings], list[Run]] = {}
    for run in runs:
        same = {"seed": plan.base.seed} | ({"epochs": 1} if run.part == "sweep" else {})
        without_seed = run.settings.model_copy(update=same)
        alike.setdefault((run.part, run.corpus, without_seed), []).append(run)
    swept = {settings: _summarise(own) for (part, _, settings), own in alike.items() if part == "sweep"}
    once = plan.base.model_copy(update={"epochs": 1})
    return Summary(
        comparisons=[_summarise(own) for (part, _, _), own in alike.items() if part == "comparison"],
        sweeps={
            name: {value: swept[once.model_copy(update={name: value})] for value in values}
            for name, values in plan.sweeps.items()
        },
    )


def _summarise(runs: Sequence[Run]) -> SettingSummary:
    by_trainer: dict[str, list[Run]] = {}
    for run in runs:
        by_trainer.setdefault(run.trainer, []).append(run)
    return SettingSummary(
        corpus=runs[0].corpus,
        tokens=runs[0].tokens,
        settings=runs[0].settings,
        trainers=[_trainer_summary(own, by_trainer["vecmill"]) for own in by_trainer.values()],
    )


def _trainer_summary(runs: list[Run], ours: list[Run]) -> TrainerSummary:
    trainer = runs[0].trainer
    speed = {run.settings.seed: run.words_per_second for run in ours}
    ratios = [] if trainer == "vecmill" else [speed[run.settings.seed] / run.words_per_second for run in runs]
    return TrainerSummary(
        trainer=trainer,
        runs=len(runs),
        words_per_second=statistics.median(run.words_per_second for run in runs),
        ratio=statistics.median(ratios) if ratios else None,
        ratios=ratios,
        quality={name: score([run.quality[name] for run in runs]) for name in runs[0].quality},
    )


def score(values: Sequence[float]) -> Score:
    """Mean and standard deviation."""
    return Score(mean=statistics.fmean(values), deviation=statistics.stdev(values) if len(values) > 1 else 0.0)
