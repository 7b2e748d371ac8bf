"""`python -m benchmarks defaults`: the search for vecmill's default settings, compared with gensim's defaults.

Every candidate trains the same words: 5 epochs, as gensim does by default. Candidates are ranked by the mean of the
searched halves of the gold sets (`gold_halves`); the other scores are shown but choose nothing. Speed plays no part, so
the machine may be busy.
"""

import logging
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from gensim.models import KeyedVectors

from benchmarks.gold_halves import REPORTED, reported_scores, searched_scores
from benchmarks.ledger import RESULTS, Ledger, Run, measure, open_ledger, this_place
from benchmarks.texts import KOREAN_WIKIPEDIA, Text, find_texts
from benchmarks.trainers import BenchmarkSettings
from benchmarks.training_summary import Score, score
from tasks.trainers.bookkeeping import DEFAULT_CBOW_LEARNING_RATE

logger = logging.getLogger(__name__)

BASE = BenchmarkSettings(
    learning_rate=0.05,
    final_rate_fraction=1e-4,
    matrix="published",
    early_threshold_fraction=0.1,
    narrowing_windows=True,
    finish_with_cbow=True,
    ppmi=True,
)
# vecmill's CBOW by default.
CBOW: dict[str, Any] = {
    "model": "cbow",
    "learning_rate": DEFAULT_CBOW_LEARNING_RATE,
    "narrowing_windows": False,
    "finish_with_cbow": False,
}
# Peers have one threshold and one window for all epochs, and no counts.
WITHOUT_PHASES: dict[str, Any] = {
    "early_threshold_fraction": 1.0,
    "narrowing_windows": False,
    "finish_with_cbow": False,
    "ppmi": False,
}
# What is searched: first what vecmill has no setting for, then the two settings that matter most on a grid, then the
# others one at a time.
CANDIDATES: tuple[dict[str, Any], ...] = (
    {},
    {"noise_exponent": 0.5},
    {"noise_exponent": 1.0},
    {"early_threshold_fraction": 1.0},
    {"early_threshold_fraction": 0.3},
    {"narrowing_windows": False},
    {"finish_with_cbow": False},
    {"ppmi": False},
    WITHOUT_PHASES | {"matrix": "mixed"},
    {"matrix": "mixed"},
    {"matrix": "center"},
    {"epoch_thresholds": (1e-4, 1e-4, 1e-3, 1e-3, 1e-3)},
    {"epoch_thresholds": (3e-4, 3e-4, 3e-4, 1e-3, 1e-3)},
    {"epoch_radii": (10, 10, 10, 5, 3)},
    {"epoch_radii": (8, 7, 6, 4, 3)},
    {"epoch_radii": (5, 5, 5, 5, 3)},
    {"epoch_negatives": (3, 3, 5, 8, 12)},
    {"epoch_rates": (0.05, 0.05, 0.05, 0.033, 0.017, 5e-6)},
    {"epoch_rates": (0.075, 0.045, 0.025, 0.0125, 0.005, 5e-6)},
    {"shuffled": True},
    {"negatives_per_pair": 10, "learning_rate": 0.075},
    {"negatives_per_pair": 3},
    *(
        {"learning_rate": rate, "subsample_threshold": threshold}
        for threshold in (1e-3, 1e-4, 1e-5)
        for rate in (0.025, 0.05, 0.075)
        if (rate, threshold) != (0.05, 1e-3)
    ),
    {"final_rate_fraction": 0.1},
    {"final_rate_fraction": 0.1, "learning_rate": 0.035},
    {"window_radius": 3},
    {"window_radius": 10},
    {"reduced_windows": False},
    {"negatives_per_pair": 10},
    CBOW,
    CBOW | {"narrowing_windows": True},
    CBOW | {"early_threshold_fraction": 1.0},
    {"min_count": 10},
)
# gensim's defaults, and its skip-gram with all else by default: its rate falls from 0.025 to 0.0001.
PEER_CANDIDATES: tuple[dict[str, Any], ...] = (
    {"learning_rate": 0.025, "final_rate_fraction": 0.004, "model": "cbow", **WITHOUT_PHASES},
    {"learning_rate": 0.025, "final_rate_fraction": 0.004, **WITHOUT_PHASES},
)


def search_defaults(
    output: Annotated[Path, typer.Option(file_okay=False, help="folder to write into")] = RESULTS,
    cache: Annotated[Path, typer.Option(file_okay=False, help="workspace that keeps the Korean text, cut")] = Path(
        "workspace"
    ),
    repeat: Annotated[int, typer.Option(min=1, help="seeds")] = 3,
    stop_after_minutes: Annotated[
        float | None, typer.Option(min=0, help="start no training after that, and write the page of what there is")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="forget the runs of a search that was stopped")] = False,
) -> None:
    """Score many settings of vecmill and gensim's defaults on three corpora; takes several hours.

    Every run is kept in defaults.partial.json at once, and the same command goes on from there.
    """
    logging.getLogger("gensim").setLevel(logging.ERROR)
    partial_file = output / "defaults.partial.json"
    if fresh:
        partial_file.unlink(missing_ok=True)
    ledger = open_ledger(partial_file, this_place(), datetime.now(UTC).date().isoformat())
    deadline = None if stop_after_minutes is None else time.monotonic() + 60 * stop_after_minutes
    texts = find_texts(cache)
    finished = run_all(ledger, [text for text in texts if text.missing is None], repeat, deadline, partial_file)
    ledger.save(output / "defaults.json")
    (output / "defaults.md").write_text(write_page(ledger), encoding="utf-8")
    if finished:
        partial_file.unlink()


def run_all(ledger: Ledger, texts: list[Text], repeat: int, deadline: float | None, file: Path) -> bool:
    """Train what the ledger lacks, candidate by candidate on all corpora; returns whether nothing is left to do."""
    with tempfile.TemporaryDirectory() as folder:
        corpora = [text.load(Path(folder)) for text in texts]
        for trainer, settings in searched(repeat):
            for corpus in corpora:
                if ledger.has("comparison", corpus.name, trainer, settings):
                    continue
                if deadline is not None and time.monotonic() > deadline:
                    return False
                evaluate = partial(all_scores, korean=corpus.name == KOREAN_WIKIPEDIA)
                ledger.runs.append(measure("comparison", corpus, trainer, settings, evaluate))
                ledger.save(file)
                logger.info("%s, %s: %s", corpus.name, describe(settings), ledger.runs[-1].quality)
    return True


def all_scores(vectors: KeyedVectors, *, korean: bool) -> dict[str, float]:
    """The searched scores, then the reported ones."""
    return searched_scores(vectors, korean=korean) | reported_scores(vectors, korean=korean)


def searched(repeat: int) -> Iterator[tuple[str, BenchmarkSettings]]:
    """Every training of the search, seed by seed."""
    for seed in range(1, repeat + 1):
        for trainer, candidates in (("vecmill", CANDIDATES), ("gensim", PEER_CANDIDATES)):
            for changes in candidates:
                yield trainer, BASE.model_copy(update=changes | {"seed": seed})


def write_page(ledger: Ledger) -> str:
    """One table for each corpus."""
    place = ledger.place
    lines = [
        "# The search behind the default settings",
        "",
        f"Written by `python -m benchmarks defaults` on {ledger.date}, code of commit {place.commit}, "
        f"{place.processor}, {BASE.workers} workers. All train {BASE.epochs} epochs of dimension {BASE.dimension}; "
        "mean ± standard deviation over the seeds.",
        "",
        "`searched` is the mean of the scores that settings may be chosen by: WordSim-353's two parts, MTurk-771, the "
        "odd pairs of MEN and the odd sections of the analogies, or the odd pairs of the Korean WordSim-353. "
        "`difference` is its mean difference from vecmill's defaults with the same seeds. The other scores choose "
        "nothing; `men_even` and `analogies_even` are the halves that were not searched on.",
        "",
        "What vecmill has no setting for, and earlier defaults: "
        "[experiments.md](../../docs/experiments.md#default-settings-compared-with-gensims). "
        "The first search, with center vectors alone and an older kernel: [defaults_center.md](defaults_center.md).",
    ]
    for corpus in dict.fromkeys(run.corpus for run in ledger.runs):
        lines += ["", f"## {corpus}", "", *_table([run for run in ledger.runs if run.corpus == corpus])]
    return "\n".join(lines) + "\n"


def _table(runs: list[Run]) -> Iterator[str]:
    alike: dict[tuple[str, BenchmarkSettings], list[Run]] = {}
    for run in runs:
        alike.setdefault((run.trainer, run.settings.model_copy(update={"seed": 1})), []).append(run)
    metrics = [metric for metric in REPORTED if metric in runs[0].quality]
    defaults = {run.settings.seed: searched_mean(run) for run in alike.get(("vecmill", BASE), ())}
    yield f"| trainer | settings | seeds | searched | difference | {' | '.join(metrics)} |"
    yield f"|---|---|---:|---:|---:|{'---:|' * len(metrics)}"
    for (trainer, settings), own in alike.items():
        pairs = [(searched_mean(run), defaults[run.settings.seed]) for run in own if run.settings.seed in defaults]
        difference = f"{statistics.fmean(value - base for value, base in pairs):+.3f}" if pairs else ""
        values = [score([searched_mean(run) for run in own]), *_scores(own, metrics)]
        first, *others = [f"{value.mean:.3f} ± {value.deviation:.3f}" for value in values]
        cells = [trainer, describe(settings), str(len(own)), first, difference, *others]
        yield f"| {' | '.join(cells)} |"


def searched_mean(run: Run) -> float:
    """Mean of the scores that settings may be chosen by."""
    return statistics.fmean(value for metric, value in run.quality.items() if metric not in REPORTED)


def _scores(runs: list[Run], metrics: list[str]) -> list[Score]:
    return [score([run.quality[metric] for run in runs]) for metric in metrics]


def describe(settings: BenchmarkSettings) -> str:
    """What a candidate changes, seed aside."""
    settings = settings.model_copy(update={"seed": 1})
    if settings == BASE.model_copy(update=PEER_CANDIDATES[0]):
        return "gensim's defaults"
    if settings == BASE:
        return "**vecmill's defaults**"
    own, base = settings.model_dump(), BASE.model_dump()
    return ", ".join(f"{name} {value}" for name, value in own.items() if value != base[name])
