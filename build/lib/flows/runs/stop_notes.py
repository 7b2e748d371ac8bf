"""Notes on runs that failed or were stopped: an artifact with the reason and the command to resume."""

import json
import logging
import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import httpx
from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import TERMINAL_STATES, FlowRun, State, StateType
from prefect.client.schemas.sorting import ArtifactSort, FlowRunSort
from prefect.exceptions import PrefectException
from pydantic import BaseModel, ValidationError

from flows.deployments import parameters_of
from flows.runs.record import record_lost_run
from storage.errors import VecmillError
from storage.layout import Workspace, resolve_workspace
from storage.redaction import without_credentials
from tasks.artifacts import artifact_key
from tasks.events import emit_run_failed

logger = logging.getLogger(__name__)

OUTCOMES = {
    StateType.FAILED: "failed",
    StateType.CRASHED: "killed",
    # The hook of a cancellation runs before the run has ended.
    StateType.CANCELLING: "stopped",
    StateType.CANCELLED: "stopped",
}
# Digests and ids differ between runs.
ONE_RUN = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{12,}")
# Runs of a deployment that are searched for the previous run of the same table.
COMPARED_RUNS = 50


def create_stop_note(flow: Flow[..., Any], flow_run: FlowRun, state: State) -> None:
    """Prefect hook for runs that failed, crashed or were cancelled. Prefect dictates the parameter names.

    It runs in the process of the run or, if that was killed, in the worker. Runs from the command line print their
    error and create no note.
    """
    if flow_run.deployment_id is None:
        return
    with get_client(sync_client=True) as client:
        write_stop_note(client, flow_run, state, flow.name)


def write_stop_note(
    client: SyncPrefectClient, flow_run: FlowRun, state: State, flow_name: str, workspace: Workspace | None = None
) -> None:
    """Write the artifact of a stopped run and, if the run could not, its record for `vecmill runs`.

    workspace: used if the run's parameters name none; default: the workspace from the environment.
    """
    table = _table_of(flow_run)
    reason = (state.message or "no reason given").strip()
    if table:
        outcome = OUTCOMES.get(state.type, "late")
        try:
            named = flow_run.parameters.get("workspace")
            resolved_workspace = resolve_workspace(named) if named or not workspace else workspace
            record_lost_run(resolved_workspace, str(flow_run.id), table, outcome, reason)
        except (VecmillError, ValidationError, OSError) as error:
            logger.warning("the end of the run %s cannot be recorded: %s", flow_run.name, error)
    deployment = client.read_deployment(flow_run.deployment_id)  # type: ignore[arg-type]
    command = resume_command(deployment.name, str(deployment.entrypoint), deployment.parameters, flow_run.parameters)
    shown = table or flow_name
    client.create_artifact(
        ArtifactCreate(
            type="markdown",
            key=artifact_key(shown, "stopped"),
            description=f"Why the last stopped run of {shown} ended, and how to resume it",
            data=f"**{state.name}**: {without_credentials(reason)}\n\nFinished stages and the last checkpoint are "
            f"kept. To resume:\n\n```\n{command}\n```\n",
            flow_run_id=flow_run.id,
        )
    )


def has_stop_note(client: SyncPrefectClient, flow_run: FlowRun) -> bool:
    """Whether this run has a note for its current state; an earlier note for being late does not count."""
    found = client.read_artifacts(
        artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run.id])),
        sort=ArtifactSort.CREATED_DESC,
    )
    state = flow_run.state.name if flow_run.state else ""
    return any(
        (artifact.key or "").endswith("-stopped") and str(artifact.data).startswith(f"**{state}**")
        for artifact in found
    )


def emit_failure_event(flow: Flow[..., Any], flow_run: FlowRun, state: State) -> None:
    """Prefect hook for failed runs: emit the event that the channels of `vecmill notify` react to.

    A run that failed for the same reason as the previous one emits no event; a schedule would repeat it every time.
    """
    if flow_run.deployment_id is None:
        return
    before = None
    # A duplicate notification is better than none.
    with suppress(httpx.HTTPError, PrefectException), get_client(sync_client=True) as client:
        before = _ended_before(client, flow_run)
    if before is None or _cause(before) != _cause(state):
        emit_run_failed(flow_run.id, flow_run.name, flow_run.tags)


def _ended_before(client: SyncPrefectClient, flow_run: FlowRun) -> State | None:
    """Final state of the previous run of the same deployment and table."""
    ended = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(
            deployment_id=FlowRunFilterDeploymentId(any_=[flow_run.deployment_id]),
            id=FlowRunFilterId(not_any_=[flow_run.id]),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=sorted(TERMINAL_STATES))),
        ),
        sort=FlowRunSort.END_TIME_DESC,
        limit=COMPARED_RUNS,
    )
    table = _table_of(flow_run)
    return next((run.state for run in ended if _table_of(run) == table), None)


def _cause(state: State) -> tuple[object, str]:
    """Type and message of a state, without run-specific digests and ids."""
    return state.type, ONE_RUN.sub("", state.message or "")


def _table_of(flow_run: FlowRun) -> str | None:
    """Table that the run writes, or None if its parameters do not name one."""
    publication = flow_run.parameters.get("publication")
    table = publication.get("table") if isinstance(publication, dict) else None
    return table if isinstance(table, str) else None


def resume_command(deployment: str, entrypoint: str, deployed: Mapping[str, Any], parameters: Mapping[str, Any]) -> str:
    """The `vecmill run` command that starts the deployment with these parameters.

    deployed: the deployment's parameters; equal values need no `--set`. Passwords in URLs are removed.
    """
    model = parameters_of(entrypoint)
    asked, given = (_with_defaults(model, values) for values in (parameters, deployed))
    settings = [f"--set {shlex.quote(without_credentials(change))}" for change in _differences(given, asked)]
    return " ".join([f"vecmill run {shlex.quote(deployment)}", *settings])


def _with_defaults(model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """All settings as JSON. An incomplete section, such as a corpus without a path, is kept as is."""
    try:
        return model.model_validate(values).model_dump(mode="json")
    except ValidationError:
        defaults = {name: field.get_default() for name, field in model.model_fields.items()}
    whole: dict[str, Any] = {
        name: default.model_dump(mode="json") if isinstance(default, BaseModel) else default
        for name, default in defaults.items()
    }
    for section, value in values.items():
        try:
            whole |= model.model_validate({section: value}).model_dump(mode="json", include={section})
        except ValidationError:
            old = whole.get(section)
            whole[section] = old | dict(value) if isinstance(old, dict) and isinstance(value, Mapping) else value
    return whole


def _differences(given: Mapping[str, Any], asked: Mapping[str, Any], section: str = "") -> Iterator[str]:
    for name in sorted({*given, *asked}):
        old, new = given.get(name), asked.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _differences(old, new, f"{section}{name}.")
        elif old != new:
            text = new if isinstance(new, str) else "none" if new is None else json.dumps(new)
            yield f"{section}{name}={text}"
