"""The temporary server outlives a Ctrl-C, so that a stopped run can still report to it."""

import os
import signal
import sys
from pathlib import Path

import httpx
import pytest

from flows.server.temporary_server import start_temporary_server


@pytest.mark.long
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads a process's signal mask from /proc")
def test_the_temporary_server_is_deaf_to_ctrl_c_and_we_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.server.api.server import SubprocessASGIServer
    from prefect.settings import PREFECT_API_URL, temporary_settings

    monkeypatch.setattr(SubprocessASGIServer, "_instances", {})
    # Other tests of this process may have a server of their own in use.
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        start_temporary_server()
    server = SubprocessASGIServer()
    try:
        assert server.server_process
        os.kill(server.server_process.pid, signal.SIGINT)
        status = Path(f"/proc/{server.server_process.pid}/status").read_text()
        blocked = next(line.split()[1] for line in status.splitlines() if line.startswith("SigBlk"))
        assert int(blocked, 16) >> (signal.SIGINT - 1) & 1
        assert httpx.get(f"{server.api_url}/health", timeout=30).json() is True
    finally:
        server.stop()
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, set())
