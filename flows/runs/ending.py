"""The end of a run: its artifacts, and the state that Prefect shows."""

from typing import cast

from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.runs.result import NOTHING_TO_DO, BuildResult
from flows.runs.summary import metric_table, summary_markdown
from storage.errors import GateRefusedError
from tasks.artifacts import create_artifacts
from tasks.publishing import Outcome


def end_run(result: BuildResult) -> BuildResult:
    """Create the artifacts of a run and return what its flow returns: the result, or a named state around it.

    Raises GateRefusedError, which holds the result, if a gate refused the release.
    """
    create_artifacts(result.table, metric_table(result), summary_markdown(result))
    match result.outcome:
        case Outcome.REFUSED:
            raise GateRefusedError(result.message, result)
        case Outcome.NOTHING_TO_DO:
            # A flow may return a state; Prefect passes its data on to the caller.
            state: State[BuildResult] = Completed(name=NOTHING_TO_DO, message=result.message, data=result)
            return cast(BuildResult, state)
        case _:
            return result
