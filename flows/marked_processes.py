"""Processes that carry a mark in their environment: found again whoever their parent is, and ended.

A flow run outlives a worker that was killed: it has a process group of its own and is adopted by init. The mark, a
variable that every descendant inherits, is what still tells whose it is.
"""

import signal
from collections.abc import Sequence
from contextlib import suppress

import psutil  # type: ignore[import-untyped]

MARK = "VECMILL_UP"
# A training writes its checkpoint within five seconds, and reports to the server; the server flushes its database.
GRACE_SECONDS = 20.0


def marked_processes(token: str) -> list[psutil.Process]:
    """Every process of this user that carries the mark with this token, except the caller."""
    return [process for process in psutil.process_iter() if _mark_of(process) == token]


def end_marked(token: str, last: int | None = None, grace_seconds: float = GRACE_SECONDS) -> None:
    """End all of them: asked with SIGTERM, and killed if they are still there after `grace_seconds`.

    last: the process that the others still talk to while they end.  A second Ctrl-C kills all at once.
    """
    try:
        _end([process for process in marked_processes(token) if process.pid != last], grace_seconds)
        # Again, for what was being started meanwhile.
        _end(marked_processes(token), grace_seconds)
    except KeyboardInterrupt:
        for process in marked_processes(token):
            _signal(process, signal.SIGKILL)


def _end(processes: Sequence[psutil.Process], grace_seconds: float) -> None:
    for process in processes:
        _signal(process, signal.SIGTERM)
    _, alive = psutil.wait_procs(processes, timeout=grace_seconds)
    for process in alive:
        _signal(process, signal.SIGKILL)
    psutil.wait_procs(alive, timeout=grace_seconds)


def _signal(process: psutil.Process, which: signal.Signals) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(which)


def _mark_of(process: psutil.Process) -> str | None:
    """Other users' processes, and those that have just ended, show no environment."""
    try:
        return process.environ().get(MARK)  # type: ignore[no-any-return]
    except (psutil.Error, OSError):
        return None
