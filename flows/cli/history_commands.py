"""`vecmill runs`: duration, memory, metrics and outcome of the runs of a table."""

import typer

from flows.cli.console import messages, print_table
from flows.cli.help_panels import RELEASES
from flows.cli.options import JsonOption, TableArgument, WorkspaceOption, print_json
from flows.cli.printable import printable
from storage.layout import resolve_workspace


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(rich_help_panel=RELEASES)(runs)


def runs(table: TableArgument, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Show the runs of a table with speed, memory, metrics and outcome, compared with earlier runs.

    Example: vecmill runs movie-reviews
    """
    from flows.cli.history_views import concerns, run_table
    from storage.run_history import read_runs, run_trends

    trends = run_trends(read_runs(resolve_workspace(workspace), table))
    if as_json:
        print_json([trend.model_dump(mode="json") for trend in trends])
        return
    print_table(run_table(trends))
    for concern in concerns(trends):
        messages.print(printable(concern), style="yellow", markup=False, highlight=False, soft_wrap=True)
