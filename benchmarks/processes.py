"""`python -m benchmarks processes`: training over processes compared with one, in turn, on the movie reviews or a text.

Real processes on this machine, one thread each, connected by its loopback device. Each seed trains with every number of
processes, one after the other, so that other programs disturb all of them alike. `python -m benchmarks scale --real`
checks its model by the JSON file of the runs.
"""

import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean
from typing import Annotated, Literal

import numpy as np
import typer
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from benchmarks.ledger import RESULTS, this_place
from benchmarks.quality import ANALOGY_WORDS, MEN, METRICS
from flows.deployments import build_parameters, find_deployment
from storage.corpus.vocabularies import read_vocabulary
from storage.disk import replaced_file
from storage.gold.sets import read_default_gold_sets, read_word_pairs
from storage.layout import Workspace
from storage.models.matrices import read_vectors
from storage.runs import registered_run
from tasks.metrics.analogies import AnalogyScore, score_analogies
from tasks.metrics.similarity import score_similarity
from tasks.pipeline import build_model

Exchange = Literal["rows", "tables"]
EXCHANGES: dict[str, Exchange] = {"rows": "rows", "tables": "tables"}
Key = tuple[str, int, Exchange | None, int]
DEPLOYMENT = "movie-reviews"


class ProcessRun(BaseModel):
    """One training.

    exchange: `training.process_exchange`; None with one process.  words: of the vocabulary.
    tokens: of the corpus in one epoch.  words_per_second: of all processes.
    bytes_per_word: that each process added up with the others, per word that it trained; None with one process.
    """

    model_config = ConfigDict(frozen=True)

    corpus: str
    processes: int
    exchange: Exchange | None
    seed: int
    words: int
    dimension: int
    tokens: int
    words_per_second: float
    bytes_per_word: float | None
    scores: dict[str, float]

    @property
    def key(self) -> Key:
        """Corpus, processes, exchange and seed."""
        return self.corpus, self.processes, self.exchange, self.seed


class RealRun(BaseModel):
    """A training over processes that exchange rows, and what was measured next to it with the same seed.

    apart: words per second of all processes without exchanges during an epoch: what the processes reach if
    they only share the machine.  one_process: of one.
    """

    model_config = ConfigDict(frozen=True)

    run: ProcessRun
    apart: float
    one_process: float

    @property
    def speed_up(self) -> float:
        """Over one process."""
        return self.run.words_per_second / self.one_process


def measure_processes(
    counts: Annotated[str, typer.Option(help="numbers of processes; the first is the one to compare with")] = "1,2,4",
    seeds: Annotated[str, typer.Option(help="seeds, separated by commas")] = "1,2,3",
    exchanges: Annotated[str, typer.Option(help="values of training.process_exchange")] = "rows,tables",
    settings: Annotated[list[str] | None, typer.Option("--set", metavar="SETTING=VALUE")] = None,
    corpus: Annotated[str, typer.Option(help="name in the tables")] = "movie reviews",
    output: Annotated[Path, typer.Option(file_okay=False, help="folder to write into")] = RESULTS,
) -> None:
    """Train with several numbers of processes and seeds; write processes.md, and the runs as JSON next to it.

    Runs in the JSON file of other corpora, seeds and numbers of processes are kept. `scale --real` reads it.
    """
    output.mkdir(parents=True, exist_ok=True)
    file = output / "processes.json"
    runs = read_runs(file)
    with tempfile.TemporaryDirectory() as name:
        workspace = Workspace(Path(name))
        with registered_run(workspace):
            for seed in _numbers(seeds):
                for count in _numbers(counts):
                    for exchange in _exchanges(exchanges) if count > 1 else (None,):
                        run = train_once((corpus, count, exchange, seed), settings or [], workspace)
                        typer.echo(run.model_dump_json())
                        runs = [*(old for old in runs if old.key != run.key), run]
                        _write_runs(file, runs)
    (output / "processes.md").write_text(write_page(runs), encoding="utf-8")


def _numbers(text: str) -> list[int]:
    """Raises BadParameter."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not a list such as 1,2,4") from error


def _exchanges(text: str) -> list[Exchange]:
    """Raises BadParameter."""
    try:
        return [EXCHANGES[part] for part in text.split(",")]
    except KeyError as error:
        raise typer.BadParameter(f"{text!r} is not rows, tables or both: rows,tables") from error


def _write_runs(file: Path, runs: Sequence[ProcessRun]) -> None:
    with replaced_file(file) as written:
        lines = ",\n".join(f" {run.model_dump_json()}" for run in runs)
        written.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def read_runs(file: Path) -> list[ProcessRun]:
    """The runs of earlier calls, if there were any."""
    return [ProcessRun.model_validate(run) for run in json.loads(file.read_text())] if file.exists() else []


def train_once(key: Key, settings: Sequence[str], workspace: Workspace) -> ProcessRun:
    """Train with one thread per process; the text stages are those of the run before."""
    corpus, processes, exchange, seed = key
    own = [f"training.processes={processes}", f"training.seed={seed}", "training.workers=1"]
    own += [f"training.process_exchange={exchange}"] if exchange else []
    parameters = build_parameters(find_deployment(DEPLOYMENT), [*settings, *own])
    lineage = build_model(parameters, workspace)
    facts = lineage.training.facts
    words = list(read_vocabulary(lineage.vocabulary.path).words)
    vectors = read_vectors(lineage.training.path, parameters.training.published_matrix)
    return ProcessRun(
        corpus=corpus,
        processes=processes,
        exchange=exchange,
        seed=seed,
        words=len(words),
        dimension=parameters.training.dimension,
        tokens=lineage.tokens.facts.tokens,
        words_per_second=facts.words_per_second,
        bytes_per_word=facts.processes.exchanged_bytes_per_word if facts.processes else None,
        scores=score(words, vectors),
    )


def score(words: Sequence[str], vectors: NDArray[np.float32]) -> dict[str, float]:
    """The measures of `METRICS` by vecmill's functions, which match gensim's. vectors: (V, D)."""
    gold = read_default_gold_sets()
    men = [read_word_pairs(MEN, "men")] if MEN.exists() else []
    scores = {
        pairs.name: score_similarity(words, vectors, pairs.first, pairs.second, pairs.scores).spearman or 0.0
        for pairs in (*gold.similarity, *men)
    }
    (questions,) = gold.analogies
    sections = score_analogies(words, vectors, questions.sections, ANALOGY_WORDS).values()
    return scores | {"google_analogies": sum(sections, start=AnalogyScore(0, 0, 0)).accuracy or 0.0}


def real_runs(runs: Iterable[ProcessRun]) -> list[RealRun]:
    """For each corpus and number of processes that were measured with both exchanges and compared with one process.

    Each speed is the highest of the seeds, because other programs only make a run slower.
    """
    best: dict[tuple[str, int, Exchange | None], ProcessRun] = {}
    for run in sorted(runs, key=lambda run: run.words_per_second):
        best[run.corpus, run.processes, run.exchange] = run
    found = []
    for (corpus, processes, exchange), run in sorted(best.items(), key=lambda item: (item[0][:2], item[0][2] or "")):
        apart, one = best.get((corpus, processes, "tables")), best.get((corpus, 1, None))
        if exchange == "rows" and apart and one:
            found.append(RealRun(run=run, apart=apart.words_per_second, one_process=one.words_per_second))
    return found


def write_page(runs: Sequence[ProcessRun]) -> str:
    """The measurements as Markdown: highest speeds, means of scores, and differences to one process."""
    place = this_place()
    lines = [
        "# Training over processes",
        "",
        f"`python -m benchmarks processes` on {datetime.now(UTC):%Y-%m-%d}: processes of one thread each on one "
        f"machine, all in turn for each seed. {place.processor}, {place.cores} cores, commit {place.commit}. Speed: "
        "the highest of the seeds, because other programs ran too; in parentheses its ratio to one process. Scores: "
        "the means over the seeds, of the published vectors; in parentheses the difference to one process. Bytes are "
        "those that each process adds up with the others, per word that it trains.",
        "",
        "| corpus | processes | exchange | seeds | words/s | bytes per word | " + " | ".join(METRICS) + " |",
        f"|---|---:|---|---|---:|---:|{'---:|' * len(METRICS)}",
    ]
    groups: dict[tuple[str, int, str], dict[int, ProcessRun]] = {}
    for run in sorted(runs, key=lambda run: (run.corpus, run.processes, run.exchange or "", run.seed)):
        groups.setdefault((run.corpus, run.processes, run.exchange or ""), {})[run.seed] = run
    for (corpus, processes, exchange), own in groups.items():
        alone = groups.get((corpus, 1, ""), {}) if processes > 1 else {}
        cells = [_speed(own, alone), _bytes(own), *(_score(metric, own, alone) for metric in METRICS)]
        lines.append(
            f"| {corpus} | {processes} | {exchange} | {', '.join(map(str, sorted(own)))} | {' | '.join(cells)} |"
        )
    return "\n".join([*lines, ""])


def _speed(runs: Mapping[int, ProcessRun], alone: Mapping[int, ProcessRun]) -> str:
    """Both: seed -> run."""
    highest = max(run.words_per_second for run in runs.values())
    if not alone:
        return f"{highest:,.0f}"
    return f"{highest:,.0f} ({highest / max(run.words_per_second for run in alone.values()):.2f})"


def _bytes(runs: Mapping[int, ProcessRun]) -> str:
    sent = [run.bytes_per_word for run in runs.values() if run.bytes_per_word is not None]
    return f"{mean(sent):.1f}" if sent else ""


def _score(metric: str, runs: Mapping[int, ProcessRun], alone: Mapping[int, ProcessRun]) -> str:
    own = {seed: run.scores[metric] for seed, run in runs.items() if metric in run.scores}
    if not own:
        return ""
    differences = [score - alone[seed].scores[metric] for seed, score in own.items() if seed in alone]
    return f"{mean(own.values()):.4f}" + (f" ({mean(differences):+.4f})" if differences else "")
