"""`python -m benchmarks defaults`: the search for vecmill's default settings, compared with gensim's defaults.

Every candidate trains the same words: 5 epochs, as gensim does by default. Speed plays no part, so the machine may be
busy.
"""

import logging
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import track

from benchmarks.corpora import load_corpus
from benchmarks.ledger import RESULTS, Ledger, Run, measure, open_ledger, this_place
from benchmarks.quality import METRICS
from benchmarks.trainers import BenchmarkSettings
from benchmarks.training_plan import WIKIPEDIA
from benchmarks.training_summary import Score, score
from tasks.trainers.bookkeeping import DEFAULT_CBOW_LEARNING_RATE

BASE = BenchmarkSettings(learning_rate=0.05, final_rate_fraction=1e-4, matrix="published")
# What is searched: the two settings that matter most on a grid, then the others one at a time.
CANDIDATES: tuple[dict[str, Any], ...] = (
    *(
        {"learning_rate": rate, "subsample_threshold": threshold}
        for threshold in (1e-3, 1e-4, 1e-5)
        for rate in (0.025, 0.05, 0.075)
    ),
    {"final_rate_fraction": 0.1},
    {"final_rate_fraction": 0.1, "learning_rate": 0.035},
    {"window_radius": 3},
    {"window_radius": 10},
    {"reduced_windows": False},
    {"negatives_per_pair": 10},
    {"model": "cbow", "learning_rate": DEFAULT_CBOW_LEARNING_RATE},
    {"min_count": 10},
)
# gensim's defaults, and its skip-gram with all else by default: its rate falls from 0.025 to 0.0001.
PEER_CANDIDATES: tuple[dict[str, Any], ...] = (
    {"learning_rate": 0.025, "final_rate_fraction": 0.004, "model": "cbow"},
    {"learning_rate": 0.025, "final_rate_fraction": 0.004},
)


def search_defaults(
    output: Annotated[Path, typer.Option(file_okay=False, help="folder to write into")] = RESULTS,
    repeat: Annotated[int, typer.Option(min=1, help="seeds")] = 3,
    fresh: Annotated[bool, typer.Option("--fresh", help="forget the runs of a search that was stopped")] = False,
) -> None:
    """Score many settings of vecmill and gensim's defaults; takes an hour or two, also on a busy machine.

    Every run is kept in defaults.partial.json at once, and the same command goes on from there.
    """
    logging.getLogger("gensim").setLevel(logging.ERROR)
    texts = [None, WIKIPEDIA] if WIKIPEDIA.exists() else [None]
    partial = output / "defaults.partial.json"
    if fresh:
        partial.unlink(missing_ok=True)
    ledger = open_ledger(partial, this_place(), datetime.now(UTC).date().isoformat())
    with tempfile.TemporaryDirectory() as folder:
        for text in texts:
            corpus = load_corpus(text, Path(folder))
            for trainer, settings in track(list(searched(repeat)), description=corpus.name):
                if not ledger.has("comparison", corpus.name, trainer, settings):
                    ledger.runs.append(measure("comparison", corpus, trainer, settings))
                    ledger.save(partial)
    ledger.save(output / "defaults.json")
    (output / "defaults.md").write_text(write_page(ledger), encoding="utf-8")
    partial.unlink()


def searched(repeat: int) -> Iterator[tuple[str, BenchmarkSettings]]:
    """Every training of the search, seed by seed."""
    for seed in range(1, repeat + 1):
        for trainer, candidates in (("gensim", PEER_CANDIDATES), ("vecmill", CANDIDATES)):
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
    ]
    for corpus in dict.fromkeys(run.corpus for run in ledger.runs):
        lines += ["", f"## {corpus}", "", *_table([run for run in ledger.runs if run.corpus == corpus])]
    return "\n".join(lines) + "\n"


def _table(runs: list[Run]) -> Iterator[str]:
    alike: dict[tuple[str, BenchmarkSettings], list[Run]] = {}
    for run in runs:
        alike.setdefault((run.trainer, run.settings.model_copy(update={"seed": 1})), []).append(run)
    metrics = [metric for metric in METRICS if metric in runs[0].quality]
    gensim_default = BASE.model_copy(update=PEER_CANDIDATES[0])
    bounds = _scores(alike["gensim", gensim_default], metrics)
    yield f"| trainer | settings | seeds | {' | '.join(metrics)} | above gensim's defaults in |"
    yield f"|---|---|---|{'---|' * len(metrics)}---|"
    for (trainer, settings), own in alike.items():
        scores = _scores(own, metrics)
        above = sum(value.mean > bound.mean for value, bound in zip(scores, bounds, strict=True))
        cells = [trainer, _difference(settings, gensim_default), str(len(own))]
        cells += [f"{value.mean:.3f} ± {value.deviation:.3f}" for value in scores]
        yield f"| {' | '.join(cells)} | {above} of {len(metrics)} |"


def _scores(runs: list[Run], metrics: list[str]) -> list[Score]:
    return [score([run.quality[metric] for run in runs]) for metric in metrics]


def _difference(settings: BenchmarkSettings, gensim_default: BenchmarkSettings) -> str:
    if settings == gensim_default:
        return "gensim's defaults"
    if settings == BASE:
        return "**vecmill's defaults**"
    own, base = settings.model_dump(), BASE.model_dump()
    return ", ".join(f"{name} {value}" for name, value in own.items() if value != base[name])
