"""The commands for a Prefect server: start one here, send it the deployments, start runs on it."""

from typing import Annotated

import typer
from rich.markup import escape

from flows.command_options import DeploymentArgument, JsonOption, SetOption, WorkspaceOption, print_json
from flows.console import messages, output
from flows.prefect_environment import prepare_prefect
from storage.errors import ServerError
from storage.layout import resolve_workspace


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    for command in (deploy, run):
        app.command()(command)


def deploy(as_json: JsonOption = False) -> None:
    """Send the deployments of prefect.yaml to the server, with work pool and automations; again at any time."""
    prepare_prefect()
    from flows.deploying import deploy as deploy_all
    from flows.server_address import known_server

    with known_server() as server:
        report = deploy_all(server)
    if as_json:
        print_json(report.model_dump())
        return
    for name, what in report.done.items():
        output.print(f"{name}: {what}", markup=False, highlight=False)
    output.print(f"deployed {', '.join(report.deployments)} to {report.server}", markup=False, highlight=False)


def run(
    name: DeploymentArgument,
    settings: SetOption = None,
    workspace: WorkspaceOption = None,
    wait: Annotated[bool, typer.Option("--wait", help="stay until the run has ended, and fail if it did")] = False,
    as_json: JsonOption = False,
) -> None:
    """Start a run of a deployment on the server, where a worker takes it up."""
    prepare_prefect()
    from flows.server_address import known_server
    from flows.server_runs import ended_run, start_run

    chosen = [*(settings or []), *([f"workspace={resolve_workspace(workspace).root}"] if workspace else [])]
    with known_server():
        started = start_run(name, chosen)
        messages.print(f"started {escape(started.name)}: {started.url}", highlight=False, soft_wrap=True)
        ended = ended_run(started) if wait else started
    if as_json:
        print_json(ended.model_dump(mode="json"))
    elif wait:
        output.print(f"{ended.state} {ended.message}".strip(), markup=False, highlight=False)
    if wait and not ended.completed:
        raise ServerError(f"the run {started.name} has ended as {ended.state}: {ended.message or started.url}")
