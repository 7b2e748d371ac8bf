"""Markdown summary and table of metrics of a run for the Prefect UI."""

from typing import Any

from flows.runs.result import BuildResult, metric_rows
from tasks.metrics.gates import bound_text
from tasks.metrics.intervals import interval_text
from tasks.publishing import Outcome


def summary_markdown(result: BuildResult) -> str:
    """Message, stages and speed of a run, as Markdown."""
    if result.outcome is Outcome.NOTHING_TO_DO:
        return f"## {result.message}"
    lines = [f"## {result.message}", "", str(result.files), ""]
    lines += ["| stage | rows | seconds | reused |", "|---|---:|---:|---|"]
    lines += [
        f"| {stage.name} | {stage.rows:,} {stage.unit} | {stage.seconds:.1f} | {'yes' if stage.reused else ''} |"
        for stage in result.stages
    ]
    training = result.training
    rate = f"{training['words_per_second']:,} words/s with the {training['backend']} backend"
    return "\n".join([*lines, "", f"Trained {training['epochs']} epochs at {rate}.", "", f"`{result.release_path}`"])


def metric_table(result: BuildResult) -> list[dict[str, object]]:
    """Rows for the table of metrics: refused ones first, then those that passed a gate, then the others."""
    rows = sorted(metric_rows(result), key=lambda row: {False: 0, True: 1, None: 2}[row["passed"]])
    return [_table_row(row) for row in rows]


def _table_row(row: dict[str, Any]) -> dict[str, object]:
    judged = row["passed"] is not None
    return {
        "verdict": ("passed" if row["passed"] else "refused") if judged else "",
        "metric": row["metric"],
        "value": _score(row["value"]),
        "95 % interval": interval_text(row["low"], row["high"]),
        "bound": bound_text(row) if judged else "",
        "previous": _score(row["previous"]),
        "coverage": _score(row["coverage"]),
        "note": row["note"] or "",
    }


def _score(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
