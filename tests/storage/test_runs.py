"""Runs of one table take turns; a turn ends with its process, however that ends."""

import multiprocessing
import os
import signal
import threading
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from storage.errors import TableBusyError
from storage.layout import Workspace
from storage.runs import oldest_run, table_turn


def hold(root: Path, begun: Event) -> None:
    with table_turn(Workspace(root), "news"):
        begun.set()
        time.sleep(600)


def test_a_run_without_wait_is_refused_with_the_option_to_wait(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    with (
        table_turn(workspace, "news"),
        pytest.raises(TableBusyError, match=r"another run of the table 'news' .*publication\.when_busy=wait"),
        table_turn(workspace, "news", wait=False),
    ):
        pass
    with table_turn(workspace, "news", wait=False):
        pass


def test_runs_of_other_tables_and_workspaces_do_not_wait(tmp_path: Path) -> None:
    one, other = Workspace(tmp_path / "one"), Workspace(tmp_path / "other")
    with table_turn(one, "news"), table_turn(one, "reviews", wait=False), table_turn(other, "news", wait=False):
        pass


def test_a_run_that_waits_gets_its_turn(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    workspace, order = Workspace(tmp_path), []
    caplog.set_level("INFO", "storage")

    def second() -> None:
        with table_turn(workspace, "news"):
            order.append("second")

    waiting = threading.Thread(target=second)
    with table_turn(workspace, "news"):
        waiting.start()
        while "waiting for it" not in caplog.text:
            time.sleep(0.01)
        order.append("first")
    waiting.join()
    assert order == ["first", "second"]


def test_a_killed_run_blocks_no_one_and_does_not_count_as_running(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    begun = context.Event()
    process = context.Process(target=hold, args=(tmp_path, begun))
    process.start()
    begun.wait()
    assert process.pid
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with table_turn(Workspace(tmp_path), "news", wait=False):
        assert oldest_run(Workspace(tmp_path)) is None
