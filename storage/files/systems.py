"""Which file system holds a folder, and between which processes its locks hold."""

import errno
import fcntl
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil  # type: ignore[import-untyped]

# Whether a lock that one process holds keeps out others.
Reach = Literal["every host", "this host", "no process", "unknown"]

# One host mounts these at a time.
LOCAL = {
    "apfs", "bcachefs", "btrfs", "erofs", "exfat", "ext2", "ext3", "ext4", "f2fs", "hfs", "ntfs3", "overlay", "tmpfs",
    "vfat", "xfs", "zfs",
}  # fmt: skip
CLUSTER = {"ceph", "fuse.ceph", "fuse.glusterfs", "fuse.juicefs", "gfs2", "gpfs", "ocfs2"}
# What mounts object stores or a host's folder: their locks are the host's own, if they have any.
LOCKS_OF_THE_HOST = {
    "9p", "fuse.blobfuse2", "fuse.gcsfuse", "fuse.goofys", "fuse.mount-s3", "fuse.rclone", "fuse.s3fs", "fuse.sshfs",
    "vboxsf", "virtiofs",
}  # fmt: skip


@dataclass(frozen=True)
class FileSystem:
    """kind: as mount names it, such as ext4 or nfs4.  options: those of the mount."""

    kind: str
    options: frozenset[str]


def file_system(folder: Path) -> FileSystem:
    """The file system that holds an existing folder."""
    folder = folder.resolve()
    mounts = [mount for mount in psutil.disk_partitions(all=True) if folder.is_relative_to(mount.mountpoint)]
    if not mounts:
        return FileSystem("unknown", frozenset())
    # Of mounts on the same folder, the last one hides the others.
    mount = max(enumerate(mounts), key=lambda place: (len(Path(place[1].mountpoint).parts), place[0]))[1]
    return FileSystem(mount.fstype, frozenset(mount.opts.split(",")))


def lock_reach(system: FileSystem) -> Reach:
    """Between which processes flock() holds there, according to flock(2), nfs(5) and the file systems' manuals."""
    kind, options = system.kind, system.options
    if kind in LOCAL or kind in LOCKS_OF_THE_HOST:
        return "this host"
    if kind in CLUSTER:
        return "every host"
    if kind in ("nfs", "nfs4"):
        return "this host" if options & {"nolock", "local_lock=flock", "local_lock=all"} else "every host"
    if kind in ("cifs", "smb3"):
        return "this host" if options & {"nobrl", "nolock"} else "every host"
    if kind == "lustre":
        return "every host" if "flock" in options else "this host" if "localflock" in options else "no process"
    return "unknown"


def locks_hold(folder: Path) -> bool:
    """Whether a lock on a file in this folder keeps out a second one. The file is removed."""
    path = folder / f".lock-{uuid.uuid4().hex}"
    try:
        with path.open("w") as first, path.open("w") as second:
            fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
            try:
                fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                return error.errno in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)
            return False
    except OSError:
        return False
    finally:
        path.unlink(missing_ok=True)
