"""The deployments in prefect.yaml: of the project in use, else the shipped one.

Shell completion and `vecmill list` import this module, so it must stay light.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from storage.errors import SettingsError

# A checkout has the file next to the package; an installed wheel has a copy inside the package.
_PACKAGE = Path(__file__).resolve().parent
_CHECKOUT, _INSTALLED = _PACKAGE.parent / "prefect.yaml", _PACKAGE / "prefect.yaml"
PREFECT_YAML = _INSTALLED if _INSTALLED.is_file() and not _CHECKOUT.is_file() else _CHECKOUT
FILE_NAME = "prefect.yaml"
# What --project sets, so that every part of a command sees it.
PROJECT_VARIABLE = "VECMILL_PROJECT"


@dataclass(frozen=True)
class Deployment:
    """One entry of prefect.yaml."""

    name: str
    description: str
    entrypoint: str
    parameters: Mapping[str, Any]
    schedules: tuple[str, ...]


def project_file(project: Path | str | None = None) -> Path:
    """The prefect.yaml of a project, else of $VECMILL_PROJECT, else of the current folder, else the shipped one.

    Raises SettingsError if the named project has none.
    """
    if project := project or os.environ.get(PROJECT_VARIABLE):
        named = Path(project).expanduser().absolute()
        path = named / FILE_NAME if named.is_dir() else named
        if not path.is_file():
            raise SettingsError(f"--project: no file {path}; create one with `vecmill init {project}`")
        return path
    own = Path.cwd() / FILE_NAME
    return own if own.is_file() else PREFECT_YAML


def read_deployments(path: Path | None = None) -> dict[str, Deployment]:
    """All deployments by name, in file order. path: default: the project's. Raises SettingsError if it is invalid.

    A relative corpus.path is one of the project's folder if that has such a file, so that --project works anywhere.
    """
    path = project_file() if path is None else path
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return {
            entry["name"]: Deployment(
                name=entry["name"],
                description=entry.get("description", ""),
                entrypoint=entry["entrypoint"],
                parameters=_from_folder(entry.get("parameters") or {}, path.parent),
                schedules=tuple(f"{s['cron']} {s.get('timezone', 'UTC')}" for s in entry.get("schedules") or ()),
            )
            for entry in content["deployments"]
        }
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise SettingsError(f"{path} cannot be read as a list of deployments: {error!r}; fix or restore it") from error


def deployment_names() -> list[str]:
    """Deployment names in file order; an empty list if the file cannot be read."""
    try:
        content = yaml.safe_load(project_file().read_text(encoding="utf-8"))
        return [str(entry["name"]) for entry in content["deployments"]]
    except (SettingsError, OSError, yaml.YAMLError, KeyError, TypeError, ValueError, RecursionError):
        return []


def _from_folder(parameters: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    corpus = parameters.get("corpus") or {}
    path = Path(corpus.get("path") or "")
    if folder == Path.cwd() or not path.parts or path.is_absolute() or not any(folder.glob(path.as_posix())):
        return parameters
    return {**parameters, "corpus": {**corpus, "path": str(folder / path)}}
