"""`python -m benchmarks training`: words per second and quality of vecmill and a peer, same settings, one run."""

import json
import logging
import statistics
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.corpora import load_corpus
from benchmarks.ledger import Run, measure, this_place
from benchmarks.quality import METRICS
from benchmarks.trainers import INSTALLED_BY, PEERS, BenchmarkSettings, is_installed
from tasks.trainers.backends import resolve_config
from tasks.trainers.gpu.status import device_name

CorpusOption = Annotated[
    Path | None, typer.Option(exists=True, dir_okay=False, help="text or .gz; none: movie reviews")
]
DEFAULTS = BenchmarkSettings()


def measure_training(
    corpus: CorpusOption = None,
    peer: Annotated[str, typer.Option(help=f"one of {', '.join(PEERS)}, or none")] = "gensim",
    epochs: int = DEFAULTS.epochs,
    model: Annotated[str, typer.Option(help="skip_gram or cbow")] = DEFAULTS.model,
    dimension: int = DEFAULTS.dimension,
    window: Annotated[int, typer.Option(help="words to each side")] = DEFAULTS.window_radius,
    negatives: int = DEFAULTS.negatives_per_pair,
    workers: Annotated[int, typer.Option(help="threads")] = DEFAULTS.workers,
    learning_rate: float = DEFAULTS.learning_rate,
    final_rate_fraction: Annotated[
        float, typer.Option(help="rate at the end, as a part of the first")
    ] = DEFAULTS.final_rate_fraction,
    threshold: Annotated[float, typer.Option(help="subsampling threshold")] = DEFAULTS.subsample_threshold,
    min_count: int = DEFAULTS.min_count,
    seed: Annotated[int, typer.Option(help="of the first run; each repetition takes the next")] = DEFAULTS.seed,
    repeat: Annotated[int, typer.Option(min=1, help="paired runs")] = 1,
    quality: Annotated[bool, typer.Option(help="evaluate the vectors of every run")] = True,
    backend: str = DEFAULTS.backend,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Train vecmill and a peer in turn with the same settings, and print words/s, their ratio and the quality.

    Words are raw tokens of the corpus x epochs, seconds those of training alone. Lines are cut at 10,000 tokens.
    """
    if peer not in (*PEERS, "none"):
        raise typer.BadParameter(f"{peer!r} is none of {', '.join(PEERS)}, none", param_hint="--peer")
    if peer != "none" and not is_installed(peer):
        raise typer.BadParameter(f"{peer} is not installed; pip install {INSTALLED_BY[peer]}", param_hint="--peer")
    logging.getLogger("gensim").setLevel(logging.ERROR)
    settings = BenchmarkSettings(
        model=model,
        dimension=dimension,
        window_radius=window,
        negatives_per_pair=negatives,
        epochs=epochs,
        learning_rate=learning_rate,
        final_rate_fraction=final_rate_fraction,
        subsample_threshold=threshold,
        min_count=min_count,
        workers=workers,
        seed=seed,
        backend=backend,
    )
    try:
        resolve_config(settings.training)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--backend") from error
    trainers = ["vecmill", *([] if peer == "none" else [peer])]
    runs: dict[str, list[Run]] = {name: [] for name in trainers}
    with tempfile.TemporaryDirectory() as folder:
        text = load_corpus(corpus, Path(folder))
        for number in range(repeat):
            for name in trainers:
                seeded = settings.model_copy(update={"seed": seed + number})
                runs[name].append(measure("comparison" if quality else "sweep", text, name, seeded))
    report = _report(runs, settings)
    if as_json:
        typer.echo(json.dumps(report))
    else:
        _print_report(report)


def _report(runs: dict[str, list[Run]], settings: BenchmarkSettings) -> dict[str, Any]:
    """Medians of speed and ratio, means of quality, and every run."""
    first = runs["vecmill"][0]
    backend = resolve_config(settings.training).backend
    report: dict[str, Any] = {
        "corpus": first.corpus,
        "tokens": first.tokens,
        "settings": settings.model_dump() | {"backend": backend},
        "machine": this_place().model_dump() | {"gpu": device_name() if backend == "triton" else None},
        "trainers": {name: _summary(own) for name, own in runs.items()},
    }
    for peer in [name for name in runs if name != "vecmill"]:
        pairs = zip(runs["vecmill"], runs[peer], strict=True)
        ratios = [own.words_per_second / other.words_per_second for own, other in pairs]
        report |= {"ratio": statistics.median(ratios), "ratios": ratios}
    return report


def _summary(runs: list[Run]) -> dict[str, Any]:
    means = {name: statistics.fmean(run.quality[name] for run in runs) for name in runs[0].quality}
    every = [{"seconds": run.seconds, "words_per_second": run.words_per_second} | run.quality for run in runs]
    return {"words_per_second": statistics.median(run.words_per_second for run in runs)} | means | {"runs": every}


def _print_report(report: dict[str, Any]) -> None:
    table = Table(title=f"{report['corpus']}: {report['tokens']:,} tokens x {report['settings']['epochs']} epochs")
    table.add_column("trainer")
    for column in ("words/s", *METRICS):
        table.add_column(column, justify="right")
    for name, result in report["trainers"].items():
        scores = [f"{result[metric]:.3f}" if metric in result else "" for metric in METRICS]
        table.add_row(name, f"{result['words_per_second']:,.0f}", *scores)
    console = Console()
    console.print(table)
    if "ratio" in report:
        every = ", ".join(f"{ratio:.2f}" for ratio in report["ratios"])
        console.print(f"ratio of words/s: {report['ratio']:.2f} (median of {every})")
