"""Active runs of a workspace, so that cleaning up doesn't remove the stages they use.

Each run holds its own lock, named after its start time. A stage that the run has finished or reused is no longer
locked, but its last use is later than the start of the run.
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
    """Protect every stage used inside the block from cleaning up, until it exits or the process dies."""
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
    """Make other runs of the table wait until the block exits or the process dies.

    Two concurrent runs would start from the same release and train the same model twice.
    wait: for another run to finish; otherwise raise TableBusyError.
    """
    with disk_errors(workspace.root, kept="nothing was changed"):
        workspace.runs_folder.mkdir(parents=True, exist_ok=True)
    busy = TableBusyError(
        f"another run of the table {table!r} is active in {workspace.root}; start this one later, "
        "or make it wait with publication.when_busy=wait"
    )
    with held_lock(workspace.turn_lock(table), f"the table {table!r}", refusal=None if wait else busy):
        yield


def oldest_run(workspace: Workspace) -> float | None:
    """Start time of the oldest active run, in seconds since the epoch; None without one.

    Removes the lock files of killed runs.
    """
    starts = []
    for path in workspace.runs_folder.glob("*.lock"):
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except IsADirectoryError:
            continue  # not the lock of a run
        except Timeout:
            with suppress(ValueError):
                starts.append(float(path.name.partition("-")[0]))
        else:
            path.unlink(missing_ok=True)
            lock.release()
    return min(starts, default=None)
