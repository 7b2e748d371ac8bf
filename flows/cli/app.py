"""The `vecmill` command: run deployments, inspect and query their releases.

Prefect and the numeric libraries take a second to import, so each command imports what it needs.
"""

import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from flows.cli import (
    corpora_command,
    corpus_command,
    downstream_command,
    evaluation_commands,
    exchange_commands,
    history_commands,
    mirror_command,
    notify_commands,
    project_command,
    query_commands,
    report_commands,
    server_commands,
    table_commands,
)
from flows.cli.command_errors import run_guarded
from flows.cli.completion import assignments_in_bash
from flows.cli.console import messages, output, print_table, shown_progress
from flows.cli.help_panels import BUILD, SETUP
from flows.cli.named_corpus import check_named_corpus
from flows.cli.options import DeploymentArgument, JsonOption, ProjectOption, SetOption, WorkspaceOption, print_json
from flows.cli.printable import printable
from flows.server.environment import prepare_prefect
from storage.errors import GateRefusedError
from storage.files.without_pandas import without_pandas
from storage.layout import Workspace, resolve_workspace

if TYPE_CHECKING:
    from flows.runs.result import BuildResult
    from tasks.parameters import BuildParameters

app = typer.Typer(
    name="vecmill",
    help="Turn a text corpus into a published, quality-gated table of word vectors that you query with SQL.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        output.print(f"vecmill {version('vecmill')}", highlight=False)
        raise typer.Exit


@app.callback()
def common_options(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="show the version and exit")
    ] = False,
) -> None:
    """Turn a text corpus into a published, quality-gated table of word vectors that you query with SQL."""


@app.command("list", rich_help_panel=BUILD)
def list_deployments(project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """List the deployments in the prefect.yaml of the current folder, else vecmill's own.

    Example: vecmill list --json
    """
    from flows.deployment_file import read_deployments

    deployments = read_deployments().values()
    if as_json:
        print_json([{"name": d.name, "description": d.description, "schedules": d.schedules} for d in deployments])
        return
    table = Table("name", "description", "schedule", box=None, pad_edge=False, header_style="bold")
    for deployment in deployments:
        table.add_row(deployment.name, deployment.description, ", ".join(deployment.schedules))
    print_table(table)


@app.command(rich_help_panel=BUILD)
@without_pandas()
def build(
    name: DeploymentArgument,
    settings: SetOption = None,
    workspace: WorkspaceOption = None,
    project: ProjectOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show which stages would run or be reused")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run a deployment locally, without a server, and publish its table.

    Example: vecmill build adhoc --set corpus.path=reviews.txt --set publication.table=reviews
    """
    check_named_corpus(settings or [])
    prepare_prefect()
    if dry_run:
        _show_plan(name, settings or [], workspace, as_json)
        return
    from tasks.training_processes import help_rank_zero, helping_ranks_released, is_helping_rank, process_timeout

    if is_helping_rank():
        help_rank_zero(process_timeout(_checked_parameters(name, settings or []).training))
        return
    from flows.server.temporary_server import is_server_configured, temporary_server

    server = temporary_server()
    resolved_workspace = resolve_workspace(workspace)
    try:
        parameters = _checked_parameters(name, settings or [])
        from flows.runs.planning import is_up_to_date

        nothing_new = not is_server_configured() and is_up_to_date(parameters, resolved_workspace)
    except BaseException:
        server.stop()
        raise
    if nothing_new:
        # Nothing for Prefect to record: without it the functions of the flow and its tasks take half the time.
        server.stop()
        with helping_ranks_released(process_timeout(parameters.training)):
            _build(parameters, resolved_workspace, as_json, recorded=False)
        return
    # While the server starts.
    import fastapi.encoders  # noqa: F401  # Prefect's, when a flow starts
    import prefect.flow_engine
    import prefect.task_engine  # noqa: F401

    import flows.word_vectors  # noqa: F401
    from storage.gold.sets import read_default_gold_sets
    from tasks.trainers.compiling import prepare_kernel

    read_default_gold_sets()
    prepare_kernel(parameters.training)
    with server.use(), helping_ranks_released(process_timeout(parameters.training)):
        _build(parameters, resolved_workspace, as_json)


def _show_plan(name: str, settings: list[str], workspace: Path | None, as_json: bool) -> None:
    from flows.deployments import build_parameters, find_deployment
    from flows.runs.planning import plan_stages

    arrivals, plan = plan_stages(build_parameters(find_deployment(name), settings), resolve_workspace(workspace))
    if as_json:
        print_json([step.model_dump() for step in plan])
    elif arrivals.nothing_to_do:
        output.print(f"nothing to do: {arrivals}", markup=False, highlight=False)
    else:
        output.print(str(arrivals), style="dim", markup=False, highlight=False)
        table = Table("stage", "action", "path", box=None, pad_edge=False, header_style="bold")
        for step in plan:
            table.add_row(step.name, "reuse" if step.reused else "run", escape(printable(step.path)))
        print_table(table)


def _checked_parameters(name: str, settings: list[str]) -> "BuildParameters":
    from flows.deployments import build_parameters, check_paths, find_deployment

    parameters = build_parameters(find_deployment(name), settings)
    check_paths(parameters)
    return parameters


def _build(parameters: "BuildParameters", workspace: Workspace, as_json: bool, *, recorded: bool = True) -> None:
    """Run the flow and print its result. recorded: by Prefect, as a flow run."""
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    from flows.runs.result import BuildResult
    from flows.word_vectors import build_word_vectors

    # The heartbeat thread delays the end of a flow by up to a second; local runs need no heartbeats.
    without_heartbeats = temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None})
    sections: dict[str, Any] = dict(parameters.sections)
    try:
        with shown_progress(), without_heartbeats:
            run = build_word_vectors if recorded else build_word_vectors.fn
            result = run(**sections, workspace=str(workspace.root))
    except GateRefusedError as refusal:
        if isinstance(refusal.result, BuildResult):
            _show_result(refusal.result, as_json)
        raise
    except KeyboardInterrupt:
        kept = f"stopped; finished stages are kept in {workspace.root}; run the same command to resume"
        messages.print(printable(kept), markup=False)
        raise
    _show_result(result, as_json)


def doctor(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Check versions, training backends, GPU, disk and file system.

    Example: vecmill doctor --workspace /data/vecmill
    """
    from flows.cli.diagnosis import diagnose

    findings = diagnose(resolve_workspace(workspace))
    if as_json:
        print_json([finding.model_dump() for finding in findings])
    else:
        table = Table("check", "result", "", box=None, pad_edge=False, header_style="bold")
        for finding in findings:
            table.add_row(
                finding.name, escape(printable(finding.found)), "[green]ok[/]" if finding.good else "[yellow]check[/]"
            )
        print_table(table)


query_commands.register(app)
table_commands.register(app)
corpus_command.register(app)
corpora_command.register(app)
downstream_command.register(app)
evaluation_commands.register(app)
report_commands.register(app)
exchange_commands.register(app)
history_commands.register(app)
mirror_command.register(app)
server_commands.register(app)
notify_commands.register(app)
project_command.register(app)
app.command(rich_help_panel=SETUP)(doctor)


def main() -> None:
    """Run the command and exit. Exit codes: 0 success, 1 failed or refused, 2 usage error."""
    # Importing Prefect creates objects by the million, none of them garbage.
    gc.set_threshold(100_000)
    # Not standalone, so that run_guarded also prints usage errors.
    with assignments_in_bash():
        try:
            sys.exit(run_guarded(lambda: app(prog_name="vecmill", standalone_mode=False)))
        finally:
            # Else the interpreter visits them all again before it ends, which takes .8 s after a build.
            gc.freeze()


def _show_result(result: "BuildResult", as_json: bool) -> None:
    from flows.cli.summary_views import print_summary
    from tasks.release_examples import example_neighbors

    if as_json:
        print_json(result.model_dump(mode="json"))
        return
    neighbors = example_neighbors(Path(result.release_path)) if result.outcome == "published" else []
    print_summary(output, result, neighbors)
