"""`vecmill init`: start a project."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from flows.cli.console import output
from flows.cli.help_panels import SETUP
from flows.cli.options import JsonOption, print_json
from flows.cli.printable import printable


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(rich_help_panel=SETUP)(init)


def init(
    folder: Annotated[Path, typer.Argument(help="folder of the project; created if it is missing")] = Path(),
    name: Annotated[
        str | None, typer.Option("--name", help="name of the deployment and its table; default: the folder's name")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Start a project: a folder with a commented prefect.yaml, .gitignore and README.md.

    Example: vecmill init reviews
    """
    from flows.cli.project_files import create_project

    paths = create_project(folder, name)
    if as_json:
        print_json({"created": [str(path) for path in paths]})
        return
    for path in paths:
        output.print(escape(printable(str(path))), highlight=False, soft_wrap=True)
