"""`python -m benchmarks large`: the commands that read and write a table of 3 million words x 300, and their memory.

The table has random vectors, and no gates: what is measured is time and memory, not what the vectors know. Words have
numbers, except the most frequent ones, which are those of the gold sets, so that the evaluation has pairs.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import numpy as np
import psutil  # type: ignore[import-untyped]
import typer

from benchmarks.ledger import RESULTS, this_place
from storage.gold.sets import read_default_gold_sets

BLOCK_ROWS = 100_000
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Step:
    """One command. peak: most memory, files mapped by the process included.  own: most that no file backs; in bytes."""

    name: str
    seconds: float
    peak: int
    own: int


def measure_large(
    words: Annotated[int, typer.Option(min=10_000, help="rows of the table")] = 3_000_000,
    dimension: Annotated[int, typer.Option(min=8, help="numbers of a vector")] = 300,
    folder: Annotated[Path | None, typer.Option(file_okay=False, help="for about 5 times the table's bytes")] = None,
    output: Annotated[Path, typer.Option(file_okay=False, help="folder to write into")] = RESULTS,
) -> None:
    """Import, verify, evaluate, query and export a large table of random vectors, and write large.md."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        file, workspace = Path(name) / "vectors.bin", Path(name) / "workspace"
        write_random_vectors(file, words, dimension)
        size = file.stat().st_size
        steps = []
        for step, arguments in (
            ("import", [str(file), "--table", "large", "--format", "word2vec-binary"]),
            ("verify", ["large"]),
            ("evaluate", ["large", "--reference", "none"]),
            ("nearest", ["large", "money"]),
            ("export", ["large", "--format", "word2vec-binary", "--force", "-o", str(file)]),
        ):
            steps.append(run_step(step, [*arguments, "--workspace", str(workspace)]))
            typer.echo(steps[-1])
    output.mkdir(parents=True, exist_ok=True)
    (output / "large.md").write_text(write_page(steps, words, dimension, size), encoding="utf-8")


def write_random_vectors(file: Path, words: int, dimension: int) -> None:
    """The binary format of word2vec.c."""
    random = np.random.default_rng(0)
    sets = read_default_gold_sets()
    named = [word for pairs in sets.similarity for side in (pairs.first, pairs.second) for word in side]
    named += [
        word
        for found in sets.analogies
        for questions in found.sections.values()
        for group in questions
        for word in group
    ]
    gold = list(dict.fromkeys(word.lower() for word in named))[: words // 2]
    with file.open("wb") as target:
        target.write(f"{words} {dimension}\n".encode())
        for first in range(0, words, BLOCK_ROWS):
            rows = random.standard_normal((min(BLOCK_ROWS, words - first), dimension), dtype=np.float32)
            for number, row in enumerate(rows, first):
                word = gold[number] if number < len(gold) else f"word_{number}"
                target.write(f"{word} ".encode() + row.tobytes() + b"\n")


def run_step(name: str, arguments: Sequence[str]) -> Step:
    """Run a command in a separate process and watch its memory. Raises CalledProcessError."""
    started = time.perf_counter()
    command = [str(Path(sys.executable).parent / "vecmill"), name, *arguments]
    most = {"rss": 0, "own": 0}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=os.environ | {"PYTHONUNBUFFERED": "1"}) as process:
        watch = threading.Thread(target=_watch, args=(psutil.Process(process.pid), most), daemon=True)
        watch.start()
        if process.wait():
            raise subprocess.CalledProcessError(process.returncode, command)
        watch.join()
    return Step(name, time.perf_counter() - started, most["rss"], most["own"])


def _watch(process: psutil.Process, most: dict[str, int]) -> None:
    try:
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            memory = process.memory_info()
            most["rss"] = max(most["rss"], memory.rss)
            most["own"] = max(most["own"], memory.rss - memory.shared)
            time.sleep(POLL_SECONDS)
    except psutil.NoSuchProcess:
        pass


def write_page(steps: Sequence[Step], words: int, dimension: int, size: int) -> str:
    """The measurements as Markdown. size: of the vector file in bytes."""
    place = this_place()
    return "\n".join(
        [
            "# A large table",
            "",
            f"`python -m benchmarks large` on {datetime.now(UTC):%Y-%m-%d}: {words:,} random vectors of dimension "
            f"{dimension}, {size / 1e9:.1f} GB in the binary format of word2vec. {place.processor}, {place.cores} "
            f"cores, commit {place.commit}. Each command runs in a separate process; gold sets are the default ones.",
            "",
            "| command | seconds | words/s | peak memory, GB | of that not backed by a file, GB |",
            "|---|---:|---:|---:|---:|",
            *(
                f"| `{step.name}` | {step.seconds:,.0f} | {words / step.seconds:,.0f} | {step.peak / 1e9:.2f} | "
                f"{step.own / 1e9:.2f} |"
                for step in steps
            ),
            "",
        ]
    )
