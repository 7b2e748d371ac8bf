"""Terminal summary of a build."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from flows.cli.console import print_table
from flows.cli.printable import printable
from flows.runs.result import BuildResult, metric_rows
from storage.releases.querying import Neighbor
from tasks.metrics.gates import bound_text
from tasks.metrics.intervals import interval_text


def print_summary(console: Console, result: BuildResult, neighbors: Sequence[tuple[str, Sequence[Neighbor]]]) -> None:
    """Print stages, metrics with their gates, the outcome, example neighbours and a query to try."""
    if result.outcome == "nothing to do":
        console.print(escape(printable(result.message)), style="bold green")
        return
    console.print(str(result.files), style="dim", markup=False, highlight=False)
    print_table(_stage_table(result), console)
    print_table(_verdict_table(result), console)
    for note in dict.fromkeys(verdict["note"] for verdict in result.verdicts if verdict["note"] and verdict["passed"]):
        console.print(escape(note), style="dim")
    console.print(escape(printable(result.message)), style="bold red" if result.refused else "bold green")
    if not neighbors:
        return
    words = Table(box=None, show_header=False, pad_edge=False)
    for word, nearest in neighbors:
        words.add_row(
            escape(printable(word)), escape("  ".join(printable(neighbor.word) for neighbor in nearest)), style="cyan"
        )
    console.print(words)
    console.print("\nTry it from Python:", style="bold")
    console.print(sql_to_try(result.release_path, neighbors[0][0]), markup=False, highlight=False)


def sql_to_try(release_path: str, word: str) -> str:
    """Python code that queries the release just published."""
    query = f"from nearest({_quoted(word)})"
    return f"import duckdb\ntable = duckdb.connect({release_path!r}, read_only=True)\ntable.sql({query!r}).show()"


def _stage_table(result: BuildResult) -> Table:
    table = Table("stage", "rows", "seconds", box=None, pad_edge=False, header_style="bold")
    table.add_column("path", no_wrap=True, overflow="ignore")
    table.columns[2].justify = "right"
    for stage in result.stages:
        seconds = "reused" if stage.reused else f"{stage.seconds:.1f}"
        table.add_row(stage.name, f"{stage.rows:,} {stage.unit}", seconds, escape(printable(_short(stage.path))))
    return table


def _verdict_table(result: BuildResult) -> Table:
    table = Table("measure", "value", "95 % interval", "bound", "previous", "passed", box=None, pad_edge=False)
    table.header_style = "bold"
    for row in metric_rows(result):
        judged = row["passed"] is not None
        table.add_row(
            escape(row["metric"]),
            _number(row["value"]),
            interval_text(row["low"], row["high"]),
            escape(bound_text(row)) if judged else "",
            "" if row["previous"] is None else _number(row["previous"]),
            ("[green]yes[/]" if row["passed"] else "[red]no[/]") if judged else "",
        )
    return table


def _number(value: object) -> str:
    return "–" if value is None else f"{value:.4f}"


def _short(path: str) -> str:
    """Path relative to the current folder if it is inside it."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "''") + "'"
