"""What several commands of `vecmill` share: their options, and their answer to programs."""

import json
from pathlib import Path
from typing import Annotated

import typer

from storage.layout import WORKSPACE_VARIABLE

WorkspaceOption = Annotated[
    Path | None,
    typer.Option("--workspace", help=f"folder of all artefacts; else ${WORKSPACE_VARIABLE}, else ./workspace"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="print one JSON object for programs")]


def print_json(content: object) -> None:
    """One JSON document on a line of its own, the last of stdout."""
    print(json.dumps(content, ensure_ascii=False, default=str))  # noqa: T201  # for programs: no wrapping, no colour
