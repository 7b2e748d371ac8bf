"""Terminal view of the run history."""

from collections.abc import Sequence

from rich.table import Table

from flows.cli.table_views import headline_metrics, metric_header, number, plain_table, shown
from storage.run_history import RunTrend

SHOWN_RUNS = 20
# Runs vary by a few percent, more on a busy machine.
SLOW = 0.8
# Fewer earlier values say nothing about the variation of a metric.
ENOUGH_RUNS = 4


def run_table(trends: Sequence[RunTrend]) -> Table:
    """The latest runs, newest last. Metric changes are to the previous run; speed is compared with the median."""
    trends = trends[-SHOWN_RUNS:]
    metrics = headline_metrics(name for trend in trends for name in trend.run.metrics)
    table = plain_table(
        "started (UTC)", "outcome", "version", "seconds", "words/s", "memory", "new files", *map(metric_header, metrics)
    )
    for column in table.columns[2:]:
        column.justify = "right"
    for trend in trends:
        run = trend.run
        table.add_row(
            f"{run.started_at:%Y-%m-%d %H:%M}",
            shown(run.outcome),
            _count(run.version),
            "–" if run.seconds is None else f"{run.seconds:.1f}",
            _speed(trend),
            "–" if run.peak_memory_bytes is None else f"{run.peak_memory_bytes / 1e6:,.0f} MB",
            _count(run.new_files),
            *(_metric(trend, name) for name in metrics),
        )
    return table


def concerns(trends: Sequence[RunTrend]) -> list[str]:
    """Warnings: why the last run published nothing, whether it was slow, and metrics at their lowest value."""
    last = trends[-1]
    run = last.run
    found = []
    if run.outcome not in ("published", "unchanged", "nothing to do", "started"):
        found.append(
            f"the last run {'was ' if run.outcome != 'failed' else ''}{run.outcome}: {run.reason or 'no reason given'}"
        )
    usual = last.usual_words_per_second
    if usual and run.words_per_second and run.words_per_second < SLOW * usual:
        found.append(
            f"the last run trained {run.words_per_second:,.0f} words/s, "
            f"{1 - run.words_per_second / usual:.0%} below the median of earlier runs ({usual:,.0f})"
        )
    for name in headline_metrics(run.metrics):
        value = run.metrics[name]
        earlier = [trend.run.metrics.get(name) for trend in trends[:-1]]
        before = [measured for measured in earlier if measured is not None]
        if value is not None and len(before) >= ENOUGH_RUNS and value < min(before):
            found.append(
                f"{name} is {value:.4f}, the lowest of {len(before) + 1} runs (previous minimum {min(before):.4f})"
            )
    return found


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _speed(trend: RunTrend) -> str:
    rate, usual = trend.run.words_per_second, trend.usual_words_per_second
    if rate is None:
        return "–"
    return f"{rate:,.0f}" if usual is None else f"{rate:,.0f} ({rate / usual - 1:+.0%})"


def _metric(trend: RunTrend, name: str) -> str:
    value = trend.run.metrics.get(name)
    change = trend.metric_changes.get(name)
    return number(value) if value is None or change is None else f"{value:.4f} ({change:+.4f})"
