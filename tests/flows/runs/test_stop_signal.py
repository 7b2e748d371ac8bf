"""SIGTERM stops a run once, also if it came before the run could react to it."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import psutil  # type: ignore[import-untyped]
import pytest

from flows.runs.stop_signal import stopped_once
from flows.server.marked_processes import MARK, SERVICE, deaf_to_stops, end_marked, marked_processes
from tests.flows.server_stack import wait_for


class Stopped(BaseException):
    """What Prefect's handler raises, more or less."""


@pytest.fixture
def handled() -> Iterator[None]:
    """A handler such as Prefect's, and the signal mask of a run of `vecmill up`."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped

    previous = signal.signal(signal.SIGTERM, stop)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    signal.signal(signal.SIGTERM, previous)


@pytest.mark.usefixtures("handled")
def test_a_blocked_sigterm_stops_the_run_where_it_can_react_and_the_next_ones_do_nothing() -> None:
    # To this thread: others of the test session do not block the signal.
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
    with pytest.raises(Stopped), stopped_once():
        pytest.fail("the signal is still blocked")
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.usefixtures("handled")
def test_a_run_that_ends_well_leaves_the_handler_as_it_was() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stopped_once():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


# Writes when it ends; a worker starts a run, and would kill it when it is stopped itself.
PROCESS = """
import os, signal, subprocess, sys, time
role, log = sys.argv[1:]
def stop(number, frame):
    if role == "worker": child.kill()
    open(log, "a").write(f"{role} {signal.Signals(number).name}\\n")
    sys.exit()
signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, stop)
if role == "worker":
    environment = os.environ | {"PREFECT__FLOW_RUN_ID": "1"}
    child = subprocess.Popen([sys.executable, __file__, "run", log], env=environment)
if role == "run":
    time.sleep(.3)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
open(log, "a").write(f"{role} up\\n")
while True: time.sleep(.05)
"""


def test_runs_end_first_then_worker_then_server_also_if_all_are_signalled_at_once(tmp_path: Path) -> None:
    log, script, token = tmp_path / "log", tmp_path / "process.py", f"token-{os.getpid()}"
    script.write_text(PROCESS)
    log.touch()
    with deaf_to_stops():
        services = [
            subprocess.Popen([sys.executable, script, role, log], env=os.environ | {MARK: token, SERVICE: role})
            for role in ("server", "worker")
        ]
    wait_for("processes", lambda: len(log.read_text().splitlines()) == 3, 60)
    for process in marked_processes(token):
        process.send_signal(signal.SIGTERM)
    end_marked(token)
    assert log.read_text().splitlines()[3:] == ["run SIGTERM", "worker SIGINT", "server SIGINT"]
    assert not [process for process in marked_processes(token) if process.status() != psutil.STATUS_ZOMBIE]
    for service in services:
        service.wait()
