"""The deployments in prefect.yaml. Shell completion and `vecmill list` import this module, so it must stay light."""

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


@dataclass(frozen=True)
class Deployment:
    """One entry of prefect.yaml."""

    name: str
    description: str
    entrypoint: str
    parameters: Mapping[str, Any]
    schedules: tuple[str, ...]


def read_deployments(path: Path = PREFECT_YAML) -> dict[str, Deployment]:
    """All deployments by name, in file order. Raises SettingsError if the file is invalid."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return {
            entry["name"]: Deployment(
                name=entry["name"],
                description=entry.get("description", ""),
                entrypoint=entry["entrypoint"],
                parameters=entry.get("parameters") or {},
                schedules=tuple(f"{s['cron']} {s.get('timezone', 'UTC')}" for s in entry.get("schedules") or ()),
            )
            for entry in content["deployments"]
        }
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise SettingsError(f"{path} cannot be read as a list of deployments: {error!r}; fix or restore it") from error


def deployment_names() -> list[str]:
    """Deployment names in file order; an empty list if the file cannot be read."""
    try:
        content = yaml.safe_load(PREFECT_YAML.read_text(encoding="utf-8"))
        return [str(entry["name"]) for entry in content["deployments"]]
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, RecursionError):
        return []
