"""`python -m benchmarks times`: the commands that people wait for, compared with an earlier version."""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.ledger import ROOT, commit_of, this_place

PAGE = ROOT / "benchmarks" / "results" / "times.md"
BUILD = ("build", "movie-reviews", "--set", "report.enabled=false")
GENSIM_NEAREST = """
import sys
from gensim.models import KeyedVectors
vectors = KeyedVectors.load(sys.argv[1], mmap="r")
vectors.most_similar("terrible", topn=10)
"""
# Starts a command and writes its times and peak memory. On Linux a process inherits the peak memory of its parent, so
# the parent must be small.
MEASURE = """
import json, os, sys, time
started = time.perf_counter()
child = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(child, 0)
used = {
    "wall": time.perf_counter() - started,
    "processor": usage.ru_utime + usage.ru_stime,
    "memory": usage.ru_maxrss * 1024,
}
with open(sys.argv[1], "w") as file:
    json.dump(used, file)
raise SystemExit(os.waitstatus_to_exitcode(status))
"""
SAVE_FOR_GENSIM = """
import sys
from pathlib import Path
from gensim.models import KeyedVectors
from storage.releases.reader import read_content
content = read_content(Path(sys.argv[1]))
vectors = KeyedVectors(content.vectors.shape[1])
vectors.add_vectors(list(content.words), content.vectors)
vectors.save(sys.argv[2])
"""


@dataclass(frozen=True)
class Case:
    """One measured command. new: each turn gets a new workspace. code: expected exit code."""

    name: str
    arguments: tuple[str, ...]
    new: bool = False
    code: int = 0
    turns: int | None = None


CASES = (
    Case("new build, report off", BUILD, new=True),
    Case("a build that changes nothing", BUILD),
    Case("nearest", ("nearest", "movie-reviews", "terrible")),
    Case("releases", ("releases", "movie-reviews")),
    Case("list", ("list",)),
    Case("evaluate", ("evaluate", "movie-reviews")),
    Case("missing corpus path", ("build", "adhoc", "--set", "corpus.path=/nope"), code=1),
    Case("a release's report", ("report", "movie-reviews"), turns=1),
)


class Usage(NamedTuple):
    """Wall clock and processor time in seconds, and peak memory in bytes, of one process and its children."""

    wall: float
    processor: float
    memory: int


@dataclass
class Cost:
    """What each turn of one command took."""

    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)

    def add(self, usage: Usage) -> None:
        """Add one turn."""
        self.wall.append(usage.wall)
        self.processor.append(usage.processor)
        self.memory.append(usage.memory)


@dataclass(frozen=True)
class Line:
    """One line of the table. before, gensim: None if not measured."""

    name: str
    now: Cost
    before: Cost | None
    gensim: Cost | None = None


def measure_times(
    before: Annotated[
        Path | None, typer.Option(help="checkout of an earlier state, run with this environment's libraries")
    ] = None,
    turns: Annotated[int, typer.Option(min=1, help="turns of each short command; the median counts")] = 3,
    kept: Annotated[
        Path | None, typer.Option("--folder", help="keep workspaces and Prefect's homes here, warm for the next time")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Time whole commands, this state and an earlier one in turn, and write benchmarks/results/times.md."""
    if kept:
        kept.mkdir(parents=True, exist_ok=True)
    checkouts = {"now": ROOT} | ({"before": before.resolve()} if before else {})
    with nullcontext(kept) if kept else tempfile.TemporaryDirectory() as folder:
        lines = _measure(checkouts, Path(folder).resolve(), turns)
    if as_json:
        typer.echo(json.dumps([asdict(line) for line in lines]))
    else:
        _print(lines)
    PAGE.write_text(page(lines, _place(before)), encoding="utf-8")


def _measure(checkouts: dict[str, Path], folder: Path, turns: int) -> list[Line]:
    workspaces = {state: folder / state for state in checkouts}
    # Numba's cache and Prefect's database belong to the state, and are warm afterwards.
    for state, checkout in checkouts.items():
        if not (workspaces[state] / "tables").is_dir():
            _run(checkout, folder, state, BUILD, workspaces[state])
    lines = []
    for case in CASES:
        costs = {state: Cost() for state in checkouts}
        for turn in range(case.turns or turns):
            for state, checkout in checkouts.items():
                workspace = folder / f"{state}-{turn}" if case.new else workspaces[state]
                # The report keeps its map there.
                shutil.rmtree(workspace / "maps", ignore_errors=True)
                if case.new:
                    shutil.rmtree(workspace, ignore_errors=True)
                costs[state].add(_run(checkout, folder, state, case.arguments, workspace, case.code))
        gensim = _gensim(folder, workspaces["now"], turns) if case.name == "nearest" else None
        lines.append(Line(case.name, costs["now"], costs.get("before"), gensim))
    return lines


def _run(checkout: Path, folder: Path, state: str, arguments: Sequence[str], workspace: Path, code: int = 0) -> Usage:
    environment = os.environ | {
        "PYTHONPATH": str(checkout),
        "PREFECT_HOME": str(folder / f"prefect-{state}"),
        "VECMILL_WORKSPACE": str(workspace),
    }
    return _timed([sys.executable, "-m", "flows", *arguments], environment, folder, code)


def _gensim(folder: Path, workspace: Path, turns: int) -> Cost:
    """The time of gensim for the same question: load the same vectors, memory-mapped, and search all of them."""
    saved = folder / "vectors.kv"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    release = workspace / "tables" / "movie-reviews.duckdb"
    _timed([sys.executable, "-c", SAVE_FOR_GENSIM, str(release), str(saved)], environment, folder)
    cost = Cost()
    for _ in range(turns):
        cost.add(_timed([sys.executable, "-c", GENSIM_NEAREST, str(saved)], environment, folder))
    return cost


def _timed(command: list[str], environment: dict[str, str], folder: Path, code: int = 0) -> Usage:
    """What a whole process took. Raises RuntimeError for another exit code."""
    used = folder / "usage.json"
    measured = subprocess.run(
        [sys.executable, "-I", "-S", "-c", MEASURE, str(used), *command],
        env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    if measured.returncode != code:
        raise RuntimeError(f"{' '.join(command)} ended with {measured.returncode}:\n{measured.stdout}")
    return Usage(**json.loads(used.read_text()))


def _place(before: Path | None) -> str:
    """The day, the machine and the commits."""
    place = this_place()
    earlier = f"; the earlier state is commit {commit_of(before)}" if before else ""
    day = datetime.now(UTC).date().isoformat()
    return f"{day}, {place.processor}, {place.cores} cores, commit {commit_of(ROOT)}{earlier}"


def page(lines: Sequence[Line], place: str) -> str:
    """The table as Markdown. place: where and when it was measured."""
    rows = [
        "# Times of commands",
        "",
        "Whole processes on two cores, with Prefect's home and Numba's cache warm; medians, this state and the earlier",
        "one in turn. A ratio below 1 is faster than before. On a machine with other work only processor time and",
        "memory are comparable. gensim answers from the same vectors, memory-mapped.",
        "Written by `python -m benchmarks times --before CHECKOUT`:",
        f"{place}.",
        "",
        "| command | seconds | processor seconds | MB | seconds / before | processor / before | MB / before | gensim |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    return "\n".join([*rows, *("| " + " | ".join(_cells(line)) + " |" for line in lines), ""])


def _cells(line: Line) -> list[str]:
    now, before = line.now, line.before or Cost()
    ratios = [
        f"{statistics.median(new) / statistics.median(old):.2f}" if old else ""
        for new, old in ((now.wall, before.wall), (now.processor, before.processor), (now.memory, before.memory))
    ]
    return [
        line.name,
        f"{statistics.median(now.wall):.2f}",
        f"{statistics.median(now.processor):.2f}",
        f"{statistics.median(now.memory) / 1e6:.0f}",
        *ratios,
        f"{statistics.median(line.gensim.wall):.2f} s" if line.gensim else "",
    ]


def _print(lines: Sequence[Line]) -> None:
    table = Table(
        "command", "seconds", "processor", "MB", "seconds / before", "processor / before", "MB / before", "gensim",
        box=None, header_style="bold",
    )  # fmt: skip
    for line in lines:
        table.add_row(*_cells(line))
    Console().print(table)
