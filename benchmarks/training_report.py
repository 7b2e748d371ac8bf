"""`python -m benchmarks training-report`: speed, scaling and quality against all peers: a page, JSON and a plot."""

import logging
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import track

from benchmarks.corpora import BenchmarkCorpus, load_corpus
from benchmarks.ledger import RESULTS, Ledger, measure, open_ledger, this_place
from benchmarks.trainers import is_installed
from benchmarks.training_page import write_page
from benchmarks.training_plan import Plan, full_plan, planned_runs
from benchmarks.training_plots import plot_summary
from benchmarks.training_summary import Summary, summarise

# Above this many busy cores the figures would be those of a machine that does something else as well.
BUSY_LOAD = 0.5


class Report(Ledger):
    """What training.json holds: all runs, and what they say together."""

    summary: Summary


def report_training(
    output: Annotated[Path, typer.Option(file_okay=False, help="folder to write into")] = RESULTS,
    repeat: Annotated[int, typer.Option(min=1, help="paired runs of everything")] = 3,
    fresh: Annotated[bool, typer.Option("--fresh", help="forget the runs of a measurement that was stopped")] = False,
) -> None:
    """Measure everything that README quotes; takes about 35 minutes on two cores with nothing else to do.

    Every run is kept in training.partial.json at once, and the same command goes on from there.
    """
    if not is_installed("fasttext"):
        raise typer.BadParameter("fastText is not installed; run `make bench`, which installs it")
    logging.getLogger("gensim").setLevel(logging.ERROR)
    if fresh:
        _partial(output).unlink(missing_ok=True)
    if os.getloadavg()[0] > BUSY_LOAD:
        typer.echo(f"warning: the load of this machine is {os.getloadavg()[0]:.2f}; measure when it is idle", err=True)
    for path in write_report(full_plan(repeat), output):
        typer.echo(path)


def write_report(plan: Plan, output: Path) -> list[Path]:
    """Make the runs of the plan that are not there yet, and write what all of them say. Returns the files written."""
    partial = _partial(output)
    ledger = open_ledger(partial, this_place(), datetime.now(UTC).date().isoformat())
    with tempfile.TemporaryDirectory() as folder:
        _run(plan, ledger, partial, Path(folder))
    summary = summarise(plan, ledger.runs)
    pictures = plot_summary(summary, output / "training")
    page, data = output / "training.md", output / "training.json"
    page.write_text(write_page(ledger, summary, pictures[0].name), encoding="utf-8")
    data.write_text(Report(**dict(ledger), summary=summary).model_dump_json(indent=1) + "\n", encoding="utf-8")
    partial.unlink()
    return [page, data, *pictures]


def _run(plan: Plan, ledger: Ledger, partial: Path, folder: Path) -> None:
    corpora: dict[Path | None, BenchmarkCorpus] = {}
    for planned in track(list(planned_runs(plan)), description="training"):
        if planned.path not in corpora:
            corpora[planned.path] = load_corpus(planned.path, folder)
        corpus = corpora[planned.path]
        if not ledger.has(planned.part, corpus.name, planned.trainer, planned.settings):
            ledger.runs.append(measure(planned.part, corpus, planned.trainer, planned.settings))
            ledger.save(partial)


def _partial(output: Path) -> Path:
    return output / "training.partial.json"
