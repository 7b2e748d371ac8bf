"""`python -m benchmarks faults`: kills, crowds, full and read-only disks, damaged files, and what came of each."""

import tempfile
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from benchmarks.fault_builds import FaultRow, build_at_once, fill_disks, kill_builds, refuse_writes
from benchmarks.fault_damages import damage_files
from benchmarks.faults import BETWEEN, COPYING, MOVING, NOTING, SETTLING, WRITING, FaultReport, kill_publishers
from storage.layout import Workspace

MOMENTS = (BETWEEN, SETTLING, WRITING, COPYING, MOVING, NOTING)
SHOWN_WRONG = 20


class Part(StrEnum):
    """The parts of the table; each runs alone too."""

    PUBLISHERS = "publishers"
    KILLED = "killed"
    CROWD = "crowd"
    FULL = "full"
    READ_ONLY = "read-only"
    DAMAGED = "damaged"


class FaultTable(BaseModel):
    """What came of every fault. publishers: None where that part did not run."""

    publishers: FaultReport | None
    rows: list[FaultRow]

    @property
    def wrong(self) -> list[str]:
        """Everything that may never happen."""
        return [*(self.publishers.wrong if self.publishers else []), *(line for row in self.rows for line in row.wrong)]


def measure_faults(
    kills: Annotated[int, typer.Option(min=1, help="of publishers")] = 500,
    build_kills: Annotated[int, typer.Option(min=1, help="of builds")] = 200,
    builds: Annotated[int, typer.Option(min=2, help="at once")] = 10,
    damages: Annotated[int, typer.Option(min=1, help="to every kind of file")] = 20,
    minutes: Annotated[float, typer.Option(help="stop killing builds, and damaging, after so long")] = 60,
    seed: Annotated[int, typer.Option(help="of the moments and damages")] = 1,
    only: Annotated[list[Part] | None, typer.Option(help="a part of the table; again for more")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Kill publishers and builds, crowd them, fill disks and damage files; count what was lost or went wrong."""
    show = not as_json
    parts: dict[Part, Callable[[], FaultRow]] = {
        Part.KILLED: lambda: kill_builds(build_kills, seed, limit_seconds=60 * minutes, show=show),
        Part.CROWD: lambda: build_at_once(builds),
        Part.FULL: fill_disks,
        Part.READ_ONLY: refuse_writes,
        Part.DAMAGED: lambda: damage_files(damages, seed, limit_seconds=60 * minutes, show=show),
    }
    wanted = only or list(Part)
    console = Console()
    publishers = None
    if Part.PUBLISHERS in wanted:
        with tempfile.TemporaryDirectory() as folder:
            publishers = kill_publishers(Workspace(Path(folder)), kills, seed, show=show)
        if show:
            _print_publishers(console, publishers)
    table = FaultTable(publishers=publishers, rows=[run() for part, run in parts.items() if part in wanted])
    if as_json:
        typer.echo(table.model_dump_json())
    else:
        if table.rows:
            console.print(_rows(table.rows))
        for line in table.wrong[:SHOWN_WRONG]:
            console.print(line, style="red", markup=False)
    if table.wrong:
        raise typer.Exit(1)


def _rows(rows: list[FaultRow]) -> Table:
    table = Table("fault", box=None, pad_edge=False, header_style="bold")
    table.add_column("tried", justify="right")
    table.add_column("found")
    table.add_column("wrong", justify="right")
    table.add_column("seconds", justify="right")
    for row in rows:
        found = ", ".join(f"{outcome} {count}" for outcome, count in sorted(row.found.items()))
        table.add_row(row.fault, str(row.times), found, str(len(row.wrong)), f"{row.seconds:.0f}")
    return table


def _print_publishers(console: Console, report: FaultReport) -> None:
    moments = Table("killed while", box=None, pad_edge=False, header_style="bold")
    moments.add_column("kills", justify="right")
    for moment in MOMENTS:
        moments.add_row(moment, str(report.moments.get(moment, 0)))
    console.print(moments)
    readers = Table("reader", box=None, pad_edge=False, header_style="bold")
    readers.add_column("right answers", justify="right")
    for name, right in report.reads.items():
        readers.add_row(name, f"{right:,}")
    console.print(readers)
    console.print(
        f"{report.kills} kills, {report.interrupted} of them in the middle of a publish; {report.published} versions, "
        f"{report.recovered} of {report.recovered} publishes afterwards went well; {len(report.wrong)} errors or wrong "
        f"answers; {report.seconds:.0f} s",
        highlight=False,
    )
