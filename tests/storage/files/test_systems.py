"""The file system of a folder is the one the system names, and its locks are tried."""

import subprocess
from pathlib import Path

import pytest

from storage.files.systems import FileSystem, file_system, lock_reach, locks_hold


def test_the_file_system_is_the_one_that_findmnt_names(tmp_path: Path) -> None:
    for folder in (tmp_path, Path("/proc"), Path("/")):
        found = subprocess.run(
            ["findmnt", "--noheadings", "--output", "FSTYPE", "--target", folder], capture_output=True, text=True,
            check=True,
        )  # fmt: skip
        assert file_system(folder).kind == found.stdout.splitlines()[-1].strip()


def test_locks_are_tried_and_leave_nothing(tmp_path: Path) -> None:
    assert locks_hold(tmp_path)
    assert not list(tmp_path.iterdir())
    assert not locks_hold(tmp_path / "missing")


@pytest.mark.parametrize(
    ("kind", "options", "reach"),
    [
        ("ext4", "rw,relatime", "this host"),
        ("overlay", "rw", "this host"),
        ("nfs4", "rw,vers=4.2,local_lock=none", "every host"),
        ("nfs", "rw,vers=3,nolock,local_lock=all", "this host"),
        ("nfs", "rw,vers=3,local_lock=none", "every host"),
        ("cifs", "rw,nobrl", "this host"),
        ("lustre", "rw", "no process"),
        ("lustre", "rw,flock", "every host"),
        ("lustre", "rw,localflock", "this host"),
        ("fuse.s3fs", "rw", "this host"),
        ("fuse.ceph", "rw", "every host"),
        ("somethingfs", "rw", "unknown"),
    ],
)
def test_the_reach_of_locks_follows_from_the_mount(kind: str, options: str, reach: str) -> None:
    assert lock_reach(FileSystem(kind, frozenset(options.split(",")))) == reach
