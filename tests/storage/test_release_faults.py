"""Publishers are killed and disks fill up; readers never see anything but a whole release."""

import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import duckdb
import pytest

from storage import release_ledger, releases
from storage.layout import Workspace
from storage.release_file import ReleaseContent
from storage.release_ledger import kept_versions
from storage.release_reader import check_release_file
from storage.releases import list_releases, publish_release
from tests.storage.sample_releases import content

ROOT = Path(__file__).resolve().parents[2]
DIED = 9
# A publish changes the disk in about 40 steps.
MOST_STEPS = 100
SEEDS = 4
ASKED = "SELECT word FROM nearest('word3', k := 5)"
IDENTITY = "SELECT version, config_digest FROM release"


def fresh_processes() -> ForkServerContext:
    """Processes that start from a bare interpreter: this one may be full of other tests' threads and handlers."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.storage.test_release_faults"])
    return context


def seeded(seed: int) -> ReleaseContent:
    """One of a few releases that can be told apart: the seed stands in the release and decides its vectors."""
    made = content(seed=seed, rows=2000, dimension=32)
    return replace(made, provenance=made.provenance.model_copy(update={"config_digest": str(seed)}))


def expected_answers() -> dict[str, list[tuple[str]]]:
    """Seed -> nearest words of word3, by NumPy."""
    answers = {}
    for seed in range(SEEDS):
        vectors = seeded(seed).vectors
        cosines = vectors @ vectors[3] / (vectors**2).sum(axis=1) ** 0.5
        answers[str(seed)] = [(f"word{row}",) for row in (-cosines).argsort() if row != 3][:5]
    return answers


def assert_whole(workspace: Workspace) -> None:
    """Nothing lies in the table's folder but complete, published releases."""
    names = {".publish.lock", "versions.json"}
    for version in kept_versions(workspace, "news"):
        names |= {f"v{version:06d}{suffix}" for suffix in (".duckdb", ".parquet", ".json")}
    assert {file.name for file in workspace.releases_folder("news").iterdir()} == names
    assert {file.name for file in workspace.tables_root.iterdir()} == {"news", "news.duckdb", "news.duckdb.wal"}


def publish_and_die(root: Path, step: int, said: Path) -> None:
    """Publish, but end the process without any clean-up just before its n-th change of the disk."""
    os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    left = step

    def dying(change: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **keywords: Any) -> Any:
            nonlocal left
            if left == 0:
                os._exit(DIED)
            left -= 1
            return change(*arguments, **keywords)

        return counted

    for name in ("replace", "unlink", "mkdir", "write_text", "symlink_to"):
        setattr(Path, name, dying(getattr(Path, name)))
    os.link = dying(os.link)
    shutil.rmtree = dying(shutil.rmtree)  # type: ignore[assignment]
    for module in (releases, release_ledger):
        module.sync_path = dying(module.sync_path)  # type: ignore[attr-defined]
    publish_release(Workspace(root), "news", content(rows=20, dimension=8))
    os._exit(0)  # what an interpreter does at its end is no step of the publish


def dies_before_step(workspace: Workspace, step: int, said: Path) -> bool:
    """Let a publish die before its n-th step; False if it came to its end. said: where its stderr goes."""
    said.touch()
    process = fresh_processes().Process(target=publish_and_die, args=(workspace.root, step, said))
    process.start()
    process.join()
    assert process.exitcode in (0, DIED), f"step {step} ended with {process.exitcode}: {said.read_text()}"
    assert step < MOST_STEPS, f"a publish has no end after {MOST_STEPS} steps: {said.read_text()}"
    return process.exitcode == DIED


@pytest.mark.long
def test_a_publish_that_dies_before_any_of_its_steps_does_no_harm(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")
    version = publish_release(workspace, "news", content(rows=20, dimension=8)).version
    died = 0
    while dies_before_step(workspace, died, tmp_path / "said"):
        died += 1
        kept = kept_versions(workspace, "news")
        seen = check_release_file(workspace.table_file("news")).version
        assert seen in (version, version + 1)
        assert kept[-1] == seen
        version = publish_release(workspace, "news", content(rows=20, dimension=8)).version
        assert version in (seen + 1, seen + 2)
        assert [release.version for release in list_releases(workspace, "news")] == [*kept, version]
        assert_whole(workspace)
    assert died > 10


@pytest.mark.long
def test_a_first_publish_that_dies_before_any_of_its_steps_does_no_harm(tmp_path: Path) -> None:
    died = 0
    while dies_before_step(workspace := Workspace(tmp_path / str(died)), died, tmp_path / "said"):
        died += 1
        published = workspace.table_file("news").exists()
        if published:
            check_release_file(workspace.table_file("news"))
        assert kept_versions(workspace, "news") == ([1] if published else [])
        assert publish_release(workspace, "news", content(rows=20, dimension=8)).version in (1, 2)
        assert_whole(workspace)
    assert died > 10


def publish_forever(root: Path) -> None:
    chosen = random.Random(os.getpid())
    while True:
        publish_release(Workspace(root), "news", seeded(chosen.randrange(SEEDS)))


def read_with_fresh_connections(path: Path) -> list[tuple[Any, Any]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return [(connection.execute(IDENTITY).fetchall(), connection.execute(ASKED).fetchall())]


def read_by_attaching(path: Path) -> list[tuple[Any, Any]]:
    with duckdb.connect() as connection:
        seen = []
        for _ in range(3):
            connection.execute(f"ATTACH '{path}' AS news (READ_ONLY)")
            connection.execute("USE news")
            seen.append((connection.execute(IDENTITY).fetchall(), connection.execute(ASKED).fetchall()))
            connection.execute("USE memory")
            connection.execute("DETACH news")
        return seen


def read_with_a_long_lived_connection(path: Path) -> list[tuple[Any, Any]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        seen = []
        for _ in range(40):
            seen.append((connection.execute(IDENTITY).fetchall(), connection.execute(ASKED).fetchall()))
            time.sleep(0.02)
        assert all(answer == seen[0] for answer in seen), "an open connection changed its release"
        return seen


READERS = [read_with_fresh_connections, read_by_attaching, read_with_a_long_lived_connection]


def read_until(reader: int, path: Path, stop: Event, answer: Connection) -> None:
    """Read until told to stop; send how many answers were right and everything that was wrong."""
    expected = expected_answers()
    right, wrong, last = 0, [], 0
    while not stop.is_set():
        try:
            for identity, found in READERS[reader](path):
                ((version, seed),) = identity
                if found != expected[seed] or version < last:
                    wrong.append(f"version {version} after {last} with seed {seed} gave {found}")
                last = version
                right += 1
        except Exception as error:  # whatever it is, it is a finding
            wrong.append(f"{type(error).__name__}: {error}")
    answer.send((right, wrong, last))


@pytest.mark.long
@pytest.mark.timeout(600)
def test_sixty_killed_publishers_are_not_noticed_by_three_readers(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    publish_release(workspace, "news", seeded(0))
    context = fresh_processes()
    stop = context.Event()
    pipes = [context.Pipe() for _ in READERS]
    readers = [
        context.Process(target=read_until, args=(reader, workspace.table_file("news"), stop, sender))
        for reader, (_, sender) in enumerate(pipes)
    ]
    for process in readers:
        process.start()
    chosen = random.Random(1)
    highest, interrupted = 1, 0  # interrupted: kills that hit a publish half-way
    for kill in range(60):
        publisher = context.Process(target=publish_forever, args=(workspace.root,))
        publisher.start()
        time.sleep(chosen.uniform(0.05, 0.8))
        publisher.kill()
        publisher.join()
        interrupted += (workspace.releases_folder("news") / release_ledger.STAGING).exists()
        seen = kept_versions(workspace, "news")[-1]
        assert seen >= highest
        highest = seen
        if kill % 10 == 9:
            highest = publish_release(workspace, "news", seeded(kill % SEEDS)).version
            assert highest > seen
            assert_whole(workspace)
    stop.set()
    outcomes = [receiver.recv() for receiver, _ in pipes]
    for process in readers:
        process.join()
    assert [wrong for _, wrong, _ in outcomes] == [[], [], []]
    assert all(right > 100 for right, _, _ in outcomes), outcomes
    assert all(last <= highest for _, _, last in outcomes)
    assert interrupted > 20
    check_release_file(workspace.table_file("news"))


FILL_UP = """
    import sys
    from pathlib import Path
    from storage.errors import WorkspaceError
    from storage.layout import Workspace
    from storage.release_reader import check_release_file
    from storage.releases import publish_release
    from tests.storage.sample_releases import content

    workspace = Workspace(Path(sys.argv[1]))
    publish_release(workspace, "news", content(rows=2000))
    try:
        for rows in range(1000, 400_000, 1000):
            before = check_release_file(workspace.table_file("news"))
            before = publish_release(workspace, "news", content(rows=rows)).row
    except WorkspaceError as error:
        assert check_release_file(workspace.table_file("news")) == before
        for file in workspace.release_file("news", 1).parent.glob("v000001.*"):
            file.unlink()
        after = publish_release(workspace, "news", content(rows=10)).row
        assert after.version == before.version + 1
        print(error)
"""


@pytest.mark.long
@pytest.mark.parametrize("kibibytes", range(4000, 12_000, 1000))
def test_a_full_file_system_leaves_the_current_release(tmp_path: Path, kibibytes: int) -> None:
    script = tmp_path / "fill_up.py"
    script.write_text(textwrap.dedent(FILL_UP))
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f'mount -t tmpfs -o size={kibibytes}k small "$1" || exit 77; shift; exec "$@"'
    inside = ["unshare", "--map-root-user", "--mount", "sh", "-c", mount, "sh"]
    inside += [str(disk), sys.executable, str(script), str(disk)]
    if not shutil.which("unshare"):
        pytest.skip("a small file system needs the command unshare")
    done = subprocess.run(inside, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip(f"this machine does not let us mount a small file system: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    assert "is full" in done.stdout
