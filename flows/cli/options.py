"""What several commands of `vecmill` share: their arguments and options, and their answer to programs."""

import json
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.completion import offer_deployments, offer_tables
from storage.layout import WORKSPACE_VARIABLE

DeploymentArgument = Annotated[
    str, typer.Argument(help="a deployment; `vecmill list` shows them", autocompletion=offer_deployments)
]
TableArgument = Annotated[str, typer.Argument(help="a published table", autocompletion=offer_tables)]
WorkspaceOption = Annotated[
    Path | None,
    typer.Option("--workspace", help=f"folder of all artefacts; else ${WORKSPACE_VARIABLE}, else ./workspace"),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SETTING=VALUE", help="override one setting, e.g. training.epochs=3"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="print one JSON object for programs")]


def print_json(content: object) -> None:
    """One JSON document on a line of its own, the last of stdout."""
    print(json.dumps(content, ensure_ascii=False, default=str))  # noqa: T201  # for programs: no wrapping, no colour
