"""Prefect's temporary server, for local runs without a configured server.

Prefect starts such a server itself, but only once its client is imported, and imports the server's modules into the
client for it. Here the server's process starts first, and both import at the same time. It listens from the start, so
that no free port is guessed, and stays idle until `use` is called.
"""

import asyncio
import atexit
import gc
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

VARIABLES = {
    # As Prefect starts it: without the UI, and with the services that a temporary server needs.
    "PREFECT_UI_ENABLED": "0",
    "PREFECT__SERVER_EPHEMERAL": "1",
    "PREFECT__SERVER_FINAL": "1",
    # A local run reads no blocks. To register their types, or to see that they are registered, Prefect imports all
    # installed collections (.6 s). A lasting server does so when it starts.
    "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false",
    "PREFECT_SERVER_MEMOIZE_BLOCK_AUTO_REGISTRATION": "false",
    # Type checks inside the store of the background services (.1 s).
    "PY_KEY_VALUE_DISABLE_BEARTYPE": "true",
}
SECONDS_TO_STOP = 5
# The server's service that stores what becomes of tasks.
RECORDER = "prefect.server.services.task_run_recorder"
GO = b"go\n"


class TemporaryServer:
    """A server in a separate process, which ends with ours.

    SIGINT is blocked in it: a terminal sends Ctrl-C to all processes of a command. If the server exits before the run
    has reported its final state, the run retries for a minute.
    """

    def __init__(self) -> None:
        self._used = False
        listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.address = f"http://127.0.0.1:{listening.getsockname()[1]}/api"
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(listening.fileno())],
                stdin=subprocess.PIPE,
                pass_fds=[listening.fileno()],
                env=os.environ | VARIABLES,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            listening.close()
        # Exit functions run last in, first out: Prefect's, which send what is left, run before this one.
        atexit.register(self.stop)

    @contextmanager
    def use(self) -> Iterator[None]:
        """Point Prefect's clients to this server once it answers, unless `PREFECT_API_URL` is set.

        Raises RuntimeError if the server does not start.
        """
        import httpx
        from prefect.settings import (
            PREFECT_API_URL,
            PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
            temporary_settings,
        )

        if PREFECT_API_URL.value():
            self.stop()
            yield
            return
        try:
            if self.process.stdin and not self._used:
                self.process.stdin.write(GO)
                self.process.stdin.flush()
                self._used = True
            timeout = PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS.value()
            httpx.get(f"{self.address}/health", timeout=timeout).raise_for_status()
        except (OSError, httpx.HTTPError) as error:
            raise RuntimeError(f"Prefect's temporary server does not start: {error}") from error
        with temporary_settings({PREFECT_API_URL: self.address}):
            yield

    def stop(self) -> None:
        """Stop the server, which first stores the events it has received."""
        atexit.unregister(self.stop)
        temporary_server.cache_clear()
        if not self._used:
            # It imports, or waits; there is nothing to store.
            self.process.kill()
        if self.process.stdin:
            self.process.stdin.close()
        try:
            self.process.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def is_server_configured() -> bool:
    """Whether `PREFECT_API_URL` is set, so that no temporary server is used."""
    from prefect.settings import PREFECT_API_URL

    return PREFECT_API_URL.value() is not None


@cache
def temporary_server() -> TemporaryServer:
    """The one temporary server of this process, started by the first call."""
    return TemporaryServer()


def is_no_cancellation(record: logging.LogRecord) -> bool:
    """Whether to print a line of a server that stops.

    A flush of events that the stop cancels is logged as an error with a traceback of a hundred lines, although the
    server's last act is to store them again. Users saw it below the message of a run that had failed at once.
    """
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


def serve(descriptor: int) -> None:
    """Serve on a listening socket from the first line on stdin to its end."""
    # Importing creates objects by the million, none of them garbage.
    gc.disable()
    import uvicorn
    from prefect.server.api.server import create_app

    app = create_app()
    gc.freeze()
    gc.enable()
    if not sys.stdin.readline():
        return
    # A client keeps connections open that it has stopped using; uvicorn would wait for them.
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on", timeout_graceful_shutdown=1))

    def stop_at_the_end() -> None:
        sys.stdin.read()
        logging.getLogger(RECORDER).addFilter(is_no_cancellation)
        server.should_exit = True

    threading.Thread(target=stop_at_the_end, daemon=True).start()
    server.run(sockets=[socket.socket(fileno=descriptor)])
    # Everything is stored, and the run waits: freeing a million objects takes a quarter of a second.
    os._exit(0)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
