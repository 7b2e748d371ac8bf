"""Commands for a Prefect server: start one, deploy to it, start runs on it."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from flows.cli.console import messages, output
from flows.cli.help_panels import SERVER
from flows.cli.options import DeploymentArgument, JsonOption, ProjectOption, SetOption, WorkspaceOption, print_json
from flows.cli.printable import printable
from flows.server.environment import prepare_prefect
from storage.errors import ServerError
from storage.layout import resolve_workspace

if TYPE_CHECKING:
    from flows.server.deploying import DeployReport
    from flows.server.local_stack import StackOptions
    from flows.server.stack_record import StackRecord


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    for command in (up, worker, deploy, run):
        app.command(rich_help_panel=SERVER)(command)


def up(
    workspace: WorkspaceOption = None,
    project: ProjectOption = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="server port, on loopback only")] = 4200,
    runs_at_once: Annotated[
        int, typer.Option("--limit", min=1, help="maximum number of concurrent runs; further runs wait")
    ] = 2,
) -> None:
    """Run a Prefect server and a worker with the deployments on this machine until Ctrl-C.

    Example: vecmill up --port 4201 --limit 1
    """
    from flows.cli.console import shown_progress
    from flows.server.local_stack import StackOptions, run_stack
    from flows.server.stack_record import read_record, sole_stack

    options = StackOptions(workspace=resolve_workspace(workspace), port=port, runs_at_once=runs_at_once)
    options.workspace.check_writable()
    with sole_stack() as alone, shown_progress():
        if alone:
            run_stack(options, lambda record, report: _show_stack(record, report, options))
            return
        found = read_record()
        where = f"at {found.ui_url}; stop it with Ctrl-C in its terminal, or kill {found.pid}" if found else "starting"
        output.print(f"vecmill is already up, {where}", markup=False, highlight=False)


def worker(
    workspace: WorkspaceOption = None,
    project: ProjectOption = None,
    runs_at_once: Annotated[
        int, typer.Option("--limit", min=1, help="maximum number of concurrent runs; further runs wait")
    ] = 1,
    health_port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="port of a health check, http://HOST:PORT/health; none: no check"),
    ] = None,
) -> None:
    """Run a worker for the Prefect server of PREFECT_API_URL until Ctrl-C or SIGTERM.

    Training runs write a checkpoint before the worker stops.

    Example: PREFECT_API_URL=http://prefect:4200/api vecmill worker --limit 2
    """
    from flows.cli.console import shown_progress
    from flows.server.address import known_server
    from flows.server.worker import WorkerOptions, run_worker

    options = WorkerOptions(resolve_workspace(workspace), runs_at_once, health_port)
    options.workspace.check_writable()
    with known_server() as server, shown_progress():
        run_worker(server, options)


def deploy(project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """Deploy prefect.yaml with work pool and automations to the server. Idempotent.

    Example: PREFECT_API_URL=http://prefect:4200/api vecmill deploy
    """
    prepare_prefect()
    from flows.server.address import known_server
    from flows.server.deploying import deploy as deploy_all

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
    wait: Annotated[
        bool, typer.Option("--wait", help="wait until the run has ended; exit code 1 if it failed")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Start a run of a deployment on the server; a worker picks it up.

    Example: vecmill run movie-reviews --set training.epochs=3 --wait
    """
    prepare_prefect()
    from flows.server.address import known_server
    from flows.server.runs import ended_run, start_run

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
        raise ServerError(f"the run {started.name} ended as {ended.state}: {ended.message or started.url}")


def _show_stack(record: "StackRecord", report: "DeployReport", options: "StackOptions") -> None:
    from flows.server.stack_record import stack_folder

    root = printable(str(options.workspace.root))
    lines = (
        f"Prefect     {record.ui_url} (this machine only)",
        f"deployed    {', '.join(report.deployments)}",
        f"worker      up to {options.runs_at_once} concurrent runs, artefacts in {root}",
        f"logs        {stack_folder()}",
        "",
        "Ctrl-C stops everything; finished stages and checkpoints are kept. In another terminal, try:",
        "    vecmill run movie-reviews",
    )
    output.print("\n".join(lines), markup=False, highlight=False)
