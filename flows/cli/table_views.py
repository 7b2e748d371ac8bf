"""Terminal views of releases and query results."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from flows.cli.printable import printable

if TYPE_CHECKING:
    from storage.releases.diff import MetricChange, ReleaseDiff
    from storage.releases.housekeeping import Removed
    from storage.releases.querying import Neighbor
    from storage.releases.read_only_sql import QueryResult
    from storage.releases.records import ReleaseSummary
    from storage.releases.verification import Verified

LONGEST_CELL = 80
# Metric variants and word counts do not fit a terminal line; the report and `--json` show them.
VARIANTS = ("_coverage", "_random", "_rbo", "_3cosmul", "_before", "_words", "_change")
VERDICTS = {True: "passed", None: "none"}


def shown(value: object) -> str:
    """Format a value as a table cell: shortened, with control characters escaped."""
    text = printable("NULL" if value is None else str(value))
    return escape(text if len(text) <= LONGEST_CELL else text[: LONGEST_CELL - 1] + "…")


def number(value: float | None) -> str:
    """A metric with four digits, or a dash if there is none."""
    return "–" if value is None else f"{value:.4f}"


def headline_metrics(names: Iterable[str]) -> list[str]:
    """Metrics shown in tables, sorted."""
    return sorted({name for name in names if not name.endswith(VARIANTS)})


def metric_header(metric: str) -> str:
    """Column header for a metric; may wrap."""
    return shown(metric.replace("_", " "))


def plain_table(*headers: str) -> Table:
    """A table without borders."""
    return Table(*headers, box=None, pad_edge=False, header_style="bold")


def neighbor_table(neighbors: "Sequence[Neighbor]") -> Table:
    """The neighbours of a word."""
    table = plain_table("word", "similarity", "rank")
    for neighbor in neighbors:
        table.add_row(shown(neighbor.word), number(neighbor.similarity), f"{neighbor.rank:,}")
    return table


def release_table(releases: "Sequence[ReleaseSummary]") -> Table:
    """Releases and refused candidates of a table with their metrics; * marks the current release."""
    metrics = headline_metrics(name for release in releases for name in release.metrics)
    table = plain_table("version", "written (UTC)", "rows", *map(metric_header, metrics), "gates")
    for release in releases:
        star = (" *" if release.current else "") + (f" ({shown(', '.join(release.tags))})" if release.tags else "")
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


def verified_table(lines: "Sequence[Verified]") -> Table:
    """All checked files and their problems."""
    table = plain_table("release", "rows", "")
    for line in lines:
        rows = "" if line.rows is None else f"{line.rows:,}"
        # The message wraps instead of being truncated, because it names the remedy.
        table.add_row(
            shown(line.name), rows, "[green]ok[/]" if line.problem is None else f"[red]{escape(line.problem)}[/]"
        )
    return table


def removed_table(removed: "Sequence[Removed]") -> Table:
    """Removed stage folders, or those a dry run would remove."""
    table = plain_table("stage", "MB", "path")
    for folder in removed:
        kind = folder.kind if folder.complete else f"{folder.kind}, interrupted"
        table.add_row(shown(kind), f"{folder.size / 1e6:,.1f}", escape(printable(str(folder.path))))
    return table


def metric_change_table(older: str, newer: str, changes: "Sequence[MetricChange]") -> Table:
    """Scores of two releases side by side, with the interval of the difference if it was computed."""
    from tasks.metrics.intervals import interval_text

    intervals = any(change.change_low is not None for change in changes)
    table = plain_table(
        "metric", shown(older), shown(newer), *(["95 % interval of the difference"] if intervals else []), ""
    )
    for change in changes:
        note = "" if change.comparable else "not comparable"
        interval = [interval_text(change.change_low, change.change_high)] if intervals else []
        table.add_row(shown(change.metric), number(change.older), number(change.newer), *interval, note)
    return table


def difference_note(changes: "Sequence[MetricChange]") -> str | None:
    """How to read the intervals of several differences; None if there are none."""
    from tasks.metrics.changes import clear_after_holm
    from tasks.metrics.intervals import Interval

    bounded = [
        Interval(change.change_low, change.change_high)
        for change in changes
        if change.change_low is not None and change.change_high is not None
    ]
    if not bounded:
        return None
    clear = sum(low > 0 or high < 0 for low, high in bounded)
    return (
        f"{clear} of {len(bounded)} differences are clear: their interval excludes 0. Of {len(bounded)} comparisons of "
        f"equally good tables, {0.05 * len(bounded):.1f} would be on average; {sum(clear_after_holm(bounded))} are "
        "still clear after Holm's correction for so many comparisons."
    )


def diff_tables(diff: "ReleaseDiff", shown_words: int) -> list[Table]:
    """Metrics, settings and the words whose neighbours changed most."""
    metrics = metric_change_table(diff.older, diff.newer, diff.metrics)
    settings = plain_table("setting", f"{shown(diff.older)}", f"{shown(diff.newer)}")
    for setting in diff.settings:
        settings.add_row(*(shown(value) if value is not None else "–" for value in setting.model_dump().values()))
    words = plain_table("word", "rank", "overlap", "gained", "lost")
    for word in diff.drift[:shown_words]:
        gained, lost = (shown(" ".join(changed[:5])) for changed in (word.gained, word.lost))
        words.add_row(shown(word.word), f"{word.rank:,}", f"{word.overlap:.2f}", gained, lost)
    return [table for table in (metrics, settings, words) if table.row_count]


def result_table(result: "QueryResult", shown_rows: int) -> Table:
    """The first rows of a query result."""
    table = plain_table(*map(shown, result.columns))
    for row in result.rows[:shown_rows]:
        table.add_row(*(shown(_rounded(value)) for value in row))
    return table


def _rounded(value: Any) -> Any:  # noqa: ANN401 - a cell holds anything
    """Round floats and vectors to float32 precision."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(str(_rounded(item)) for item in value[:5])}{', …' if len(value) > 5 else ''}]"
    return value
