"""Where prefect.yaml lies, and the names in it: all that shell completion may take the time to read."""

from pathlib import Path

import yaml

# The file of a checkout lies beside our package; an installed wheel has its copy inside the package.
_PACKAGE = Path(__file__).resolve().parent
_CHECKOUT, _INSTALLED = _PACKAGE.parent / "prefect.yaml", _PACKAGE / "prefect.yaml"
PREFECT_YAML = _INSTALLED if _INSTALLED.is_file() and not _CHECKOUT.is_file() else _CHECKOUT


def deployment_names() -> list[str]:
    """The deployments, in the order of the file; none if it cannot be read."""
    try:
        content = yaml.safe_load(PREFECT_YAML.read_text(encoding="utf-8"))
        return [str(entry["name"]) for entry in content["deployments"]]
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, RecursionError):
        return []
