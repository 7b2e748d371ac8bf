"""Arguments, options and JSON output shared by several commands."""

import json
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.completion import offer_deployments, offer_tables, offer_versions
from storage.layout import WORKSPACE_VARIABLE, Workspace

DeploymentArgument = Annotated[
    str, typer.Argument(help="deployment name; see `vecmill list`", autocompletion=offer_deployments)
]
TableArgument = Annotated[str, typer.Argument(help="a published table", autocompletion=offer_tables)]
WorkspaceOption = Annotated[
    Path | None,
    typer.Option("--workspace", help=f"folder of all artefacts; default: ${WORKSPACE_VARIABLE}, then ./workspace"),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SETTING=VALUE", help="override one setting, e.g. training.epochs=3"),
]
KeptVersionOption = Annotated[
    str | None,
    typer.Option("--version", help="a kept version or tag; default: the current one", autocompletion=offer_versions),
]
JsonOption = Annotated[bool, typer.Option("--json", help="print the result as JSON on one line")]


def chosen_file(workspace: Workspace, table: str, version: str | None) -> Path:
    """The file of a kept version, given as a number or tag; else the current release. Raises ReleaseError."""
    if version is None:
        from storage.releases.querying import published_file

        return published_file(workspace, table)
    # Deferred: it imports what publishing needs, half a second.
    from storage.releases.history import version_file

    return version_file(workspace, table, version)


def print_json(content: object) -> None:
    """Print one JSON document on the last line of stdout."""
    print(json.dumps(content, ensure_ascii=False, default=str))  # noqa: T201  # no wrapping, no colour
