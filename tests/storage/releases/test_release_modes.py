"""Release files are read-only, so that no program locks out readers by opening one for writing."""

import multiprocessing
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import duckdb
import pytest

from storage.errors import ReleaseError
from storage.layout import Workspace
from storage.releases.exporting import export_table
from storage.releases.history import promote, prune, rollback
from storage.releases.housekeeping import clean_stages
from storage.releases.opening import open_release
from storage.releases.publishing import keep_candidate, publish_release
from storage.releases.verification import verify_table
from storage.vectors.format_names import VectorFormat
from tests.storage.sample_releases import content

ORDINARY_USER = 65534


def live_a_tables_life(root: Path) -> list[str]:
    """Everything that vecmill does to the files of releases; what verification then finds wrong."""
    workspace = Workspace(root)
    for seed in (1, 2):
        publish_release(workspace, "news", content(seed=seed, rows=20))
    for seed in (3, 4):
        keep_candidate(workspace, "news", content(seed=seed, model_digest="abc", rows=20))
    assert promote(workspace, "news", "abc").version == 3
    assert rollback(workspace, "news", 2).row.version == 2
    assert prune(workspace, "news", 1) == ["v1"]
    keep_candidate(workspace, "news", content(seed=5, model_digest="def", rows=20))
    export_table(workspace, "news", VectorFormat.GLOVE, root / "exported.txt", force=True)
    clean_stages(workspace, 0)
    return [f"{line.name}: {line.problem}" for line in verify_table(workspace, "news") if line.problem]


def opened_for_writing(root: Path) -> str:
    """What DuckDB answers to a program that forgot read_only, by connecting and by attaching."""
    answers = set()
    path = Workspace(root).table_file("news")
    for statement in ("", f"ATTACH '{path}' AS news"):
        try:
            with duckdb.connect(":memory:" if statement else str(path)) as connection:
                connection.execute(statement or "SELECT 1")
            answers.add("opened")
        except duckdb.Error as error:
            answers.add(str(error).splitlines()[0].replace(str(root), ""))
    return "; ".join(sorted(answers))


def run_as_an_ordinary_user(work: Callable[[Path], object], root: Path, answer: Connection) -> None:
    # An ordinary user may not be allowed to read the modules that are imported on the way.
    with tempfile.TemporaryDirectory() as folder:
        if work is opened_for_writing:
            publish_release(Workspace(Path(folder)), "news", content(rows=20))
        work(Path(folder))
    if os.geteuid() == 0:
        os.setgid(ORDINARY_USER)
        os.setuid(ORDINARY_USER)
    try:
        answer.send(work(root))
    except Exception as error:
        answer.send(repr(error))


def as_an_ordinary_user(work: Callable[[Path], object], root: Path) -> object:
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe()
    process = context.Process(target=run_as_an_ordinary_user, args=(work, root, sender))
    process.start()
    sender.close()
    try:
        return receiver.recv()
    finally:
        process.join()


@contextmanager
def users_folder() -> Iterator[Path]:
    # Not tmp_path, which other users cannot even look into.
    with tempfile.TemporaryDirectory() as folder:
        if os.geteuid() == 0:
            os.chown(folder, ORDINARY_USER, ORDINARY_USER)
        Path(folder).chmod(0o755)
        yield Path(folder)


def modes(workspace: Workspace) -> dict[str, int]:
    found = [*workspace.tables_root.glob("*.duckdb"), *workspace.tables_root.rglob("*/*")]
    return {
        path.name: stat.S_IMODE(path.stat().st_mode)
        for path in found
        if path.suffix in {".duckdb", ".parquet", ".json"} and path.name != "versions.json"
    }


def test_an_ordinary_owner_keeps_a_table_and_locks_no_one_out() -> None:
    with users_folder() as root:
        assert as_an_ordinary_user(live_a_tables_life, root) == []
        found = modes(Workspace(root))
        assert set(found) == {
            "news.duckdb",
            *(f"{name}.{suffix}" for name in ("v000002", "v000003", "def") for suffix in ("duckdb", "parquet", "json")),
        }
        assert set(found.values()) == {0o444}
        with duckdb.connect(str(Workspace(root).table_file("news")), read_only=True) as reader:
            answer = as_an_ordinary_user(opened_for_writing, root)
            assert answer == 'IO Error: Cannot open file "/tables/news.duckdb": Permission denied'
            assert reader.sql("SELECT count(*) FROM nearest('word1')").fetchall() == [(10,)]


def test_releases_of_earlier_versions_keep_working_and_are_closed_when_they_become_current(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    for seed in (1, 2):
        publish_release(workspace, "news", content(seed=seed, rows=20))
    for path in workspace.releases_folder("news").glob("v*"):
        path.chmod(0o644)
    assert [line.problem for line in verify_table(workspace, "news")] == [None] * 3
    rollback(workspace, "news", 1)
    assert modes(workspace)["news.duckdb"] == modes(workspace)["v000001.duckdb"] == 0o444
    assert modes(workspace)["v000002.duckdb"] == 0o644
    assert prune(workspace, "news", 1) == []
    assert publish_release(workspace, "news", content(seed=3, rows=20)).version == 3


def test_a_private_umask_stays_private(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        publish_release(Workspace(tmp_path), "news", content(rows=20))
    finally:
        os.umask(before)
    assert set(modes(Workspace(tmp_path)).values()) == {0o400}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can open a release for writing")
def test_what_root_locks_is_said_with_its_remedy(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    publish_release(workspace, "news", content(rows=20))
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe()
    process = context.Process(target=hold_open, args=(workspace.table_file("news"), sender))
    process.start()
    assert receiver.recv() == "open"
    try:
        with (
            pytest.raises(ReleaseError, match=r"open for writing; .* read_only=True") as caught,
            open_release(workspace.table_file("news")),
        ):
            pass
        assert ".wal" not in str(caught.value)
    finally:
        process.terminate()
        process.join()
    with open_release(workspace.table_file("news")):
        pass


def hold_open(path: Path, answer: Connection) -> None:
    with duckdb.connect(str(path)):
        answer.send("open")
        time.sleep(60)
