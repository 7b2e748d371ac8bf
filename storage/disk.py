"""What a full, read-only or occupied disk raises, said once with its remedy, whichever library met it."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from storage.errors import WorkspaceError

# EFBIG: `ulimit -f`, or a file system such as FAT32 that ends at 4 GiB.
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}
IN_THE_WAY = {errno.EEXIST, errno.EISDIR, errno.ENOTEMPTY}
# What file systems without links answer, and hard links across the layers of a union mount.
NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EXDEV, errno.EMLINK}
# DuckDB has one exception for all of them and passes the system's words on.
FULL_WORDS = ("No space left on device", "Disk quota exceeded", "File too large")
REFUSED_WORDS = ("Permission denied", "Read-only file system", "Operation not permitted", "Not a directory")


@contextmanager
def disk_errors(root: Path, *, kept: str) -> Iterator[None]:
    """Turn what the disk under `root` raises into a WorkspaceError; `kept` says what is untouched by the failure."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise _full(root, error, kept) from error
        if error.errno in REFUSED:
            raise _refused(root, error, kept) from error
        if error.errno in IN_THE_WAY:
            raise WorkspaceError(
                f"something that is not vecmill's lies in the way in {root}: {error}; move it away ({kept})"
            ) from error
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
        "free some space or name another folder with --workspace, then run the same command again"
    )


def _refused(root: Path, error: Exception, kept: str) -> WorkspaceError:
    return WorkspaceError(
        f"the workspace {root} cannot be written: {error}; {kept}; name another folder with --workspace"
    )
