"""`vecmill mirror`: copy the releases of a table to an object store."""

from typing import Annotated

import typer

from flows.cli.console import output
from flows.cli.help_panels import RELEASES
from flows.cli.options import JsonOption, TableArgument, WorkspaceOption, print_json
from flows.cli.printable import printable
from storage.errors import SettingsError
from storage.layout import resolve_workspace


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(rich_help_panel=RELEASES)(mirror)


def mirror(
    table: TableArgument,
    address: Annotated[
        str | None, typer.Argument(help="s3://, gs:// or az:// address; default: publication.mirror of the release")
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Upload the releases of a table that its mirror lacks.

    Example: vecmill mirror movie-reviews s3://vectors/published
    """
    from storage.releases.history import choose_release
    from storage.releases.mirror import SETTING, check_mirror, mirror_table
    from storage.releases.reports import read_setting_values

    resolved_workspace = resolve_workspace(workspace)
    if address is None:
        address = read_setting_values(choose_release(resolved_workspace, table, None).path).get(SETTING)
        if address is None:
            raise SettingsError(f"{table} was built without {SETTING}; name an address: vecmill mirror {table} s3://…")
    check_mirror(address, "ADDRESS")
    mirrored = mirror_table(resolved_workspace, table, address)
    if as_json:
        print_json(mirrored.model_dump())
    else:
        output.print(printable(f"{address}: {mirrored}"), markup=False, highlight=False, soft_wrap=True)
