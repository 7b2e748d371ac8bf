"""Path of prefect.yaml and the deployment names in it. Shell completion imports this module, so it must stay light."""

from pathlib import Path

import yaml

# A checkout has the file next to the package; an installed wheel has a copy inside the package.
_PACKAGE = Path(__file__).resolve().parent
_CHECKOUT, _INSTALLED = _PACKAGE.parent / "prefect.yaml", _PACKAGE / "prefect.yaml"
PREFECT_YAML = _INSTALLED if _INSTALLED.is_file() and not _CHECKOUT.is_file() else _CHECKOUT


def deployment_names() -> list[str]:
    """Deployment names in file order; an empty list if the file cannot be read."""
    try:
        content = yaml.safe_load(PREFECT_YAML.read_text(encoding="utf-8"))
        return [str(entry["name"]) for entry in content["deployments"]]
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, RecursionError):
        return []
