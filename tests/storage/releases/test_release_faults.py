"""Publishers are killed and disks fill up; readers never see anything but a whole release."""

import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.faults import assert_whole, kill_publishers
from storage import disk
from storage.layout import Workspace
from storage.releases import history as release_history
from storage.releases import publishing as releases
from storage.releases.ledger import current_version, kept_versions
from storage.releases.publishing import keep_candidate, list_releases, publish_release
from storage.releases.reader import check_release_file
from storage.releases.verification import verify_table
from tests.processes import quick_processes
from tests.storage.sample_releases import content

ROOT = Path(__file__).resolve().parents[3]
DIED = 9
Action = Callable[[Workspace], None]
# A publish changes the disk in about 40 steps.
MOST_STEPS = 100


def publish(workspace: Workspace) -> None:
    publish_release(workspace, "news", content(rows=20, dimension=8))


def roll_back(workspace: Workspace) -> None:
    release_history.rollback(workspace, "news", 1)


def prune(workspace: Workspace) -> None:
    release_history.prune(workspace, "news", keep=1, candidates=True)


def promote(workspace: Workspace) -> None:
    release_history.promote(workspace, "news", "refused")


def refuse(workspace: Workspace) -> None:
    keep_candidate(workspace, "news", content(rows=20, dimension=8, seed=9, model_digest="refused"))


def do_and_die(action: Action, root: Path, step: int, said: Path) -> None:
    """Do it, but end the process without any clean-up just before its n-th change of the disk."""
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
    for module in (disk, releases, release_history):
        module.sync_path = dying(module.sync_path)  # type: ignore[attr-defined]
    action(Workspace(root))
    os._exit(0)  # what an interpreter does at its end is no step of the action


def dies_before_step(workspace: Workspace, step: int, said: Path, action: Action = publish) -> bool:
    """Let an action die before its n-th step; False if it came to its end. said: where its stderr goes."""
    said.touch()
    process = quick_processes().Process(target=do_and_die, args=(action, workspace.root, step, said))
    process.start()
    process.join()
    assert process.exitcode in (0, DIED), f"step {step} ended with {process.exitcode}: {said.read_text()}"
    assert step < MOST_STEPS, f"{action.__name__} has no end after {MOST_STEPS} steps: {said.read_text()}"
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
        assert_whole(workspace, "news", kept_versions(workspace, "news"))
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
        assert_whole(workspace, "news", kept_versions(workspace, "news"))
    assert died > 10


@pytest.mark.long
def test_sixty_killed_publishers_are_not_noticed_by_three_readers(tmp_path: Path) -> None:
    report = kill_publishers(Workspace(tmp_path), kills=60)
    assert report.wrong == []
    assert report.recovered == 6
    assert report.interrupted > 20
    assert all(right > 50 for right in report.reads.values()), report.reads


@pytest.mark.long
@pytest.mark.parametrize(("action", "versions"), [(roll_back, {1, 3}), (prune, {3}), (promote, {3, 4}), (refuse, {3})])
def test_whatever_dies_before_any_of_its_steps_leaves_whole_releases(
    tmp_path: Path, action: Action, versions: set[int]
) -> None:
    prepared = Workspace(tmp_path / "prepared")
    for _ in range(3):
        publish(prepared)
    refuse(prepared)
    died, ended = 0, False
    while not ended:
        workspace = Workspace(tmp_path / str(died))
        shutil.copytree(prepared.root, workspace.root, symlinks=True)
        workspace.table_file("news").unlink()
        workspace.table_file("news").hardlink_to(workspace.release_file("news", 3))
        ended = not dies_before_step(workspace, died, tmp_path / "said", action)
        current = current_version(workspace, "news")
        assert current in versions
        assert [line.problem for line in verify_table(workspace, "news") if line.problem] == []
        highest = max([3, *kept_versions(workspace, "news")])
        publish(workspace)
        assert current_version(workspace, "news") in (highest + 1, highest + 2)
        release_history.prune(workspace, "news", keep=9, candidates=True)
        assert list(workspace.candidates_folder("news").iterdir()) == []
        workspace.candidates_folder("news").rmdir()
        assert_whole(workspace, "news", kept_versions(workspace, "news"))
        died += 1
    assert died > 5
    assert current == max(versions) or action is roll_back


FILL_UP = """
    import sys
    from pathlib import Path
    from storage.errors import WorkspaceError
    from storage.layout import Workspace
    from storage.releases.reader import check_release_file
    from storage.releases.publishing import publish_release
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
@pytest.mark.parametrize("kibibytes", range(5000, 12_000, 1000))
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
