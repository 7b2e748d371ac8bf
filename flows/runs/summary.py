"""Markdown summary of a run for the Prefect UI."""

from flows.runs.result import BuildResult
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
