"""`vecmill up`: a Prefect server and a worker on this machine, supervised until a signal stops them.

Services write their logs next to Prefect's database.
"""

import logging
import os
import platform
import socket
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.server.address import check_own_password, health_problem
from flows.server.deploying import WORK_POOL, DeployReport, deploy
from flows.server.lost_runs import lost_runs_reported
from flows.server.marked_processes import MARK, end_marked
from flows.server.services import Service, ignore_stops, stop_signals_as_interrupt
from flows.server.stack_record import StackRecord, read_record, remove_record, stack_folder, write_record
from storage.errors import ServerError
from storage.layout import WORKSPACE_VARIABLE, Workspace

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
# The first start creates Prefect's database, which takes a minute on a busy machine.
START_SECONDS = 300.0
CHECK_SECONDS = 0.5


@dataclass(frozen=True)
class StackOptions:
    """Options of `vecmill up`. port: server port on loopback.  runs_at_once: limit of the worker; further runs wait."""

    workspace: Workspace
    port: int = 4200
    runs_at_once: int = 2


def run_stack(options: StackOptions, ready: Callable[[StackRecord, DeployReport], None]) -> None:
    """Run server and worker until Ctrl-C, SIGTERM or SIGHUP. The caller holds the lock of `sole_stack`.

    ready: called once, after everything has started.
    Raises ServerError if the passwords of server and clients differ, the port is in use or a service keeps dying.
    """
    check_own_password()
    _clean_up_killed_stack()
    _check_port_is_free(options.port)
    record = StackRecord(
        pid=os.getpid(),
        token=uuid.uuid4().hex,
        api_url=f"http://{HOST}:{options.port}/api",
        ui_url=f"http://{HOST}:{options.port}",
    )
    write_record(record)
    server, worker = _services(options, record)
    with stop_signals_as_interrupt(), temporary_settings({PREFECT_API_URL: record.api_url}):
        try:
            logger.info("starting the server; the first start takes a minute")
            server.start()
            _wait_until_healthy(server, record)
            logger.info("creating the deployments")
            report = deploy(record.api_url)
            worker.start()
            ready(record, report)
            with lost_runs_reported(options.workspace, record.token):
                while True:
                    time.sleep(CHECK_SECONDS)
                    for service in (server, worker):
                        service.keep_alive()
        except KeyboardInterrupt:
            logger.info("stopping; training runs write a checkpoint first")
        finally:
            ignore_stops()
            end_marked(record.token)
            remove_record()


def _services(options: StackOptions, record: StackRecord) -> tuple[Service, Service]:
    environment = os.environ | {
        "PREFECT_API_URL": record.api_url,
        # With Prefect's default, in memory, a server restart would end the runs that hold a slot.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        WORKSPACE_VARIABLE: str(options.workspace.root),
        MARK: record.token,
    }
    for name, value in {
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        # Poll every two seconds instead of ten: the server is on the same machine.
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        # Prefect marks runs late after 15 seconds; a busy worker may start one shortly after.
        "PREFECT_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS": "60",
    }.items():
        environment.setdefault(name, value)
    prefect = [sys.executable, "-m", "prefect"]
    server = [*prefect, "server", "start", "--host", HOST, "--port", str(options.port)]
    worker = [*prefect, "worker", "start", "--pool", WORK_POOL, "--name", f"vecmill-{platform.node()}"]
    return (
        Service("server", server, environment, stack_folder() / "server.log"),
        Service("worker", [*worker, "--limit", str(options.runs_at_once)], environment, stack_folder() / "worker.log"),
    )


def _clean_up_killed_stack() -> None:
    """Stop the server and worker that a killed `vecmill up` left running unsupervised."""
    left = read_record()
    if left is not None:
        end_marked(left.token)
        remove_record()


def _check_port_is_free(port: int) -> None:
    with socket.socket() as probe:
        # As the server does: otherwise sockets of a killed server in TIME_WAIT would block the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ServerError(
                f"port {port} on {HOST} is in use: {error}; choose another with --port or, if it is your own Prefect "
                "server, set PREFECT_API_URL and run `vecmill deploy`"
            ) from error


def _wait_until_healthy(server: Service, record: StackRecord) -> None:
    deadline = time.monotonic() + START_SECONDS
    while health_problem(record.api_url, timeout_seconds=2):
        if server.process is None or server.process.poll() is not None:
            raise ServerError(f"the server did not start{server.log_tail()}")
        if time.monotonic() > deadline:
            raise ServerError(f"the server did not answer within {START_SECONDS:.0f} s; see {server.log}")
        time.sleep(CHECK_SECONDS)
