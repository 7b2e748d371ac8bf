"""Arguments, options and JSON output shared by several commands."""

import json
import os
from pathlib import Path
from typing import Annotated, Literal, cast

import typer
from rich.markup import escape

from flows.cli.completion import offer_deployments, offer_settings, offer_tables, offer_versions
from flows.cli.console import messages
from flows.cli.printable import printable
from flows.deployment_file import PREFECT_YAML, PROJECT_VARIABLE, project_file
from storage.errors import SettingsError
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
    typer.Option(
        "--set",
        metavar="SETTING=VALUE",
        help="override one setting, e.g. training.epochs=3; repeatable",
        autocompletion=offer_settings,
    ),
]
KeptVersionOption = Annotated[
    str | None,
    typer.Option("--version", help="a kept version or tag; default: the current one", autocompletion=offer_versions),
]


def choose_project(ctx: typer.Context, project: Path | None) -> Path | None:
    """Use the prefect.yaml of a project until the command ends, and log it if it is not the shipped one."""
    file = project_file(project)
    if project is not None:
        before = os.environ.get(PROJECT_VARIABLE, "")
        ctx.call_on_close(lambda: os.environ.update({PROJECT_VARIABLE: before}))
        os.environ[PROJECT_VARIABLE] = str(project)
    if file != PREFECT_YAML:
        messages.print(escape(printable(f"using {file}")), style="dim", highlight=False, soft_wrap=True)
    return project


ProjectOption = Annotated[
    Path | None,
    typer.Option(
        "--project",
        callback=choose_project,
        help="folder whose prefect.yaml is used; default: the current folder, then vecmill's own",
    ),
]
JsonOption = Annotated[
    bool,
    typer.Option("--json", help="print one JSON document on one line of stdout, for programs; messages go to stderr"),
]


def chosen_file(workspace: Workspace, table: str, version: str | None) -> Path:
    """The file of a kept version, given as a number or tag; else the current release. Raises ReleaseError."""
    if version is None:
        from storage.releases.querying import published_file

        return published_file(workspace, table)
    # Deferred: it imports what publishing needs, half a second.
    from storage.releases.history import version_file

    return version_file(workspace, table, version)


def picture_format(path: Path) -> Literal["png", "svg"]:
    """The format of an image file by its extension. Raises SettingsError for others."""
    form = path.suffix.lower().removeprefix(".")
    if form not in ("png", "svg"):
        raise SettingsError(f"{path.name}: unsupported image format; use .png or .svg")
    return cast(Literal["png", "svg"], form)


def print_json(content: object) -> None:
    """Print one JSON document on the last line of stdout."""
    print(json.dumps(content, ensure_ascii=False, default=str))  # noqa: T201  # no wrapping, no colour
