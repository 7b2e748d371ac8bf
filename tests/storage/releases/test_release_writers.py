"""Programs that open the current release for writing harm neither it nor the next one, nor their readers."""

import errno
import logging
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from storage.layout import Workspace
from storage.releases.opening import log_file
from storage.releases.publishing import current_release, publish_release
from storage.releases.reader import check_release_file
from storage.releases.verification import verify_table
from tests.storage.sample_releases import content

# A line in, a line out: each line of SQL is run on one connection that stays open.
HOLD_OPEN_FOR_WRITING = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1])
print("open", flush=True)
for statement in sys.stdin:
    try:
        connection.execute(statement)
        print("written", flush=True)
    except duckdb.Error as error:
        print("refused", str(error).splitlines()[0], flush=True)
"""
WRITE = "UPDATE release SET rows = rows + 1"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path)
    publish_release(workspace, "news", content())
    return workspace


@pytest.fixture
def unguarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace on a file system without links of either kind."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(Path, "symlink_to", refuse)
    workspace = Workspace(tmp_path)
    publish_release(workspace, "news", content())
    assert not log_file(workspace.table_file("news")).is_symlink()
    return workspace


class Writer:
    """A program of a user's that has opened the current release for writing."""

    def __init__(self, workspace: Workspace) -> None:
        command = [sys.executable, "-c", HOLD_OPEN_FOR_WRITING, str(workspace.table_file("news"))]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._answer() == "open\n"

    def write(self) -> str:
        """Change the release; returns the outcome."""
        assert self.process.stdin
        self.process.stdin.write(WRITE + "\n")
        self.process.stdin.flush()
        return self._answer()

    def end(self) -> None:
        """Let the program end, which writes a checkpoint where there is something to write."""
        self.process.communicate()

    def _answer(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline()


def test_writing_through_the_tables_name_is_impossible(workspace: Workspace) -> None:
    before = check_release_file(workspace.table_file("news"))
    with duckdb.connect(str(workspace.table_file("news"))) as connection:
        for statement in (WRITE, "DROP VIEW word_vectors", "CREATE TABLE mine AS FROM range(1000000)"):
            with pytest.raises(duckdb.Error, match=r"news\.duckdb\.wal"):
                connection.execute(statement)
    assert check_release_file(workspace.table_file("news")) == before


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_writer_that_was_open_during_a_publish_does_not_harm_the_next_release(
    workspace: Workspace, moment: str
) -> None:
    writer = Writer(workspace)
    if moment == "before":
        assert writer.write().startswith("refused")
    assert current_release(workspace, "news")
    assert publish_release(workspace, "news", content(seed=2)).version == 2
    assert writer.write().startswith("refused")
    assert check_release_file(workspace.table_file("news")).version == 2
    writer.end()
    check_release_file(workspace.release_file("news", 1))
    assert check_release_file(workspace.table_file("news")).version == 2


def test_without_links_a_writer_only_harms_the_release_it_has_open(
    unguarded: Workspace,
) -> None:
    writer = Writer(unguarded)
    assert writer.write() == "written\n"
    assert current_release(unguarded, "news")  # known although the file cannot be opened now
    assert publish_release(unguarded, "news", content(seed=2)).version == 2
    assert writer.write() == "written\n"
    assert check_release_file(unguarded.table_file("news")).version == 2
    writer.end()
    check_release_file(unguarded.release_file("news", 1))
    assert [line.problem for line in verify_table(unguarded, "news")] == [None, None, None]
    assert check_release_file(unguarded.table_file("news")).version == 2


@pytest.mark.parametrize("by", ["publishing", "verifying"])
def test_a_stale_log_of_the_current_release_is_removed_and_said(
    workspace: Workspace, caplog: pytest.LogCaptureFixture, by: str
) -> None:
    log = log_file(workspace.table_file("news"))
    log.unlink()  # as a copy of the workspace without its links has none
    with duckdb.connect(str(workspace.table_file("news"))) as connection:
        connection.execute("PRAGMA disable_checkpoint_on_shutdown")
        connection.execute("DELETE FROM release")
    assert log.is_file()
    with caplog.at_level(logging.WARNING):
        if by == "publishing":
            publish_release(workspace, "news", content())
        else:
            assert [line.problem for line in verify_table(workspace, "news")] == [None, None]
    assert "news.duckdb.wal" in caplog.text
    assert not log.exists()
    check_release_file(workspace.table_file("news"))
