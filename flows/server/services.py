"""Prefect commands that run until a signal stops them, supervised by this process.

Each runs in a separate session with SIGTERM blocked, so that after a signal to all processes the supervisor controls
the shutdown order: runs, worker, server. A service that dies is restarted: flow runs survive that and keep reporting.
"""

import logging
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from flows.server.marked_processes import SERVICE, STOPPING, deaf_to_stops
from storage.errors import ServerError

logger = logging.getLogger(__name__)

# A service that dies this often within this many seconds has a problem that a restart does not fix.
DEATHS, DEATHS_WITHIN_SECONDS = 3, 120.0
LOG_TAIL_BYTES = 2000


@dataclass
class Service:
    """A long-running Prefect command. log: file for its output; None: that of this process."""

    name: str
    command: list[str]
    environment: dict[str, str]
    log: Path | None = None
    process: "subprocess.Popen[bytes] | None" = None
    deaths: list[float] = field(default_factory=list)

    def start(self) -> None:
        """Start the process and append its output to the log."""
        environment = self.environment | {SERVICE: self.name}
        with self.log.open("ab") if self.log else nullcontext() as log, deaf_to_stops():
            self.process = subprocess.Popen(
                self.command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    def keep_alive(self) -> None:
        """Restart the process if it has died. Raises ServerError if it keeps dying."""
        if self.process is None or self.process.poll() is None:
            return
        now = time.monotonic()
        self.deaths = [death for death in self.deaths if now - death < DEATHS_WITHIN_SECONDS] + [now]
        if len(self.deaths) >= DEATHS:
            raise ServerError(f"the {self.name} died {DEATHS} times in a row{self.log_tail()}")
        logger.warning("the %s exited with status %d; restarting it", self.name, self.process.returncode)
        self.start()

    def log_tail(self) -> str:
        """The last part of the log, for a message; empty without one."""
        if not self.log:
            return ""
        return f"; end of {self.log}:\n{self.log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors='replace')}"


@contextmanager
def stop_signals_as_interrupt() -> Iterator[None]:
    """Treat SIGTERM and SIGHUP like Ctrl-C; signals that are ignored, as under nohup, stay ignored."""

    def stop(number: int, frame: FrameType | None) -> None:
        ignore_stops()
        raise KeyboardInterrupt

    earlier = {number: signal.getsignal(number) for number in STOPPING}
    for number, previous in earlier.items():
        if previous is not signal.SIG_IGN:
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, previous in earlier.items():
            signal.signal(number, previous)


def ignore_stops() -> None:
    """Keep further SIGTERMs, as sent by service managers, from interrupting the shutdown; Ctrl-C shortens it."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
