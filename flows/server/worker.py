"""`vecmill worker`: a Prefect worker on this host, for a server elsewhere, supervised until a signal stops it."""

import logging
import os
import platform
import sys
import time
import uuid
from dataclasses import dataclass

from flows.server.deploying import WORK_POOL
from flows.server.marked_processes import MARK, end_marked
from flows.server.services import Service, ignore_stops, stop_signals_as_interrupt
from storage.layout import WORKSPACE_VARIABLE, Workspace

logger = logging.getLogger(__name__)

CHECK_SECONDS = 0.5


@dataclass(frozen=True)
class WorkerOptions:
    """Options of `vecmill worker`. runs_at_once: further runs wait.  health_port: None for no health check."""

    workspace: Workspace
    runs_at_once: int = 1
    health_port: int | None = None


def run_worker(server: str, options: WorkerOptions) -> None:
    """Run a worker for the server at this API address until Ctrl-C, SIGTERM or SIGHUP.

    Its output is that of this process. After a signal, training runs write a checkpoint and report before the worker
    exits; Prefect's own worker would kill them.
    Raises ServerError if it keeps dying.
    """
    token = uuid.uuid4().hex
    environment = os.environ | {
        "PREFECT_API_URL": server,
        WORKSPACE_VARIABLE: str(options.workspace.root),
        MARK: token,
    }
    command = [
        sys.executable, "-m", "prefect", "worker", "start", "--pool", WORK_POOL,
        "--name", f"vecmill-{platform.node()}-{token[:8]}", "--limit", str(options.runs_at_once),
    ]  # fmt: skip
    if options.health_port is not None:
        command.append("--with-healthcheck")
        environment["PREFECT_WORKER_WEBSERVER_PORT"] = str(options.health_port)
    worker = Service("worker", command, environment)
    with stop_signals_as_interrupt():
        try:
            worker.start()
            while True:
                time.sleep(CHECK_SECONDS)
                worker.keep_alive()
        except KeyboardInterrupt:
            logger.info("stopping; training runs write a checkpoint first")
        finally:
            ignore_stops()
            end_marked(token)
