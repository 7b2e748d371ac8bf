"""The versions of what computes, so that a worker with others is found before it computes anything else."""

import hashlib
import platform
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).parent.parent
# The packages of vecmill that run on a worker. Between releases the code changes and the version does not.
ROOMS = ("storage", "tasks")
CODE_LETTERS = 12
MISSING = "missing"


@cache
def installed_versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Name -> version of Python, of vecmill with a digest of its code, and of these packages; MISSING without it."""
    own = f"{_version('vecmill')} (code {_code_digest()})"
    return {"python": platform.python_version(), "vecmill": own} | {name: _version(name) for name in packages}


def _version(package: str) -> str:
    """The version that pip has recorded, and that of the module, if a broken environment has another."""
    try:
        recorded = version(package)
        imported = str(getattr(import_module(package), "__version__", recorded))
    except (PackageNotFoundError, ImportError):
        return MISSING
    return recorded if imported == recorded else f"{recorded} (imported: {imported})"


def _code_digest() -> str:
    digest = hashlib.sha256()
    for path in sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:CODE_LETTERS]
