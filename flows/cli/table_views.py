"""How releases and what is asked of them look on a terminal."""

from collections.abc import Iterable, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from flows.cli.printable import printable
from storage.releases.diff import MetricChange, ReleaseDiff
from storage.releases.housekeeping import Removed
from storage.releases.querying import Neighbor
from storage.releases.read_only_sql import QueryResult
from storage.releases.records import ReleaseSummary
from storage.releases.verification import Verified

LONGEST_CELL = 80
# Variants of a metric and counts of words: the report and `--json` show them, a line of a terminal has no room.
VARIANTS = ("_coverage", "_random", "_rbo", "_3cosmul", "_before", "_words")
VERDICTS = {True: "passed", None: "none"}


def shown(value: object) -> str:
    """A value as one cell: short, without control characters, which a corpus may hold and a terminal would obey."""
    text = printable("NULL" if value is None else str(value))
    return escape(text if len(text) <= LONGEST_CELL else text[: LONGEST_CELL - 1] + "…")


def number(value: float | None) -> str:
    """A metric with four digits, a dash where there is none."""
    return "–" if value is None else f"{value:.4f}"


def headline_metrics(names: Iterable[str]) -> list[str]:
    """The metrics that tables show, in one order."""
    return sorted({name for name in names if not name.endswith(VARIANTS)})


def metric_header(metric: str) -> str:
    """The name of a metric as a header that may take two lines."""
    return shown(metric.replace("_", " "))


def plain_table(*headers: str) -> Table:
    """A table without lines."""
    return Table(*headers, box=None, pad_edge=False, header_style="bold")


def neighbor_table(neighbors: Sequence[Neighbor]) -> Table:
    """Words near another."""
    table = plain_table("word", "similarity", "rank")
    for neighbor in neighbors:
        table.add_row(shown(neighbor.word), number(neighbor.similarity), f"{neighbor.rank:,}")
    return table


def release_table(releases: Sequence[ReleaseSummary]) -> Table:
    """The releases and refused candidates of a table, with their metrics; a star marks the current one."""
    metrics = headline_metrics(name for release in releases for name in release.metrics)
    table = plain_table("version", "written (UTC)", "rows", *map(metric_header, metrics), "gates")
    for release in releases:
        star = " *" if release.current else ""
        name = f"candidate {shown(release.model_digest)}" if release.version is None else f"{release.version}{star}"
        refused = f"refused by {', '.join(release.refused_by)}"
        table.add_row(
            name,
            f"{release.created_at:%Y-%m-%d %H:%M}",
            f"{release.rows:,}",
            *(number(release.metrics.get(metric)) for metric in metrics),
            shown(VERDICTS.get(release.gates_passed, refused)),
        )
    return table


def verified_table(lines: Sequence[Verified]) -> Table:
    """Every file that was checked, and what is wrong with it."""
    table = plain_table("release", "rows", "")
    for line in lines:
        rows = "" if line.rows is None else f"{line.rows:,}"
        # The message goes on over lines of its own rather than being cut: it names the remedy.
        table.add_row(
            shown(line.name), rows, "[green]ok[/]" if line.problem is None else f"[red]{escape(line.problem)}[/]"
        )
    return table


def removed_table(removed: Sequence[Removed]) -> Table:
    """Stage folders that were removed, or would be."""
    table = plain_table("stage", "MB", "where")
    for folder in removed:
        kind = folder.kind if folder.complete else f"{folder.kind}, interrupted"
        table.add_row(shown(kind), f"{folder.size / 1e6:,.1f}", escape(printable(str(folder.path))))
    return table


def metric_change_table(older: str, newer: str, changes: Sequence[MetricChange]) -> Table:
    """The scores that two releases hold, side by side."""
    table = plain_table("metric", shown(older), shown(newer), "")
    for change in changes:
        note = "" if change.comparable else "measured otherwise"
        table.add_row(shown(change.metric), number(change.older), number(change.newer), note)
    return table


def diff_tables(diff: ReleaseDiff, shown_words: int) -> list[Table]:
    """Metrics, settings and the words whose neighbours changed most."""
    metrics = metric_change_table(diff.older, diff.newer, diff.metrics)
    settings = plain_table("setting", f"{shown(diff.older)}", f"{shown(diff.newer)}")
    for setting in diff.settings:
        settings.add_row(*(shown(value) if value is not None else "–" for value in setting.model_dump().values()))
    words = plain_table("word", "rank", "overlap", "came", "went")
    for word in diff.drift[:shown_words]:
        came, went = (shown(" ".join(changed[:5])) for changed in (word.gained, word.lost))
        words.add_row(shown(word.word), f"{word.rank:,}", f"{word.overlap:.2f}", came, went)
    return [table for table in (metrics, settings, words) if table.row_count]


def result_table(result: QueryResult, shown_rows: int) -> Table:
    """The first rows of an answer."""
    table = plain_table(*map(shown, result.columns))
    for row in result.rows[:shown_rows]:
        table.add_row(*(shown(_rounded(value)) for value in row))
    return table


def _rounded(value: Any) -> Any:  # noqa: ANN401 - a cell holds anything
    """Vectors and floats with the digits that float32 has."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(str(_rounded(item)) for item in value[:5])}{', …' if len(value) > 5 else ''}]"
    return value
