"""Which runs are at work in a workspace: what they use must not be cleaned away under them.

A run holds a lock of its own as long as it lasts. A stage that it has finished or found is no longer locked, but was
last used after the run began, which the name of its lock tells.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import uuid4

from filelock import FileLock, Timeout

from storage.disk import disk_errors
from storage.errors import TableBusyError
from storage.layout import Workspace
from storage.locks import held_lock


@contextmanager
def registered_run(workspace: Workspace) -> Iterator[None]:
    """Keep housekeeping away from every stage that is used while this lasts, or until the process dies."""
    with disk_errors(workspace.root, kept="nothing was changed"):
        workspace.runs_folder.mkdir(parents=True, exist_ok=True)
        path = workspace.runs_folder / f"{time.time():.0f}-{uuid4().hex}.lock"
        lock = FileLock(path)
        lock.acquire()
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.release()


@contextmanager
def table_turn(workspace: Workspace, table: str, *, wait: bool = True) -> Iterator[None]:
    """Keep other runs of the table waiting while this lasts, or until the process dies.

    Two at once would start from the same release and train twice what one of them could have reused.
    wait: for another run to end; else TableBusyError is raised.
    """
    with disk_errors(workspace.root, kept="nothing was changed"):
        workspace.runs_folder.mkdir(parents=True, exist_ok=True)
    busy = TableBusyError(
        f"another run of the table {table!r} is at work in {workspace.root}; start this one later, "
        "or have it wait with publication.when_busy=wait"
    )
    with held_lock(workspace.turn_lock(table), f"the table {table!r}", refusal=None if wait else busy):
        yield


def oldest_run(workspace: Workspace) -> float | None:
    """When the oldest run that is at work began, in seconds since the epoch; None if there is none.

    Removes what runs that were killed left behind.
    """
    begun = []
    for path in workspace.runs_folder.glob("*.lock"):
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except IsADirectoryError:
            continue  # no lock of a run
        except Timeout:
            with suppress(ValueError):
                begun.append(float(path.name.partition("-")[0]))
        else:
            path.unlink(missing_ok=True)
            lock.release()
    return min(begun, default=None)
