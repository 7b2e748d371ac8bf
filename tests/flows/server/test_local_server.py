"""The temporary server outlives a Ctrl-C, so that a stopped run can still report to it, but not its parent."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped]
import pytest

from flows.server.temporary_server import RECORDER, TemporaryServer, is_no_cancellation

START_AND_DIE = """
import os, signal
from flows.server.temporary_server import RECORDER, TemporaryServer, is_no_cancellation
print(TemporaryServer().process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.long
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads a process's signal mask from /proc")
def test_the_temporary_server_is_deaf_to_ctrl_c_and_we_are_not() -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    server = TemporaryServer()
    try:
        # Other tests of this process may use another server.
        with temporary_settings(restore_defaults={PREFECT_API_URL}), server.use():
            assert PREFECT_API_URL.value() == server.address
            os.kill(server.process.pid, signal.SIGINT)
            status = Path(f"/proc/{server.process.pid}/status").read_text()
            blocked = next(line.split()[1] for line in status.splitlines() if line.startswith("SigBlk"))
            assert int(blocked, 16) >> (signal.SIGINT - 1) & 1
            assert httpx.get(f"{server.address}/health", timeout=30).json() is True
    finally:
        server.stop()
    assert server.process.returncode == 0
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, set())


@pytest.mark.long
def test_a_configured_server_is_used_instead() -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    server = TemporaryServer()
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}), server.use():
        assert PREFECT_API_URL.value() == "http://127.0.0.1:9/api"
    assert server.process.returncode is not None


@pytest.mark.long
def test_a_server_that_cannot_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    monkeypatch.setenv("PREFECT_API_DATABASE_CONNECTION_URL", "sqlite+aiosqlite:////nowhere/prefect.db")
    server = TemporaryServer()
    try:
        with (
            temporary_settings(restore_defaults={PREFECT_API_URL}),
            pytest.raises(RuntimeError, match="does not start"),
            server.use(),
        ):
            pass
    finally:
        server.stop()


@pytest.mark.long
def test_the_server_of_a_killed_run_ends() -> None:
    killed = subprocess.run([sys.executable, "-c", START_AND_DIE], capture_output=True, text=True, timeout=60)
    with suppress(psutil.NoSuchProcess):
        psutil.Process(int(killed.stdout)).wait(timeout=60)


def test_a_flush_that_the_stop_cancels_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    recorder = logging.getLogger(RECORDER)
    handler = logging.StreamHandler(sys.stdout)
    recorder.addHandler(handler)
    recorder.addFilter(is_no_cancellation)
    try:
        for error in (asyncio.CancelledError(), OSError("no space left")):
            recorder.error("Error flushing 1 events", exc_info=error)
        recorder.error("Dropping event 7")
    finally:
        recorder.removeHandler(handler)
        recorder.removeFilter(is_no_cancellation)
    lines = capsys.readouterr().out.splitlines()
    assert [lines[0], *lines[-2:]] == ["Error flushing 1 events", "OSError: no space left", "Dropping event 7"]
    assert "CancelledError" not in "".join(lines)
