"""Start a run on a Prefect server, with settings overridden."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName
from prefect.client.schemas.objects import State
from prefect.client.schemas.responses import DeploymentResponse
from prefect.settings import PREFECT_UI_URL
from pydantic import BaseModel, ConfigDict

from flows.deployments import merge_settings, parameters_of
from storage.errors import ServerError

# Settings that may be paths relative to the current folder of the command, which a worker does not know.
FILE_SETTINGS = ("corpus.path", "training.start_from", "evaluation.reference", "workspace")
WAIT_SECONDS = 2.0


class StartedRun(BaseModel):
    """A run submitted to a server. state, message: last known; completed: it succeeded."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    name: str
    deployment: str
    url: str
    parameters: dict[str, Any]
    state: str
    message: str = ""
    completed: bool = False


def start_run(name: str, assignments: Sequence[str]) -> StartedRun:
    """Start a deployment on the server with `--set section.field=value` merged into its parameters.

    Raises ServerError if the server has no such deployment, SettingsError for an invalid setting.
    """
    with get_client(sync_client=True) as client:
        deployment = _find(client, name)
        model = parameters_of(str(deployment.entrypoint))
        merged = merge_settings(
            model, deployment.parameters, [with_absolute_path(assignment) for assignment in assignments]
        )
        parameters = merged.model_dump(mode="json", exclude_unset=True)
        run = client.create_flow_run_from_deployment(deployment.id, parameters=parameters)
    ui = str(PREFECT_UI_URL.value() or "")
    return StartedRun(
        id=run.id,
        name=run.name,
        deployment=name,
        url=f"{ui}/runs/flow-run/{run.id}",
        parameters=parameters,
        state="Scheduled",
    )


def ended_run(run: StartedRun) -> StartedRun:
    """Wait without a timeout until the run has ended, and return it with its final state."""
    with get_client(sync_client=True) as client:
        while True:
            state: State | None = client.read_flow_run(run.id).state
            if state and state.is_final():
                known = {"state": state.name, "message": state.message or "", "completed": state.is_completed()}
                return run.model_copy(update=known)
            time.sleep(WAIT_SECONDS)


def _find(client: SyncPrefectClient, name: str) -> DeploymentResponse:
    found = client.read_deployments(deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=[name])))
    if found:
        return found[0]
    known = sorted(deployment.name for deployment in client.read_deployments())
    raise ServerError(
        f"the server has no deployment {name!r}; it has {', '.join(known) or 'none'}; "
        "run `vecmill deploy` to create those of prefect.yaml"
    )


def with_absolute_path(assignment: str) -> str:
    """Make the path in a setting absolute if it exists relative to the current folder."""
    name, _, value = assignment.partition("=")
    path = Path(value.strip()).expanduser()
    here = next(iter(Path.cwd().glob(path.as_posix())), None) if value and not path.is_absolute() else None
    return f"{name}={Path.cwd() / path}" if name.strip() in FILE_SETTINGS and here else assignment
