"""Prefect's temporary server, for local runs without a configured server."""

import signal

from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import PREFECT_API_URL


def start_temporary_server() -> None:
    """Start Prefect's temporary server with SIGINT blocked, unless `PREFECT_API_URL` is set.

    A terminal sends Ctrl-C to all processes of a command. If the server exits before the run has reported its final
    state, the run retries for a minute; with SIGINT blocked, the server runs until the process of the run stops it.
    Prefect's clients would start the same server themselves; only the inherited signal mask differs.
    """
    if PREFECT_API_URL.value():
        return
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        SubprocessASGIServer().start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
