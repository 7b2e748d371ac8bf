"""The settings that a release stores. Apart from `tasks.parameters`, whose imports take a fifth of an evaluation."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from storage.releases.reports import read_setting_values


def release_section(path: Path, section: str) -> dict[str, Any]:
    """One section of the settings in a release file, empty if it has none."""
    return settings_section(read_setting_values(path), section)


def settings_section(settings: Mapping[str, Any], section: str) -> dict[str, Any]:
    """One section of the settings that a release stores under dotted names, empty if it has none."""
    prefix = f"{section}."
    return {name.removeprefix(prefix): value for name, value in settings.items() if name.startswith(prefix)}
