"""Evaluate a published release or external vectors, with new gold sets, references or settings."""

from prefect import flow
from prefect.runtime import flow_run

from flows.runs.stop_notes import emit_failure_event
from flows.runs.stop_signal import stopped_once
from storage.layout import resolve_workspace
from tasks.artifacts import create_artifacts
from tasks.evaluation import EvaluationConfig, check_reference
from tasks.metrics.intervals import interval_text
from tasks.release_evaluation import TargetConfig, TargetEvaluation, evaluate_target

OUTSIDE = "outside-vectors"


def _run_name() -> str:
    """The evaluation target, e.g. `evaluate movie-reviews 3`."""
    target = TargetConfig.model_validate(flow_run.parameters["target"])
    return " ".join(filter(None, ("evaluate", target.table or target.vectors, target.version)))


@flow(
    name="evaluate-release",
    flow_run_name=_run_name,
    persist_result=False,
    result_serializer="json",
    on_failure=[emit_failure_event],
)
def evaluate_release(
    target: TargetConfig, evaluation: EvaluationConfig = EvaluationConfig(), workspace: str | None = None
) -> TargetEvaluation:
    """Evaluate a release or external vectors and store the scores as an artifact.

    Args:
        target: Vectors to evaluate.
        evaluation: Gold sets and reference vectors.
        workspace: Folder of all artefacts; default: $VECMILL_WORKSPACE, then ./workspace.

    """
    resolved_workspace = resolve_workspace(workspace)
    with stopped_once():
        check_reference(evaluation)
        result = evaluate_target(target, evaluation, resolved_workspace)
    create_artifacts(f"{target.table or OUTSIDE}-evaluation", _metric_rows(result), evaluation_markdown(result))
    return result


def evaluation_markdown(result: TargetEvaluation) -> str:
    """Scores on whole gold sets as Markdown, for the Prefect UI."""
    lines = [f"## {result.name}", "", f"{result.words:,} words, {result.dimension} dimensions; {result.source}", ""]
    lines += ["| measure | value | 95 % interval |", "|---|---:|---|"]
    for row in result.rows:
        if row.is_whole:
            value = "not measured" if row.value is None else f"{row.value:.4f}"
            lines.append(f"| {row.metric} | {value} | {interval_text(row.low, row.high)} |")
    return "\n".join(lines)


def _metric_rows(result: TargetEvaluation) -> list[dict[str, object]]:
    return [
        {
            name: "" if value is None else f"{value:.4f}" if isinstance(value, float) else value
            for name, value in row.model_dump(exclude={"gold_digest"}).items()
        }
        for row in result.rows
    ]
