"""What is killed while it trains, and what becomes of it: against a real server, worker and flow processes."""

import shlex
import time
from functools import partial
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from storage.layout import Workspace
from storage.models import CHECKPOINT
from storage.release_ledger import STAGING
from storage.release_verification import check_kept_release
from storage.releases import list_releases
from storage.runs import oldest_run, table_turn
from tests.flows.server_stack import ServerStack, wait_for

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


def settings_for(table: str, corpus: Path, seed: int) -> tuple[str, ...]:
    """A training of some twenty seconds, with a checkpoint every second."""
    return (
        f"corpus.path={corpus}", f"publication.table={table}", f"training.seed={seed}", "training.epochs=50",
        "training.checkpoint_every_seconds=1", "evaluation.reference=none", "report.enabled=false",
    )  # fmt: skip


def wait_for_checkpoint(stack: ServerStack, run: str) -> None:
    """Until the run has written a checkpoint of its own."""
    begun = wait_for("flow process", lambda: _process_or_none(stack, run)).create_time()

    def written() -> bool:
        state = stack.state_of(run)
        assert state["type"] in ("SCHEDULED", "PENDING", "RUNNING"), state
        files = stack.workspace.glob(f"models/*.partial/{CHECKPOINT}")
        return any(file.stat().st_mtime > begun for file in files)

    wait_for("checkpoint", written)


def _process_or_none(stack: ServerStack, run: str) -> psutil.Process | None:
    try:
        return stack.flow_process(run)
    except (StopIteration, psutil.Error):
        return None


def resume_command_of(stack: ServerStack, table: str) -> list[str]:
    """What the latest note on the table says to do."""
    note = wait_for("note", lambda: stack.artifacts(f"{table}-stopped"))[0]["data"]
    command = shlex.split(note.split("```")[1])
    assert command[:3] == ["vecmill", "run", "adhoc"]
    return command[4::2]


def assert_published_once(stack: ServerStack, table: str) -> None:
    workspace = Workspace(stack.workspace)
    releases = list_releases(workspace, table)
    assert [(release.version, release.current) for release in releases] == [(1, True)]
    check_kept_release(workspace.release_file(table, 1))
    assert not (workspace.releases_folder(table) / STAGING).exists(), "half a release"
    assert not list(workspace.root.glob("models/*.partial")), "half a stage"
    with table_turn(workspace, table, wait=False):
        assert oldest_run(workspace) is None, "a lock is left"


def test_cancelled_and_killed_trainings_go_on_from_their_checkpoints_on_the_worker(
    stack: ServerStack, long_news_file: Path
) -> None:
    """One training is cancelled in the UI, then its next run is killed; the third one ends and publishes."""
    first = stack.start_run("adhoc", settings_for("faults", long_news_file, 1))
    wait_for_checkpoint(stack, first)
    process = stack.flow_process(first)
    asked = time.monotonic()
    stack.ask(f"flow_runs/{first}/set_state", {"state": {"type": "CANCELLING"}})
    process.wait(10)
    assert time.monotonic() - asked < 10
    assert stack.ended(first)["type"] == "CANCELLED"
    assert "the checkpoint in" in stack.log_of(first)

    second = stack.start_run("adhoc", resume_command_of(stack, "faults"))
    wait_for_checkpoint(stack, second)
    # Log lines are sent every two seconds; a kill takes those along that are still waiting.
    wait_for("log line", lambda: "going on from a checkpoint" in stack.log_of(second))
    notes = len(stack.artifacts("faults-stopped"))
    stack.flow_process(second).kill()
    state = stack.ended(second)
    assert state["type"] == "CRASHED"
    wait_for("second note", lambda: len(stack.artifacts("faults-stopped")) > notes)

    third = stack.start_run("adhoc", resume_command_of(stack, "faults"))
    assert stack.ended(third)["type"] == "COMPLETED", stack.log_of(third)
    assert "going on from a checkpoint" in stack.log_of(third)
    assert_published_once(stack, "faults")


def test_a_run_outlives_its_worker_and_its_server(stack: ServerStack, long_news_file: Path) -> None:
    run = stack.start_run("adhoc", settings_for("orphan", long_news_file, 2))
    wait_for_checkpoint(stack, run)
    for name in ("worker", "server"):
        killed = stack.service(name)
        killed.kill()
        wait_for(f"new {name}", partial(_service_or_none, stack, name, killed))
    assert stack.ended(run)["type"] == "COMPLETED", stack.log_of(run)
    assert_published_once(stack, "orphan")


def test_after_a_power_cut_a_new_worker_goes_on_and_the_lost_run_is_told(
    stack: ServerStack, long_news_file: Path
) -> None:
    """Server, worker and run are killed at once; `vecmill up` again, and nothing of the old run is in the way."""
    settings = settings_for("cut", long_news_file, 3)
    lost = stack.start_run("adhoc", settings)
    wait_for_checkpoint(stack, lost)
    stack.kill_everything()
    stack.start()
    run = stack.start_run("adhoc", settings)
    assert stack.ended(run)["type"] == "COMPLETED", stack.log_of(run)
    assert "going on from a checkpoint" in stack.log_of(run)
    assert_published_once(stack, "cut")
    # Nobody is left to tell of the run of old but the automation that `vecmill up` has deployed.
    state = stack.ended(lost)
    assert state["type"] == "CRASHED"
    assert "no sign of life" in state["message"]


def test_a_second_start_finds_the_first_and_ctrl_c_ends_the_worker_and_all_else(
    stack: ServerStack, long_news_file: Path
) -> None:
    second = stack.vecmill("up")
    assert second.returncode == 0, second.stderr
    assert f"up already, at http://127.0.0.1:{stack.port}" in second.stdout
    run = stack.start_run("adhoc", settings_for("stopped", long_news_file, 4))
    wait_for_checkpoint(stack, run)
    mine = stack.processes()
    assert len(mine) >= 3
    assert stack.press_ctrl_c() == 0
    assert not [process for process in mine if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    assert list(stack.workspace.glob(f"models/*.partial/{CHECKPOINT}")), "the checkpoint is kept"


def _service_or_none(stack: ServerStack, name: str, killed: psutil.Process) -> psutil.Process | None:
    try:
        found = stack.service(name)
    except (StopIteration, psutil.Error):
        return None
    return None if found == killed else found
