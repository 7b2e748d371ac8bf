"""Publishing that fails, is killed or has company leaves the current release whole."""

import errno
import logging
import multiprocessing
import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import duckdb
import pytest

from storage.errors import ReleaseError, VecmillError, WorkspaceError
from storage.layout import Workspace
from storage.locks import held_lock
from storage.releases import file as release_file
from storage.releases import publishing as releases
from storage.releases.ledger import STAGING, Ledger, read_ledger, write_ledger
from storage.releases.publishing import (
    current_release,
    keep_candidate,
    list_releases,
    publish_release,
)
from storage.releases.reader import check_release_file
from storage.releases.verification import verify_table
from tests.storage.sample_releases import content, published_version


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


def test_content_that_cannot_be_published_leaves_everything_as_it_was(workspace: Workspace) -> None:
    publish_release(workspace, "news", content())
    before = sorted(workspace.root.rglob("*"))
    with pytest.raises(ReleaseError, match="NUL byte"):
        publish_release(workspace, "news", content(["a\0b"]))
    assert sorted(workspace.root.rglob("*")) == before
    assert publish_release(workspace, "news", content()).version == 2


def unread(status: os.stat_result) -> tuple[int, ...]:
    """All that reading a file leaves as it is: its access time changes when it is looked at in another second."""
    return (*status[: stat.ST_ATIME], status.st_mtime_ns, status.st_ctime_ns)


@pytest.mark.parametrize("obstacle", ["folder", "text", "other database", "other table", "candidate"])
def test_a_foreign_file_under_the_tables_name_is_not_replaced(workspace: Workspace, obstacle: str) -> None:
    current = workspace.table_file("news")
    workspace.tables_root.mkdir(parents=True)
    match obstacle:
        case "folder":
            current.mkdir()
        case "text":
            current.write_text("my notes")
        case "other database":
            duckdb.connect(str(current)).execute("CREATE TABLE mine (x INTEGER)").close()
        case "other table":
            publish_release(workspace, "other", content())
            shutil.copy(workspace.table_file("other"), current)
        case "candidate":
            keep_candidate(workspace, "other", content())
            shutil.copy(workspace.candidate_file("other", "abc123"), current)
    before = unread(current.stat())
    with pytest.raises(ReleaseError, match=r"news\.duckdb .*; move it elsewhere"):
        publish_release(workspace, "news", content())
    assert unread(current.stat()) == before
    shutil.rmtree(current) if obstacle == "folder" else current.unlink()
    assert publish_release(workspace, "news", content()).version == 1


def test_a_file_where_the_folder_of_releases_belongs_is_named(workspace: Workspace) -> None:
    workspace.tables_root.mkdir(parents=True)
    (workspace.tables_root / "news").write_text("unexpected")
    with pytest.raises(WorkspaceError, match=r"an unexpected file blocks.*current release is untouched"):
        publish_release(workspace, "news", content())


def test_a_damaged_current_release_is_replaced_by_the_next(workspace: Workspace) -> None:
    publish_release(workspace, "news", content())
    with workspace.table_file("news").open("r+b") as file:
        file.truncate(1000)
    assert publish_release(workspace, "news", content()).version == 2
    assert published_version(workspace) == 2


@pytest.mark.parametrize("reason", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def test_without_hard_links_the_release_is_copied(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(os, "link", refuse)
    publish_release(workspace, "news", content())
    release = publish_release(workspace, "news", content(model_digest="second"))
    assert not workspace.table_file("news").samefile(release.path)
    assert workspace.table_file("news").read_bytes() == release.path.read_bytes()
    assert published_version(workspace) == 2
    assert current_release(workspace, "news") == release
    assert [(r.version, r.current) for r in list_releases(workspace, "news")] == [(1, False), (2, True)]


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EACCES])
@pytest.mark.parametrize("step", ["ledger", "sync"])
def test_a_failure_after_the_last_rename_says_what_is_current(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, step: str, error: int
) -> None:
    publish_release(workspace, "news", content())

    def fail_when_current(change: Callable[..., None]) -> Callable[..., None]:
        def changed(*arguments: Any) -> None:
            if published_version(workspace) == 2:
                raise OSError(error, os.strerror(error))
            change(*arguments)

        return changed

    name = "write_ledger" if step == "ledger" else "sync_path"
    monkeypatch.setattr(releases, name, fail_when_current(getattr(releases, name)))
    with pytest.raises(WorkspaceError, match="version 2 of news is current already") as failed:
        publish_release(workspace, "news", content())
    assert "untouched" not in str(failed.value)
    monkeypatch.undo()
    assert published_version(workspace) == 2
    assert publish_release(workspace, "news", content()).version == 3
    assert [line.problem for line in verify_table(workspace, "news") if line.problem] == []


def test_another_failure_to_link_leaves_the_current_release(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_release(workspace, "news", content())
    before = sorted(workspace.root.rglob("*"))

    def full(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(WorkspaceError, match=r"is full.*untouched"):
        publish_release(workspace, "news", content())
    monkeypatch.undo()
    assert published_version(workspace) == 1
    assert sorted(workspace.root.rglob("*")) == before
    assert publish_release(workspace, "news", content()).version == 2


def test_what_a_killed_publish_left_is_cleaned_and_its_number_not_used_again(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    publish_release(workspace, "news", content())
    folder = workspace.releases_folder("news")
    # Killed after the renames into the folder of releases, before the link.
    for suffix in (".duckdb", ".parquet", ".json"):
        shutil.copy(workspace.release_file("news", 1, suffix), workspace.release_file("news", 2, suffix))
    write_ledger(workspace, "news", Ledger(highest_used=2, highest_published=1, unfinished=[2]))
    (folder / STAGING).mkdir()
    (folder / STAGING / "release.duckdb").write_bytes(b"half")
    assert [release.version for release in list_releases(workspace, "news")] == [1]
    found = current_release(workspace, "news")
    assert found is not None
    assert found.version == 1
    with caplog.at_level(logging.INFO):
        assert publish_release(workspace, "news", content()).version == 3
    assert "interrupted" in caplog.text
    assert not (folder / STAGING).exists()
    assert not workspace.release_file("news", 2).exists()


def test_a_publish_killed_after_the_link_counts_as_published(workspace: Workspace) -> None:
    publish_release(workspace, "news", content())
    ledger = (workspace.releases_folder("news") / "versions.json").read_text()
    publish_release(workspace, "news", content())
    (workspace.releases_folder("news") / "versions.json").write_text(ledger)
    assert [(release.version, release.current) for release in list_releases(workspace, "news")] == [
        (1, False),
        (2, True),
    ]
    assert publish_release(workspace, "news", content()).version == 3
    assert workspace.release_file("news", 2).exists()


def die_before_the_link(root: Path) -> None:
    releases.make_current = lambda *_: os._exit(9)
    publish_release(Workspace(root), "news", content())


def test_a_first_publish_killed_before_the_link_publishes_nothing(workspace: Workspace) -> None:
    process = multiprocessing.get_context("spawn").Process(target=die_before_the_link, args=(workspace.root,))
    process.start()
    process.join()
    assert process.exitcode == 9
    assert workspace.release_file("news", 1).exists()
    assert current_release(workspace, "news") is None
    assert list_releases(workspace, "news") == []
    assert publish_release(workspace, "news", content()).version == 2
    assert read_ledger(workspace, "news").highest_used == 2


def publish_some(root: Path, seed: int, times: int) -> None:
    for _ in range(times):
        publish_release(Workspace(root), "news", content(seed=seed))


def test_two_publishers_at_once_lose_nothing(workspace: Workspace) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=publish_some, args=(workspace.root, seed, 3)) for seed in (1, 2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert [release.version for release in list_releases(workspace, "news")] == [1, 2, 3, 4, 5, 6]
    assert published_version(workspace) == 6


def hold_lock(path: Path, held: Event, release: Event) -> None:
    with held_lock(path, "the test"):
        held.set()
        release.wait(60)


def test_a_publisher_that_waits_says_so(workspace: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    publish_release(workspace, "news", content())
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    process = context.Process(target=hold_lock, args=(workspace.table_lock("news"), held, release))
    process.start()
    assert held.wait(60)

    class LetGo(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            release.set()

    handler = LetGo()
    logging.getLogger("storage.locks").addHandler(handler)
    try:
        with caplog.at_level(logging.INFO):
            assert publish_release(workspace, "news", content()).version == 2
    finally:
        logging.getLogger("storage.locks").removeHandler(handler)
        release.set()
    process.join()
    assert "a release of 'news' is being written by another run; waiting" in caplog.text


def test_a_killed_publisher_does_not_keep_its_lock(workspace: Workspace) -> None:
    publish_release(workspace, "news", content())
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    process = context.Process(target=hold_lock, args=(workspace.table_lock("news"), held, release))
    process.start()
    assert held.wait(60)
    process.kill()
    process.join()
    assert publish_release(workspace, "news", content()).version == 2


def publish_with_file_limit(root: Path, limit: int, answer: Connection) -> None:
    """Publish while no file may grow beyond `limit` bytes, and send back what was raised."""
    import resource
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        publish_release(Workspace(root), "news", content(rows=20_000))
        outcome = "published"
    except VecmillError as error:
        outcome = f"{type(error).__name__}: {error}"
    answer.send(outcome)


@pytest.mark.parametrize("limit", [0, 5_000, 100_000, 1_000_000])
def test_a_disk_that_takes_no_more_leaves_the_current_release(workspace: Workspace, limit: int) -> None:
    publish_release(workspace, "news", content())
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe()
    process = context.Process(target=publish_with_file_limit, args=(workspace.root, limit, sender))
    process.start()
    sender.close()
    outcome = receiver.recv()
    process.join()
    assert outcome.startswith("WorkspaceError: the disk of the workspace")
    assert "the current release is untouched" in outcome
    assert published_version(workspace) == 1
    assert publish_release(workspace, "news", content()).version == 2
    check_release_file(workspace.table_file("news"))


def publish_as_a_stranger(root: Path, answer: Connection) -> None:
    """Publish without write permission, which root must drop first."""
    # A stranger may not be allowed to read the modules that publishing imports on the way.
    with tempfile.TemporaryDirectory() as folder:
        publish_release(Workspace(Path(folder)), "news", content())
    if os.geteuid() == 0:
        os.setuid(65534)
    try:
        publish_release(Workspace(root), "news", content())
        outcome = "published"
    except VecmillError as error:
        outcome = f"{type(error).__name__}: {error}"
    answer.send(outcome)


@pytest.mark.parametrize("closed", ["tables", "tables/news"])
def test_a_folder_that_cannot_be_written_leaves_the_current_release(closed: str) -> None:
    # Not tmp_path, which strangers cannot even look into.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        workspace = Workspace(Path(folder) / "workspace")
        publish_release(workspace, "news", content())
        for place in (workspace.tables_root, workspace.releases_folder("news")):
            if os.geteuid() == 0:
                for path in (place, *place.iterdir()):
                    os.chown(path, 65534, 65534, follow_symlinks=False)
        (workspace.root / closed).chmod(0o555)
        context = multiprocessing.get_context("spawn")
        receiver, sender = context.Pipe()
        process = context.Process(target=publish_as_a_stranger, args=(workspace.root, sender))
        process.start()
        sender.close()
        outcome = receiver.recv()
        process.join()
        (workspace.root / closed).chmod(0o755)
        assert outcome.startswith("WorkspaceError")
        assert f"is not writable: [Errno 13] Permission denied: '{workspace.root / closed}/" in outcome
        assert published_version(workspace) == 1
        assert publish_release(workspace, "news", content()).version == 2
        assert sorted(file.name for file in workspace.tables_root.iterdir()) == [
            "news",
            "news.duckdb",
            "news.duckdb.wal",
        ]


def test_a_release_that_fails_its_check_is_not_published(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_release(workspace, "news", content())
    monkeypatch.setattr(release_file, "macro_statements", lambda *_: ["CREATE MACRO similarity(a, b) AS 0.0"])
    with pytest.raises(ReleaseError):
        publish_release(workspace, "news", content())
    monkeypatch.undo()
    assert published_version(workspace) == 1
    assert publish_release(workspace, "news", content()).version == 2
