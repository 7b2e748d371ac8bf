"""A real `vecmill up` for tests: server, worker and deployments, with their own home, port and workspace."""

import base64
import http
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import psutil  # type: ignore[import-untyped]

from flows.server.marked_processes import end_marked, marked_processes

VECMILL = [sys.executable, "-m", "flows"]
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
# Enough for a busy machine; every wait ends as soon as its condition holds.
PATIENCE_SECONDS = 300.0

Found = TypeVar("Found")


def wait_for(what: str, ready: Callable[[], Found | None], seconds: float = PATIENCE_SECONDS) -> Found:
    """The value of `ready`, as soon as it is true."""
    deadline = time.monotonic() + seconds
    while not (found := ready()):
        assert time.monotonic() < deadline, f"no {what} within {seconds:.0f} s"
        time.sleep(0.1)
    return found


def free_port() -> int:
    """A free port of loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class ServerStack:
    """One `vecmill up`, started when it is first needed, and again after it was stopped or killed."""

    def __init__(self, folder: Path, password: str = "", command: Sequence[str] = VECMILL, **variables: str) -> None:
        """password: of the server, in the form user:password.  command: vecmill's.  variables: of the environment."""
        self.password = password
        self.command = list(command)
        self.home = folder / "prefect home"
        self.workspace = folder / "workspace"
        # Of a database outside the home.
        self.database_folders: list[Path] = []
        self.output = folder / "up.log"
        self.port = free_port()
        # Another server that a test of this process has started is not ours.
        self.environment = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"} | {
            "PREFECT_HOME": str(self.home),
            "PREFECT_LOGGING_TO_API_ENABLED": "true",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "VECMILL_WORKSPACE": str(self.workspace),
        }
        if password:
            self.environment |= {"PREFECT_SERVER_API_AUTH_STRING": password, "PREFECT_API_AUTH_STRING": password}
        self.environment |= variables
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *wrapper: str) -> "ServerStack":
        """Have it running, and wait until it says so.  wrapper: a command in front, such as nohup."""
        if self._process and self._process.poll() is None:
            return self
        command = [*wrapper, *self.command, "up", "--port", str(self.port)]
        with self.output.open("wb") as output:
            # A separate process group: the test can send it Ctrl-C as a terminal does, without interrupting itself.
            self._process = subprocess.Popen(
                command, env=self.environment, cwd=self.workspace.parent, stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip
        wait_for("server, worker and deployments", self._is_ready)
        return self

    def press_ctrl_c(self) -> int:
        """Stop it as a terminal does; returns its exit code."""
        assert self._process
        os.killpg(self._process.pid, signal.SIGINT)
        return self._process.wait(PATIENCE_SECONDS)

    def send(self, number: signal.Signals) -> None:
        """Signal `vecmill up` alone."""
        assert self._process
        self._process.send_signal(number)

    def signal_all(self, number: signal.Signals) -> None:
        """Signal every process of it at once, as systemd and a shutdown do."""
        assert self._process
        for process in [psutil.Process(self._process.pid), *self.processes()]:
            process.send_signal(number)

    def exit_code(self) -> int:
        """Of `vecmill up`, as soon as it has ended."""
        assert self._process
        return self._process.wait(PATIENCE_SECONDS)

    def kill_everything(self) -> None:
        """What a power cut does."""
        assert self._process
        processes = [psutil.Process(self._process.pid), *self.processes()]
        for process in processes:
            process.kill()
        self._process.wait()
        psutil.wait_procs(processes)

    def clean_up(self) -> None:
        """Leave no process behind, whatever the tests have done."""
        if self._process and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self._process.kill()
        if token := self._token():
            end_marked(token)

    def processes(self) -> list[psutil.Process]:
        """Server, worker and flow runs, with what they started."""
        token = self._token()
        return marked_processes(token) if token else []

    def service(self, name: str) -> psutil.Process:
        """The process of the server or of the worker."""
        return next(process for process in self.processes() if process.cmdline()[1:4] == ["-m", "prefect", name])

    def flow_process(self, run: str) -> psutil.Process:
        """The process of an active flow run."""
        return next(p for p in self.processes() if p.environ().get("PREFECT__FLOW_RUN_ID") == run)

    def vecmill(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the command in an empty folder; the caller checks the exit code."""
        return subprocess.run(
            [*self.command, *arguments], env=self.environment | variables, cwd=self.workspace.parent,
            capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS,
        )  # fmt: skip

    def start_run(self, deployment: str, settings: Sequence[str]) -> str:
        """`vecmill run`; returns the ID of the run."""
        called = self.vecmill(
            "run", deployment, "--json", *(part for setting in settings for part in ("--set", setting))
        )
        assert called.returncode == 0, called.stderr
        return str(json.loads(called.stdout)["id"])

    def ask(self, path: str, question: object = None) -> Any:
        """The answer of Prefect's API. Retries while the server is busy, as Prefect's own clients do."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/{path}",
            data=None if question is None else json.dumps(question).encode(),
            headers={"Content-Type": "application/json"},
        )
        if self.password:
            request.add_header("Authorization", f"Basic {base64.b64encode(self.password.encode()).decode()}")
        for _ in range(10):
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                if error.code != http.HTTPStatus.SERVICE_UNAVAILABLE:
                    raise
                time.sleep(1)
        raise AssertionError(f"{path} stays unavailable")

    def state_of(self, run: str) -> dict[str, Any]:
        """The state of a flow run: type, name, message."""
        state: dict[str, Any] = self.ask(f"flow_runs/{run}")["state"]
        return state

    def ended(self, run: str) -> dict[str, Any]:
        """Its last state, as soon as it has one."""

        def last() -> dict[str, Any] | None:
            state = self.state_of(run)
            return state if state["type"] in ENDED else None

        return wait_for(f"end of the run {run}", lambda: self._unless_away(last)) or {}

    def log_of(self, run: str) -> str:
        """The lines of a run, oldest first."""
        question = {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_ASC", "limit": 200}
        return "\n".join(line["message"] for line in self.ask("logs/filter", question))

    def artifacts(self, key: str) -> list[dict[str, Any]]:
        """All artifacts under a key, latest first."""
        question = {"artifacts": {"key": {"any_": [key]}}, "sort": "CREATED_DESC"}
        return list(self.ask("artifacts/filter", question))

    def _unless_away(self, question: Callable[[], Found]) -> Found | None:
        """The answer, or None from a server that is being restarted."""
        try:
            return question()
        except OSError:
            return None

    def _is_ready(self) -> bool:
        said = self.output.read_text(encoding="utf-8")
        assert self._process
        assert self._process.poll() is None, said
        return "Ctrl-C stops everything" in said

    def _token(self) -> str | None:
        try:
            return str(json.loads((self.home / "vecmill" / "up.json").read_text(encoding="utf-8"))["token"])
        except OSError:
            return None
