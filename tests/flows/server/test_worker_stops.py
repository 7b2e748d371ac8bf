"""`vecmill up` is stopped while a run trains: the run writes a checkpoint and a note, then all of it ends.

The servers have a password, which right, wrong and missing ones are tried with.
"""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from storage.layout import Workspace
from storage.models.matrices import CHECKPOINT
from storage.run_history import read_runs
from tests.flows.postgres import postgres_server
from tests.flows.server.test_worker_faults import settings_for, wait_for_checkpoint
from tests.flows.server_stack import ServerStack

pytestmark = pytest.mark.long

PASSWORDS = {"": "requires a password", "admin:wrong": "rejects the password"}
PASSWORD = "admin:right: password"


@pytest.fixture(params=["sqlite", "postgresql"])
def own_stack(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, ServerStack]]:
    """A server with a password, by the kind of its database."""
    if request.param == "sqlite":
        stack = ServerStack(tmp_path, PASSWORD)
        yield "sqlite", stack
        stack.clean_up()
        return
    with postgres_server() as database:
        stack = ServerStack(tmp_path, PASSWORD, PREFECT_SERVER_DATABASE_CONNECTION_URL=database.url)
        try:
            yield "postgresql", stack
        finally:
            stack.clean_up()


def assert_stopped_well(
    stack: ServerStack, table: str, run: str, mine: list[psutil.Process], stopped_at: float
) -> None:
    """Nothing is left running; the run has written its checkpoint and its record, and has reported to the server."""
    assert not [process for process in mine if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    (record,) = read_runs(Workspace(stack.workspace), table)
    assert (record.outcome, record.reason.split(":")[0]) == ("stopped", "SIGTERM")
    checkpoints = [path.stat().st_mtime for path in stack.workspace.glob(f"models/*.partial/{CHECKPOINT}")]
    assert max(checkpoints) >= stopped_at
    stack.start()
    assert stack.state_of(run)["type"] == "CRASHED"
    (note,) = stack.artifacts(f"{table}-stopped")
    assert note["flow_run_id"] == run
    assert "vecmill run adhoc --set" in note["data"]


def rare_checkpoints(table: str, corpus: Path, seed: int) -> tuple[str, ...]:
    """One checkpoint soon, so that the test knows that training has started; the next is written when it is stopped."""
    return (*settings_for(table, corpus, seed), "training.epochs=1000")


def test_a_server_with_a_password_is_stopped_while_a_run_trains(
    own_stack: tuple[str, ServerStack], long_news_file: Path
) -> None:
    """By a SIGTERM to all its processes, as from systemd, and by Ctrl-C under nohup, where a SIGHUP does nothing."""
    kind, stack = own_stack
    # Refused before the server starts, so its database makes no difference.
    for wrong in ("", "admin:wrong", "admin:wröng") if kind == "sqlite" else ():
        refused = stack.vecmill("up", "--port", str(stack.port), PREFECT_API_AUTH_STRING=wrong)
        assert refused.returncode == 1
        assert_one_line(refused.stderr, "PREFECT_API_AUTH_STRING")
    stack.start(*(["nohup"] if kind == "postgresql" else []))
    api = f"http://127.0.0.1:{stack.port}/api"
    commands = ("deploy",), ("run", "adhoc"), ("notify", "list")
    with ThreadPoolExecutor(2) as threads:
        tries = {
            (command, expected): threads.submit(
                stack.vecmill, *command, PREFECT_API_AUTH_STRING=wrong, PREFECT_API_URL=api
            )
            for command in commands
            for wrong, expected in PASSWORDS.items()
        }
    for (command, expected), tried in tries.items():
        assert tried.result().returncode == 1, command
        assert_one_line(tried.result().stderr, expected)
    assert stack.vecmill("deploy").returncode == 0
    assert stack.vecmill("notify", "list").returncode == 0

    run = stack.start_run("adhoc", rare_checkpoints("halted", long_news_file, 4))
    if kind == "postgresql":
        stack.signal_all(signal.SIGHUP)
    wait_for_checkpoint(stack, run)
    second = stack.vecmill("up")
    assert second.returncode == 0, second.stderr
    assert f"vecmill is already up, at http://127.0.0.1:{stack.port}" in second.stdout
    mine, now = stack.processes(), time.time()
    assert len(mine) >= 3
    if kind == "sqlite":
        stack.signal_all(signal.SIGTERM)
        stack.send(signal.SIGTERM)
        assert stack.exit_code() == 0
    else:
        assert stack.press_ctrl_c() == 0
    assert_stopped_well(stack, "halted", run, mine, now)


def assert_one_line(said: str, expected: str) -> None:
    assert said.startswith("error:"), said
    assert expected in " ".join(said.split())
    assert "Traceback" not in said
    assert "admin:wrong" not in said
