"""Releases whose answers are known beforehand, and three kinds of readers that check them while it is published."""

import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.synchronize import Event
from pathlib import Path

import duckdb
import numpy as np

from storage.releases.file import ReleaseContent
from storage.releases.schema import Provenance

# A few distinguishable releases; each determines its answers.
SEEDS = 4
ROWS, DIMENSION = 2000, 32
QUERY_ROW, NEIGHBORS = 3, 5

Answer = list[tuple[str]]


def seeded_content(seed: int) -> ReleaseContent:
    """The release of a seed, which it contains and which determines its vectors."""
    generator = np.random.default_rng(seed)
    return ReleaseContent(
        words=[f"word{row}" for row in range(ROWS)],
        counts=np.arange(ROWS, 0, -1, dtype=np.int64),
        vectors=generator.normal(size=(ROWS, DIMENSION)).astype(np.float32),
        provenance=Provenance(
            model_digest=f"seed{seed}",
            architecture="random",
            backend="numpy",
            seed=seed,
            corpus_digest="none",
            config_digest="none",
            library_versions="{}",
            corpus_source="none",
            corpus_licence="none",
            reference_source="none",
            reference_licence="none",
        ),
    )


IDENTITY = "SELECT version, seed FROM release"
ASKED = f"SELECT word FROM nearest('word{QUERY_ROW}', k := {NEIGHBORS})"


@dataclass(frozen=True)
class _Read:
    """The result of one read of the table."""

    version: int
    seed: int
    found: Answer


def _look(connection: duckdb.DuckDBPyConnection) -> _Read:
    ((version, seed),) = connection.execute(IDENTITY).fetchall()
    return _Read(version, seed, connection.execute(ASKED).fetchall())


def _read_with_fresh_connections(path: Path) -> list[_Read]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return [_look(connection)]


def _read_by_attaching(path: Path) -> list[_Read]:
    with duckdb.connect() as connection:
        seen = []
        for _ in range(3):
            connection.execute(f"ATTACH '{path}' AS news (READ_ONLY)")
            connection.execute("USE news")
            seen.append(_look(connection))
            connection.execute("USE memory")
            connection.execute("DETACH news")
        return seen


def _read_with_a_long_lived_connection(path: Path) -> list[_Read]:
    with duckdb.connect(str(path), read_only=True) as connection:
        seen = []
        for _ in range(40):
            seen.append(_look(connection))
            time.sleep(0.02)
        assert all(read == seen[0] for read in seen), "an open connection changed its release"
        return seen


READERS: dict[str, Callable[[Path], list[_Read]]] = {
    "fresh connection for each query": _read_with_fresh_connections,
    "one connection, attaching again": _read_by_attaching,
    "long-lived connection": _read_with_a_long_lived_connection,
}


def fresh_context(*preloaded: str) -> ForkServerContext:
    """Processes that start from a bare interpreter: this one may be full of threads and handlers of others."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*preloaded])
    return context


def read_until(reader: str, path: Path, stop: Event, answer: Connection) -> None:
    """Read until stopped; send how many answers were right, everything that was wrong, and the last version."""
    expected = {seed: _expected_answer(seed) for seed in range(SEEDS)}
    right, wrong, last = 0, [], 0
    while not stop.is_set():
        try:
            for read in READERS[reader](path):
                if read.found != expected[read.seed] or read.version < last:
                    wrong.append(f"version {read.version} after {last} with seed {read.seed} returned {read.found}")
                last = read.version
                right += 1
        except Exception as error:  # whatever it is, it is a finding
            wrong.append(f"{reader}: {type(error).__name__}: {error}")
    answer.send((right, wrong, last))


def _expected_answer(seed: int) -> Answer:
    """The nearest words of a release with this seed, by NumPy."""
    vectors = seeded_content(seed).vectors
    cosines = vectors @ vectors[QUERY_ROW] / (vectors**2).sum(axis=1) ** 0.5
    return [(f"word{row}",) for row in (-cosines).argsort() if row != QUERY_ROW][:NEIGHBORS]
