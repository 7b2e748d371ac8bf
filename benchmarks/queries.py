"""`python -m benchmarks queries`: the SQL of a release against the bare scan and gensim, same vectors, one run."""

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import duckdb
import numpy as np
import typer
from gensim.models import KeyedVectors
from rich.console import Console
from rich.table import Table

import vecmill
from storage.releases.file import ReleaseContent, write_release_file
from storage.releases.schema import Provenance
from storage.vectors.reference import DEFAULT_REFERENCE, ReferenceVectors, read_reference
from tasks.metrics.cosines import unit_rows
from tasks.trainers.backends import available_cores

QUERIES = ("king", "france", "computer", "the", "november")
FREQUENT_RANK = 50_000
JOINED_WORDS = 10_000
NEIGHBORS = 10
BARE_SCAN = """
    SELECT w.word, array_inner_product(w.vector, ?::FLOAT[{dimension}]) AS similarity
    FROM word_vectors w ORDER BY similarity DESC LIMIT 10
"""


@dataclass(frozen=True)
class Target:
    """What a measurement is held against. value: measured, in the unit of its text."""

    text: str
    value: float
    limit: float

    @property
    def reached(self) -> bool:
        """Whether the value is within its limit."""
        return self.value <= self.limit


def measure_queries(
    reference: Annotated[str, typer.Option(help="vectors to query, as in evaluation.reference")] = DEFAULT_REFERENCE,
    repeat: Annotated[int, typer.Option(min=3, help="turns of five warm queries; the median counts")] = 15,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Query a release of well-known vectors by its macros, by the bare scan, in Python and by gensim; print times."""
    vectors = read_reference(reference)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "release.duckdb"
        started = time.perf_counter()
        write_release_file(path, "benchmark", 1, _content(vectors))
        written = time.perf_counter() - started
        with duckdb.connect(str(path), read_only=True) as connection:
            times = _measure(_queries(connection, vectors, vecmill.open(path)), repeat)
        size = path.stat().st_size
    targets = _targets(times)
    report = {
        "vectors": vectors.name,
        "rows": len(vectors.words),
        "dimension": vectors.vectors.shape[1],
        "written_seconds": written,
        "megabytes": size / 1e6,
        "machine": {"cores": available_cores(), "load": os.getloadavg()[0]},
        "versions": {name: version(name) for name in ("duckdb", "gensim", "numpy")},
        "milliseconds": times,
        "targets": [{"text": t.text, "value": t.value, "limit": t.limit, "reached": t.reached} for t in targets],
    }
    if as_json:
        typer.echo(json.dumps(report))
    else:
        _print_report(report, targets)


def _content(vectors: ReferenceVectors) -> ReleaseContent:
    rows = len(vectors.words)
    return ReleaseContent(
        words=vectors.words,
        counts=np.arange(rows, 0, -1, dtype=np.int64),
        vectors=vectors.vectors,
        provenance=Provenance(
            model_digest="benchmark",
            architecture="reference",
            backend="none",
            seed=0,
            corpus_digest="none",
            config_digest="none",
            library_versions="{}",
            corpus_source=vectors.source,
            corpus_licence=vectors.licence,
            reference_source="none",
            reference_licence="none",
        ),
    )


def _queries(
    connection: duckdb.DuckDBPyConnection, vectors: ReferenceVectors, table: vecmill.Table
) -> dict[str, Callable[[str], Sequence[Any]]]:
    """Name -> a call that answers for one word, all about the same vectors."""
    peer = KeyedVectors(vectors.vectors.shape[1])
    peer.add_vectors(vectors.words, vectors.vectors)
    rows = {word: row for row, word in enumerate(vectors.words)}
    unit = unit_rows(vectors.vectors)
    bare = BARE_SCAN.format(dimension=unit.shape[1])

    def ask(sql: str) -> Callable[[str], Sequence[Any]]:
        return lambda word: connection.execute(sql, [word]).fetchall()

    def bare_scan(word: str) -> Sequence[Any]:
        return connection.execute(bare, [unit[rows[word]].tolist()]).fetchall()

    def numpy_scan(word: str) -> Sequence[Any]:
        scores = unit @ unit[rows[word]]
        best = np.argpartition(-scores, NEIGHBORS)[: NEIGHBORS + 1]
        return list(best[np.argsort(-scores[best])])

    def join(word: str) -> Sequence[Any]:
        table = connection.sql(
            f"SELECT wanted.word, w.vector FROM wanted JOIN word_vectors w ON w.word = wanted.word -- {word}"
        ).to_arrow_table()
        if table.num_rows != wanted:
            raise ValueError(f"{table.num_rows} rows came from a join with {wanted} words")
        return [table]

    wanted = min(JOINED_WORDS, len(vectors.words))
    chosen = np.random.default_rng(1).choice(len(vectors.words), wanted, replace=False)
    connection.execute("CREATE TEMP TABLE wanted (word VARCHAR)")
    connection.executemany("INSERT INTO wanted VALUES (?)", [[vectors.words[row]] for row in chosen])
    return {
        "bare scan": bare_scan,
        "nearest": ask("FROM nearest(?)"),
        "nearest, planning": ask("EXPLAIN FROM nearest(?)"),
        "nearest in Python": lambda word: table.nearest(word),
        "NumPy product and argpartition": numpy_scan,
        f"nearest, first {FREQUENT_RANK:,}": ask(f"FROM nearest(?, max_rank := {FREQUENT_RANK})"),
        "gensim most_similar": lambda word: peer.most_similar(word),
        "analogy": ask("FROM analogy('man', 'king', ?)"),
        "similarity": ask("SELECT similarity('queen', ?)"),
        "doesnt_match": ask("SELECT doesnt_match(['breakfast', 'lunch', 'dinner', ?])"),
        f"join {JOINED_WORDS:,} words to Arrow": join,
    }


def _measure(queries: dict[str, Callable[[str], Sequence[Any]]], repeat: int) -> dict[str, float]:
    """Median milliseconds of each query, in turns, so that a busy moment does not fall on one alone.

    A turn asks for every word: the first may wait for the threads of gensim's BLAS, which spin for a while when they
    have nothing to do, and took a third of DuckDB's speed where queries alternated one by one.
    """
    seconds: dict[str, list[float]] = {name: [] for name in queries}
    for word in QUERIES:  # warm: the file in memory, gensim's norms computed
        for query in queries.values():
            query(word)
    for _ in range(repeat):
        for name, query in queries.items():
            for word in QUERIES:
                started = time.perf_counter()
                query(word)
                seconds[name].append(time.perf_counter() - started)
    return {name: 1000 * statistics.median(taken) for name, taken in seconds.items()}


def _targets(times: dict[str, float]) -> list[Target]:
    nearest, frequent = times["nearest"], times[f"nearest, first {FREQUENT_RANK:,}"]
    return [
        Target("nearest / bare scan", nearest / times["bare scan"], 1.3),
        Target("nearest / gensim most_similar", nearest / times["gensim most_similar"], 1.0),
        Target("nearest in Python / NumPy", times["nearest in Python"] / times["NumPy product and argpartition"], 1.0),
        Target(f"first {FREQUENT_RANK:,} / all", frequent / nearest, 0.5),
        Target("similarity, ms", times["similarity"], 2.0),
        Target(f"join of {JOINED_WORDS:,} words, ms", times[f"join {JOINED_WORDS:,} words to Arrow"], 50.0),
    ]


def _print_report(report: dict[str, Any], targets: Sequence[Target]) -> None:
    console = Console()
    title = f"{report['vectors']}: {report['rows']:,} x {report['dimension']}, {report['megabytes']:.0f} MB"
    console.print(f"{title}, written in {report['written_seconds']:.1f} s; duckdb {report['versions']['duckdb']}")
    times = Table("query", box=None, pad_edge=False, header_style="bold")
    times.add_column("ms", justify="right")
    for name, milliseconds in report["milliseconds"].items():
        times.add_row(name, f"{milliseconds:.2f}")
    console.print(times)
    held = Table("target", box=None, pad_edge=False, header_style="bold")
    for column in ("measured", "at most", ""):
        held.add_column(column, justify="right")
    for target in targets:
        held.add_row(target.text, f"{target.value:.2f}", f"{target.limit:g}", "yes" if target.reached else "no")
    console.print(held)
