"""What a run that ends badly leaves behind: an artifact with the reason and the command that goes on from there."""

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.objects import FlowRun, State
from pydantic import BaseModel, ValidationError

from flows.server_runs import parameters_of
from storage.redaction import without_credentials
from tasks.artifacts import artifact_key
from tasks.events import announce_failure


def note_the_stop(flow: Flow[..., Any], flow_run: FlowRun, state: State) -> None:
    """A hook of Prefect's for runs that failed, crashed or were cancelled; its parameters' names are Prefect's.

    It runs in the process of the run, or, if that was killed, in one of the worker's. Runs from the command line tell
    their user directly and leave no note.
    """
    if flow_run.deployment_id is None:
        return
    table = (flow_run.parameters.get("publication") or {}).get("table") or flow.name
    reason = without_credentials((state.message or "no reason was given").strip())
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment(flow_run.deployment_id)
        command = resume_command(
            deployment.name, str(deployment.entrypoint), deployment.parameters, flow_run.parameters
        )
        client.create_artifact(
            ArtifactCreate(
                type="markdown",
                key=artifact_key(table, "stopped"),
                description=f"Why the run of {table} that was stopped last has ended, and how to go on",
                data=f"**{state.name}**: {reason}\n\nFinished stages and the last checkpoint are kept. "
                f"This goes on from there:\n\n```\n{command}\n```\n",
                flow_run_id=flow_run.id,
            )
        )


def tell_the_failure(flow: Flow[..., Any], flow_run: FlowRun, state: State) -> None:
    """A hook of Prefect's for runs that failed: `vecmill notify` has people told of the event."""
    if flow_run.deployment_id is not None:
        announce_failure(flow_run.id, flow_run.name, flow_run.tags)


def resume_command(deployment: str, entrypoint: str, deployed: Mapping[str, Any], parameters: Mapping[str, Any]) -> str:
    """The `vecmill run` that starts the deployment with these parameters.

    deployed: the deployment's own parameters; what is equal there needs no `--set`. Passwords in URLs are left out.
    """
    model = parameters_of(entrypoint)
    asked, given = (_with_defaults(model, values) for values in (parameters, deployed))
    settings = [f"--set {shlex.quote(without_credentials(change))}" for change in _differences(given, asked)]
    return " ".join([f"vecmill run {shlex.quote(deployment)}", *settings])


def _with_defaults(model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """Every setting, as JSON. An incomplete section, such as a corpus without a path, stays as is."""
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
