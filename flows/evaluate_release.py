"""Score a release that is published already, or vectors made elsewhere: with new gold sets, references or settings."""

from prefect import flow
from prefect.runtime import flow_run

from flows.runs.stop_notes import tell_the_failure
from flows.runs.stop_signal import stopped_once
from flows.runs.summary import interval_text
from storage.layout import resolve_workspace
from storage.models.rows import WHOLE
from tasks.artifacts import create_artifacts
from tasks.evaluation import EvaluationConfig, check_reference
from tasks.release_evaluation import TargetConfig, TargetEvaluation, evaluate_target

OUTSIDE = "outside-vectors"


def _run_name() -> str:
    """What is evaluated, such as `evaluate movie-reviews 3`."""
    target = TargetConfig.model_validate(flow_run.parameters["target"])
    return " ".join(filter(None, ("evaluate", target.table or target.vectors, target.version)))


@flow(
    name="evaluate-release",
    flow_run_name=_run_name,
    persist_result=False,
    result_serializer="json",
    on_failure=[tell_the_failure],
)
def evaluate_release(
    target: TargetConfig, evaluation: EvaluationConfig = EvaluationConfig(), workspace: str | None = None
) -> TargetEvaluation:
    """Score a release, or outside vectors, and leave the scores as an artifact.

    Args:
        target: Which vectors are evaluated.
        evaluation: What they are compared with.
        workspace: Folder of all artefacts; none: $VECMILL_WORKSPACE, else ./workspace.

    """
    place = resolve_workspace(workspace)
    with stopped_once():
        check_reference(evaluation)
        result = evaluate_target(target, evaluation, place)
    create_artifacts(f"{target.table or OUTSIDE}-evaluation", _metric_rows(result), evaluation_markdown(result))
    return result


def evaluation_markdown(result: TargetEvaluation) -> str:
    """The scores on whole gold sets, for Prefect's UI."""
    lines = [f"## {result.name}", "", f"{result.words:,} words, {result.dimension} dimensions; {result.source}", ""]
    lines += ["| measure | value | 95 % interval |", "|---|---:|---|"]
    for row in result.rows:
        if row.section == WHOLE:
            value = "not measured" if row.value is None else f"{row.value:.4f}"
            lines.append(f"| {row.metric} | {value} | {interval_text(row.low, row.high)} |")
    return "\n".join(lines)


def _metric_rows(result: TargetEvaluation) -> list[dict[str, object]]:
    return [row.model_dump(exclude={"gold_digest"}) for row in result.rows]
