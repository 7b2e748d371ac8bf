"""Find processes by a marker variable in their environment, whatever their parent, and stop them in order.

A flow run outlives a killed worker and is reparented to init. The marker, which all descendants inherit, still
identifies the `vecmill up` that started it.
"""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import psutil  # type: ignore[import-untyped]

MARK = "VECMILL_UP"
# Value: name of the service, inherited by its child processes.
SERVICE = "VECMILL_UP_SERVICE"
# Set by Prefect for the process of a flow run.
FLOW_RUN = "PREFECT__FLOW_RUN_ID"
# Training writes its checkpoint within seconds and reports to the server; the total stays below systemd's 90 s.
RUN_SECONDS, SERVICE_SECONDS = 45.0, 15.0
POLL_SECONDS = 0.1
STOPPING = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def deaf_to_stops() -> Iterator[None]:
    """Block SIGTERM and SIGHUP in processes started in this context; SIGINT still ends them.

    systemd and a system shutdown send SIGTERM to all processes simultaneously. Prefect's worker would then kill its
    runs, and the server would exit before a run has reported. The signal mask is inherited; a flow unblocks it
    (`flows.runs.stop_signal`).
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def marked_processes(token: str) -> list[psutil.Process]:
    """All processes of this user whose marker has this token, except the caller."""
    own = os.getpid()
    return [process for process in psutil.process_iter() if process.pid != own and _variables(process, MARK) == [token]]


def run_ids(token: str) -> set[str]:
    """Ids of flow runs with a live process."""
    found = [_variables(process, FLOW_RUN) for process in marked_processes(token) if _is_alive(process)]
    return {run for values in found for run in values if run}


def end_marked(token: str) -> None:
    """Stop the flow runs, then the worker, then the server; kill processes that do not exit in time.

    The worker is suspended first: otherwise it would start the next run, or kill its runs on exit. The server is
    last because runs report to it. A second Ctrl-C kills all processes immediately.
    """
    try:
        workers = [process for process in marked_processes(token) if _role(process) == "worker"]
        for process in workers:
            _signal(process, signal.SIGSTOP)
        while runs := [
            process for process in marked_processes(token) if _role(process) == "run" and _is_alive(process)
        ]:
            _end(runs, signal.SIGTERM, RUN_SECONDS)
        for process in workers:
            _signal(process, signal.SIGCONT)
        _end(workers, signal.SIGINT, SERVICE_SECONDS)
        _end(marked_processes(token), signal.SIGINT, SERVICE_SECONDS)
    except KeyboardInterrupt:
        for process in marked_processes(token):
            _signal(process, signal.SIGKILL)


def _end(processes: Sequence[psutil.Process], how: signal.Signals, grace_seconds: float) -> None:
    """Signal only processes whose parent is not in the list: parents stop their children themselves."""
    pids = {process.pid for process in processes if _is_alive(process)}
    for process in processes:
        if how is signal.SIGINT or _parent(process) not in pids:
            _signal(process, how)
    _wait(processes, grace_seconds)
    for process in processes:
        _signal(process, signal.SIGKILL)
    _wait(processes, grace_seconds)


def _wait(processes: Sequence[psutil.Process], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and any(_is_alive(process) for process in processes):
        time.sleep(POLL_SECONDS)


def _is_alive(process: psutil.Process) -> bool:
    """Whether the process runs. A zombie, which a suspended parent has not reaped, does not count."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _signal(process: psutil.Process, which: signal.Signals) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(which)


def _parent(process: psutil.Process) -> int | None:
    try:
        return int(process.ppid())
    except psutil.Error:
        return None


def _role(process: psutil.Process) -> str | None:
    """`run`, or the name of the service the process belongs to."""
    found = _variables(process, FLOW_RUN, SERVICE)
    return None if not found else "run" if found[0] else found[1]


def _variables(process: psutil.Process, *names: str) -> list[str | None]:
    """Environment variables of a process; empty for other users' processes and for those that just exited."""
    try:
        environment = process.environ()
    except (psutil.Error, OSError):
        return []
    return [environment.get(name) for name in names]
