"""`python -m benchmarks gates`: what honest and broken training score; a deployment's gates are set between them.

The broken runs train on the same words in random order across all documents: frequencies and document lengths stay,
everything that a vector could learn is gone. A pipeline that loses the order of words, or pairs words with the wrong
vectors, looks like that.
"""

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from pydantic import BaseModel
from rich.console import Console
from rich.progress import track
from rich.table import Table

from flows.deployments import build_parameters, find_deployment
from storage.corpus.tokens import read_tokens
from storage.layout import Workspace, resolve_workspace
from storage.runs import registered_run
from storage.stages import Manifest
from tasks.metrics.gates import Gate, bound_text
from tasks.pipeline import Lineage, build_model, evaluate_model
from tasks.tokens import TokensFacts


class Spread(BaseModel):
    """One metric over all seeds of one kind of run."""

    metric: str
    kind: str
    lowest: float
    mean: float
    highest: float


def measure_gates(
    deployment: Annotated[str, typer.Option(help="whose corpus, settings and gates")] = "movie-reviews",
    seeds: Annotated[int, typer.Option(min=1, help="runs of each kind")] = 5,
    settings: Annotated[list[str] | None, typer.Option("--set", metavar="SETTING=VALUE")] = None,
    workspace: Annotated[Path | None, typer.Option(help="folder of all artefacts; finished runs are reused")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Train with several seeds on a deployment's corpus and on its words shuffled, and print the metrics of both."""
    place = resolve_workspace(workspace)
    place.check_writable()
    chosen = settings or []
    gates = build_parameters(find_deployment(deployment), chosen).publication.active_gates
    with registered_run(place):
        spreads = measure(deployment, chosen, range(1, seeds + 1), place)
    if as_json:
        bounds = {metric: gate.model_dump() for metric, gate in gates.items()}
        typer.echo(json.dumps({"spreads": [spread.model_dump() for spread in spreads], "gates": bounds}))
    else:
        Console().print(_table(spreads, gates))


def measure(deployment: str, settings: Sequence[str], seeds: Sequence[int], workspace: Workspace) -> list[Spread]:
    """Train with every seed on the deployment's own corpus and on its words shuffled."""
    honest = _runs("honest", deployment, settings, seeds, workspace)
    text = workspace.root / "shuffled.txt"
    text.write_text("\n".join(shuffled_documents(honest[0].tokens, seed=0)), encoding="utf-8")
    corpus = build_parameters(find_deployment(deployment), settings).corpus
    # A line is a document or a sequence.
    lines = (
        ["corpus.group_column=none", "corpus.order_column=none"]
        if corpus.format == "sequences"
        else ["tokenizer.name=whitespace"]
    )
    own = [f"corpus.path={text}", "corpus.source=files", *lines]
    shuffled = _runs("shuffled", deployment, [*settings, *own], seeds, workspace)
    return _spreads("honest", honest) + _spreads("shuffled", shuffled)


def _spreads(kind: str, runs: Sequence[Lineage]) -> list[Spread]:
    """Range of each metric over the runs, without coverages and random baselines."""
    metrics = [run.evaluation.facts.metrics for run in runs]
    spreads = []
    for metric in [name for name in metrics[0] if not name.endswith(("_coverage", "_random"))]:
        values = [float(run[metric] or 0.0) for run in metrics]
        spreads.append(
            Spread(metric=metric, kind=kind, lowest=min(values), mean=statistics.mean(values), highest=max(values))
        )
    return spreads


def _table(spreads: Sequence[Spread], gates: Mapping[str, Gate]) -> Table:
    table = Table("metric", box=None, pad_edge=False, header_style="bold")
    for kind in dict.fromkeys(spread.kind for spread in spreads):
        table.add_column(f"{kind}: lowest, mean, highest", justify="right")
    table.add_column("gate")
    for metric in dict.fromkeys(spread.metric for spread in spreads):
        own = [spread for spread in spreads if spread.metric == metric]
        gate = gates.get(metric)
        table.add_row(
            metric,
            *(f"{spread.lowest:.3f}  {spread.mean:.3f}  {spread.highest:.3f}" for spread in own),
            bound_text(gate.model_dump() | {"previous": None, "random": None}) if gate else "",
        )
    return table


def _runs(
    kind: str, deployment: str, settings: Sequence[str], seeds: Sequence[int], workspace: Workspace
) -> list[Lineage]:
    """One evaluated model per seed."""
    runs = []
    for seed in track(seeds, description=kind, console=Console(stderr=True)):
        parameters = build_parameters(find_deployment(deployment), [*settings, f"training.seed={seed}"])
        runs.append(evaluate_model(build_model(parameters, workspace), parameters, workspace))
    return runs


def shuffled_documents(tokens: Manifest[TokensFacts], seed: int) -> Iterator[str]:
    """Documents of the same lengths, filled with all words of the corpus in random order."""
    batches = [batch.tokens for batch in read_tokens(tokens.path)]
    lengths = np.concatenate([np.asarray(batch.value_lengths()) for batch in batches])
    words = np.concatenate([batch.flatten().to_numpy(zero_copy_only=False) for batch in batches])
    np.random.default_rng(seed).shuffle(words)
    for document in np.split(words, np.cumsum(lengths)[:-1]):
        yield " ".join(document)
