"""Prefect's own temporary server, for runs from the command line where no server is configured."""

import signal

from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import PREFECT_API_URL


def start_temporary_server() -> None:
    """Start Prefect's temporary server, deaf to Ctrl-C, unless `PREFECT_API_URL` names a server.

    A terminal sends Ctrl-C to all processes of a command. A server that ends before the run has reported its last state
    keeps the run retrying for a minute; deaf to it, the server is ended by the run's process when that is done.
    Prefect's clients would start the same server themselves, so all that changes is the signal mask it inherits.
    """
    if PREFECT_API_URL.value():
        return
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        SubprocessASGIServer().start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
