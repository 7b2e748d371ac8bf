"""Where prefect.yaml lies, and the names in it: all that shell completion may take the time to read."""

from pathlib import Path

import yaml

# Beside our own package, so that the command finds it from any folder.
PREFECT_YAML = Path(__file__).resolve().parent.parent / "prefect.yaml"


def deployment_names() -> list[str]:
    """The deployments, in the order of the file; none if it cannot be read."""
    try:
        content = yaml.safe_load(PREFECT_YAML.read_text(encoding="utf-8"))
        return [str(entry["name"]) for entry in content["deployments"]]
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, RecursionError):
        return []
