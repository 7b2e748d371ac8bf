"""Checksums, durable and atomic writes, and one error message for each kind of disk failure."""

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import duckdb

from storage.errors import WorkspaceError

# EFBIG: `ulimit -f`, or a file system with a file size limit, such as FAT32 (4 GiB).
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}
IN_THE_WAY = {errno.EEXIST, errno.EISDIR, errno.ENOTEMPTY}
# Errors from file systems without links, and from hard links across layers of a union mount.
NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EXDEV, errno.EMLINK}
# DuckDB raises one exception type for all of these, with the system's message in it.
FULL_WORDS = ("No space left on device", "Disk quota exceeded", "File too large")
REFUSED_WORDS = ("Permission denied", "Read-only file system", "Operation not permitted", "Not a directory")


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync_path(path: Path) -> None:
    """Flush a file or folder to disk, so that a later rename never exposes a file without its content."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_free_space(folder: Path, needed: int, content: str) -> None:
    """Raise WorkspaceError if the disk of a folder has less space than `needed` bytes. content: what needs it."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise WorkspaceError(
            f"the disk of the workspace is too small: {content} needs about {needed / 1e9:,.3f} GB and {folder} has "
            f"{free / 1e9:,.3f} GB left; free some space or choose another folder with --workspace"
        )


@contextmanager
def replaced_file(target: Path, *, unique: bool = False) -> Iterator[Path]:
    """Replace `target` atomically: readers, and a run after a crash, see either the old content or the new.

    Yields a hidden temporary path in the same folder. It is removed if the block fails.
    unique: no other writer has this path, for a file that several processes write without a lock.
    """
    temporary = target.with_name(f".{target.name}.{uuid4().hex}.tmp" if unique else f".{target.name}.tmp")
    try:
        yield temporary
        sync_path(temporary)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_path(target.parent)


@contextmanager
def disk_errors(root: Path, *, kept: str) -> Iterator[None]:
    """Turn disk errors under `root` into a WorkspaceError. kept: what the failure left intact, for the message."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise _full(root, error, kept) from error
        if error.errno in REFUSED:
            raise _refused(root, error, kept) from error
        if error.errno in IN_THE_WAY:
            raise WorkspaceError(f"an unexpected file blocks {root}: {error}; move it elsewhere ({kept})") from error
        raise
    except duckdb.Error as error:
        message = str(error)
        if any(words in message for words in FULL_WORDS):
            raise _full(root, error, kept) from error
        if any(words in message for words in REFUSED_WORDS):
            raise _refused(root, error, kept) from error
        raise


def _full(root: Path, error: Exception, kept: str) -> WorkspaceError:
    return WorkspaceError(
        f"the disk of the workspace {root} is full: {error}; {kept}; "
        "free some space or choose another folder with --workspace, then run the same command again"
    )


def _refused(root: Path, error: Exception, kept: str) -> WorkspaceError:
    return WorkspaceError(
        f"the workspace {root} is not writable: {error}; {kept}; choose another folder with --workspace"
    )
