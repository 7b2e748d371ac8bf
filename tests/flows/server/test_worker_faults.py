"""What is killed while it trains, and what becomes of it: against a real server, worker and flow processes."""

import shlex
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from storage.layout import Workspace
from storage.models.matrices import CHECKPOINT
from storage.releases.ledger import STAGING
from storage.releases.publishing import list_releases
from storage.releases.verification import check_kept_release
from storage.run_history import read_runs
from storage.runs import oldest_run, table_turn
from tests.flows.message_sinks import webhook_sink
from tests.flows.server_stack import ServerStack, wait_for

pytestmark = pytest.mark.long

REPORTED_WITHIN = timedelta(seconds=150)


def settings_for(table: str, corpus: Path, seed: int) -> tuple[str, ...]:
    """A training of some twenty seconds, with a checkpoint every second."""
    return (
        f"corpus.path={corpus}", f"publication.table={table}", f"training.seed={seed}", "training.epochs=50",
        "training.checkpoint_every_seconds=1", "evaluation.reference=none", "report.enabled=false",
    )  # fmt: skip


def wait_for_checkpoint(stack: ServerStack, run: str) -> None:
    """Until this run has written a checkpoint."""
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
    wait_for("log line", lambda: "resuming from a checkpoint" in stack.log_of(second))
    notes = len(stack.artifacts("faults-stopped"))
    stack.flow_process(second).kill()
    state = stack.ended(second)
    assert state["type"] == "CRASHED"
    wait_for("second note", lambda: len(stack.artifacts("faults-stopped")) > notes)

    third = stack.start_run("adhoc", resume_command_of(stack, "faults"))
    assert stack.ended(third)["type"] == "COMPLETED", stack.log_of(third)
    assert "resuming from a checkpoint" in stack.log_of(third)
    assert_published_once(stack, "faults")


def test_a_run_outlives_its_worker_and_its_server(stack: ServerStack, long_news_file: Path) -> None:
    run = stack.start_run("adhoc", settings_for("orphan", long_news_file, 2))
    wait_for_checkpoint(stack, run)
    for name in ("worker", "server"):
        killed = stack.service(name)
        killed.kill()
        # Right after the kill no server answers: commands wait for the new one.
        deployed = stack.vecmill("deploy")
        assert deployed.returncode == 0, deployed.stderr
        wait_for(f"new {name}", partial(_service_or_none, stack, name, killed))
    assert stack.ended(run)["type"] == "COMPLETED", stack.log_of(run)
    assert_published_once(stack, "orphan")


def test_after_a_power_cut_a_new_worker_goes_on_and_runs_that_cannot_report_are_reported(
    stack: ServerStack, long_news_file: Path
) -> None:
    """Server, worker and runs are killed at once; `vecmill up` again, and nothing of the old runs blocks it.

    One run was training, one had been taken by the worker and had no process yet; a third one is never taken.
    """
    with webhook_sink() as sink:
        assert stack.vecmill("notify", "webhook", VECMILL_NOTIFY_URL=f"{sink.url}/lost").returncode == 0
        settings = settings_for("cut", long_news_file, 3)
        lost = stack.start_run("adhoc", settings)
        wait_for_checkpoint(stack, lost)
        stack.service("worker").suspend()
        pending = stack.start_run("adhoc", settings_for("unborn", long_news_file, 3))
        stack.ask(f"flow_runs/{pending}/set_state", {"state": {"type": "PENDING"}})
        stack.kill_everything()
        stack.start()
        up_since = datetime.now(UTC)
        run = stack.start_run("adhoc", settings)
        assert stack.ended(run)["type"] == "COMPLETED", stack.log_of(run)
        assert "resuming from a checkpoint" in stack.log_of(run)
        assert_published_once(stack, "cut")
        stack.service("worker").suspend()
        late = stack.start_run("adhoc", (*settings_for("late", long_news_file, 3), "training.epochs=1"))
        due = datetime.now(UTC)

        expected = {
            lost: ("cut", "Crashed", "killed", "no heartbeat for 90 seconds"),
            pending: ("unborn", "Crashed", "killed", "it never started"),
            late: ("late", "Late", "late", "no worker picked it up"),
        }
        for number, (table, state, outcome, reason) in expected.items():
            (note,) = wait_for("note", partial(stack.artifacts, f"{table}-stopped"))
            assert note["flow_run_id"] == number
            assert f"**{state}**" in note["data"]
            assert reason in note["data"]
            record = next(run for run in read_runs(Workspace(stack.workspace), table) if run.run_id == number)
            assert (record.outcome, reason in record.reason) == (outcome, True)
        states = {(table, state) for table, state, _, _ in expected.values()}
        said = sink.posted_to
        wait_for("notifications", lambda: {(it.get("table"), it.get("state")) for it in said("/lost")} >= states)
        # Two minutes, plus a margin for a busy machine.
        assert datetime.now(UTC) - due < REPORTED_WITHIN
        for number in (lost, pending):
            assert datetime.fromisoformat(stack.state_of(number)["timestamp"]) - up_since < REPORTED_WITHIN
        assert {stack.state_of(number)["name"] for number in (lost, pending)} == {"Crashed"}
        assert stack.state_of(run)["type"] == "COMPLETED", "a run that ended is not marked silent"
        stack.service("worker").resume()
        assert stack.ended(late)["type"] == "COMPLETED", stack.log_of(late)
        assert [run.outcome for run in read_runs(Workspace(stack.workspace), "late")] == ["published"]
        assert stack.vecmill("notify", "off", "webhook").returncode == 0


def _service_or_none(stack: ServerStack, name: str, killed: psutil.Process) -> psutil.Process | None:
    try:
        found = stack.service(name)
    except (StopIteration, psutil.Error):
        return None
    return None if found == killed else found
