"""`vecmill up`: a Prefect server and a worker on this machine, kept running until a signal stops it.

Each service has a session of its own and SIGTERM blocked, so that a signal to all processes leaves the order of the
shutdown to this one: runs, worker, server. A service writes its log to the folder of Prefect's database. One that dies
is started again: a flow run outlives both, and goes on reporting.
"""

import logging
import os
import platform
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.server.address import check_own_password, is_healthy
from flows.server.deploying import WORK_POOL, DeployReport, deploy
from flows.server.lost_runs import lost_runs_reported
from flows.server.marked_processes import MARK, SERVICE, STOPPING, deaf_to_stops, end_marked
from flows.server.stack_record import StackRecord, read_record, remove_record, stack_folder, write_record
from storage.errors import ServerError
from storage.layout import WORKSPACE_VARIABLE, Workspace

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
# A first start makes Prefect's database; on a machine with other work that takes a minute.
START_SECONDS = 300.0
CHECK_SECONDS = 0.5
# A service that dies so often within so many seconds has a reason that another start does not mend.
DEATHS, DEATHS_WITHIN_SECONDS = 3, 120.0
LOG_TAIL_BYTES = 2000


@dataclass(frozen=True)
class StackOptions:
    """port: of the server on loopback.  runs_at_once: more than that wait for the worker."""

    workspace: Workspace
    port: int = 4200
    runs_at_once: int = 2


@dataclass
class Service:
    """One long-running command of Prefect's."""

    name: str
    command: list[str]
    environment: dict[str, str]
    log: Path
    process: "subprocess.Popen[bytes] | None" = None
    deaths: list[float] = field(default_factory=list)

    def start(self) -> None:
        """Start it, its output appended to the log."""
        environment = self.environment | {SERVICE: self.name}
        with self.log.open("ab") as log, deaf_to_stops():
            self.process = subprocess.Popen(
                self.command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    def keep_alive(self) -> None:
        """Start it again if it has died. Raises ServerError if it does so time and again."""
        if self.process is None or self.process.poll() is None:
            return
        now = time.monotonic()
        self.deaths = [death for death in self.deaths if now - death < DEATHS_WITHIN_SECONDS] + [now]
        if len(self.deaths) >= DEATHS:
            raise ServerError(
                f"the {self.name} has died {DEATHS} times in a row; {self.log} ends with:\n{self.last_words()}"
            )
        logger.warning("the %s has ended with %d; starting it again", self.name, self.process.returncode)
        self.start()

    def last_words(self) -> str:
        """The end of its log."""
        return self.log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")


def run_stack(options: StackOptions, ready: Callable[[StackRecord, DeployReport], None]) -> None:
    """Run server and worker until Ctrl-C, SIGTERM or the end of the terminal; the caller has the lock of `sole_stack`.

    ready: called once, when all is started.
    Raises ServerError if the passwords of server and clients differ, the port is taken or a service does not stay up.
    """
    check_own_password()
    _end_what_a_killed_one_left()
    _check_port_is_free(options.port)
    record = StackRecord(
        pid=os.getpid(),
        token=uuid.uuid4().hex,
        api_url=f"http://{HOST}:{options.port}/api",
        ui_url=f"http://{HOST}:{options.port}",
    )
    write_record(record)
    server, worker = _services(options, record)
    with _told_to_stop(), temporary_settings({PREFECT_API_URL: record.api_url}):
        try:
            logger.info("starting the server; the first time takes a minute")
            server.start()
            _wait_until_healthy(server, record)
            logger.info("sending the deployments")
            report = deploy(record.api_url)
            worker.start()
            ready(record, report)
            with lost_runs_reported(options.workspace, record.token):
                while True:
                    time.sleep(CHECK_SECONDS)
                    for service in (server, worker):
                        service.keep_alive()
        except KeyboardInterrupt:
            logger.info("stopping: a run that trains writes a checkpoint first")
        finally:
            _ignore_stops()
            end_marked(record.token)
            remove_record()


def _services(options: StackOptions, record: StackRecord) -> tuple[Service, Service]:
    environment = os.environ | {
        "PREFECT_API_URL": record.api_url,
        # In memory, as is Prefect's default, a restarted server would end the runs that hold a slot.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        WORKSPACE_VARIABLE: str(options.workspace.root),
        MARK: record.token,
    }
    for name, value in {
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        # Every two seconds a look for work, instead of ten: the server is on the same machine.
        "PREFECT_WORKER_QUERY_SECONDS": "2",
    }.items():
        environment.setdefault(name, value)
    prefect = [sys.executable, "-m", "prefect"]
    server = [*prefect, "server", "start", "--host", HOST, "--port", str(options.port)]
    worker = [*prefect, "worker", "start", "--pool", WORK_POOL, "--name", f"vecmill-{platform.node()}"]
    return (
        Service("server", server, environment, stack_folder() / "server.log"),
        Service("worker", [*worker, "--limit", str(options.runs_at_once)], environment, stack_folder() / "worker.log"),
    )


def _end_what_a_killed_one_left() -> None:
    """A `vecmill up` that was killed leaves its server and worker behind; nobody would restart or stop them."""
    left = read_record()
    if left is not None:
        end_marked(left.token)
        remove_record()


def _check_port_is_free(port: int) -> None:
    with socket.socket() as probe:
        # As the server does it: what a server that was killed left in the kernel is not in the way.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ServerError(
                f"port {port} of {HOST} is taken by another program: {error}; name another with --port, or, if a "
                "Prefect server of yours has it, use that: PREFECT_API_URL, then `vecmill deploy`"
            ) from error


def _wait_until_healthy(server: Service, record: StackRecord) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not is_healthy(record.api_url, timeout_seconds=2):
        if server.process is None or server.process.poll() is not None:
            raise ServerError(f"the server did not start; {server.log} ends with:\n{server.last_words()}")
        if time.monotonic() > deadline:
            raise ServerError(f"the server does not answer after {START_SECONDS:.0f} s; its log is {server.log}")
        time.sleep(CHECK_SECONDS)


@contextmanager
def _told_to_stop() -> Iterator[None]:
    """Treat what a system or a closing terminal sends like Ctrl-C; what is ignored, as under nohup, stays ignored."""

    def stop(number: int, frame: FrameType | None) -> None:
        _ignore_stops()
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


def _ignore_stops() -> None:
    """Another SIGTERM, as service managers send it, does not interrupt the shutdown; Ctrl-C shortens it."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
