"""Remove the stages that nothing needs any more, so that weekly runs do not fill the disk.

A stage is needed if a kept release or candidate derives from it, an active run uses it, or it was used in the
last days. Every stage is removed under its own lock.
"""

import json
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict

from storage.corpus.downloads import unused_downloads
from storage.disk import disk_errors
from storage.errors import ReleaseError
from storage.layout import TABLE_NAME, Workspace
from storage.releases.ledger import current_version
from storage.releases.records import read_release
from storage.runs import oldest_run
from storage.stages import DIGEST_LETTERS, MANIFEST

STAGE_FOLDER = re.compile(rf"([0-9a-f]{{{DIGEST_LETTERS}}})(\.partial)?")
# The model that a training started from is not needed afterwards; otherwise each model would keep all before it.
NOT_NEEDED = {"start"}
SECONDS_A_DAY = 86_400


class Removed(BaseModel):
    """A folder that was removed, or would be. size: of its files, in bytes. complete: a finished stage."""

    model_config = ConfigDict(frozen=True)

    kind: str
    path: Path
    size: int
    complete: bool


@dataclass(frozen=True)
class _StageFolder:
    kind: str
    digest: str
    path: Path
    complete: bool

    @property
    def inputs(self) -> dict[str, str]:
        try:
            manifest = json.loads((self.path / MANIFEST).read_text(encoding="utf-8"))
            return {name: str(digest) for name, digest in manifest["inputs"].items() if name not in NOT_NEEDED}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return {}

    def last_used(self) -> float:
        """Seconds since the epoch: a run that finds a stage touches its manifest, one that writes touches files."""
        times = [self.path.stat().st_mtime]
        times += [file.stat().st_mtime for file in self.path.rglob("*") if file.is_file()]
        return max(times)


def clean_stages(workspace: Workspace, keep_days: float = 7, *, dry_run: bool = False) -> list[Removed]:
    """Remove stages that no kept release needs, downloads and leftovers of killed runs, unused for `keep_days`.

    No release needs a download: the documents are in its corpus stage.

    dry_run: only report. Returns what was (or would be) removed.
    Raises ReleaseError if a release cannot be read, because the stages it needs are then unknown.
    """
    # A second, because file times lag behind the clock.
    cutoff = time.time() - keep_days * SECONDS_A_DAY - 1
    oldest_start = oldest_run(workspace)
    if oldest_start is not None:
        cutoff = min(cutoff, oldest_start - 1)
    folders = list(_stage_folders(workspace))
    needed = _needed(folders, _released(workspace))
    removed = []
    with disk_errors(workspace.root, kept="releases are untouched"):
        for folder in folders:
            if folder.complete and folder.digest in needed:
                continue
            size = _remove(workspace, folder, cutoff, dry_run=dry_run)
            if size is not None:
                removed.append(Removed(kind=folder.kind, path=folder.path, size=size, complete=folder.complete))
        for download in unused_downloads(workspace, cutoff, dry_run=dry_run):
            removed.append(
                Removed(kind="downloads", path=download.path, size=download.size, complete=download.complete)
            )
        removed += _unused_spooled(workspace, cutoff, dry_run=dry_run)
        if not dry_run:
            _remove_trash(workspace)
    return removed


def _unused_spooled(workspace: Workspace, cutoff: float, *, dry_run: bool) -> list[Removed]:
    """Files of standard input and queries that a killed run left."""
    removed = []
    for path in sorted(workspace.spool.glob("*")):
        state = path.stat()
        if state.st_mtime < cutoff:
            removed.append(Removed(kind="spool", path=path, size=state.st_size, complete=False))
            if not dry_run:
                path.unlink()
    return removed


def _stage_folders(workspace: Workspace) -> Iterator[_StageFolder]:
    for root in sorted(workspace.root.iterdir()) if workspace.root.is_dir() else ():
        if not root.is_dir() or root == workspace.tables_root or root.name.startswith("."):
            continue
        for path in sorted(root.iterdir()):
            match = STAGE_FOLDER.fullmatch(path.name)
            if match and path.is_dir() and not path.is_symlink():
                yield _StageFolder(root.name, match[1], path, complete=not match[2])


def _released(workspace: Workspace) -> set[str]:
    """Digests that the kept releases and candidates of all tables refer to."""
    root = workspace.tables_root
    if root.exists() and not root.is_dir():
        raise ReleaseError(f"{root} is not a folder, so the stages in use can't be determined; move it elsewhere")
    digests: set[str] = set()
    for entry in sorted(root.iterdir()) if root.is_dir() else ():
        if not TABLE_NAME.fullmatch(entry.name.removesuffix(".duckdb")):
            continue
        releases = _current_alone(workspace, entry) if entry.suffix == ".duckdb" else set()
        if entry.is_dir() and entry.suffix != ".duckdb":
            # A manifest without its database lists what is needed to rebuild it.
            files = [*entry.iterdir(), *workspace.candidates_folder(entry.name).glob("*")]
            releases = {file.with_suffix(".duckdb") for file in files if file.suffix in {".duckdb", ".json"}} - {
                entry / "versions.duckdb",
                entry / "tags.duckdb",
            }
        for path in sorted(releases):
            row = read_release(path).row
            digests |= {row.model_digest, row.corpus_digest}
    return digests


def _current_alone(workspace: Workspace, current: Path) -> set[Path]:
    """The file under a table's name, if its version no longer has a separate file."""
    version = current_version(workspace, current.stem)
    kept = version and workspace.release_file(current.stem, version)
    return set() if not kept or kept.exists() else {current}


def _needed(folders: Iterable[_StageFolder], released: set[str]) -> set[str]:
    """The stages that led to what was released, and the evaluations of its models."""
    by_digest = {folder.digest: folder for folder in folders if folder.complete}
    needed: set[str] = set()
    waiting = set(released)
    while waiting:
        digest = waiting.pop()
        if digest not in needed:
            needed.add(digest)
            waiting |= set(by_digest[digest].inputs.values() if digest in by_digest else ())
    # The evaluation of a released model is reused when gates change.
    return needed | {digest for digest, folder in by_digest.items() if folder.inputs.get("model") in needed}


def _remove(workspace: Workspace, folder: _StageFolder, cutoff: float, *, dry_run: bool) -> int | None:
    """Remove a folder that was not used since `cutoff`, unless a run has its lock. Returns its size in bytes."""
    lock = FileLock(workspace.stage_lock(folder.kind, folder.digest))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    try:
        if not folder.path.is_dir() or folder.last_used() >= cutoff:
            return None
        size = sum(file.stat().st_size for file in folder.path.rglob("*") if file.is_file())
        if not dry_run:
            # In one step, so that a clean that is killed never leaves half a stage under its name.
            trash = folder.path.with_name(f".{folder.path.name}.removed")
            shutil.rmtree(trash, ignore_errors=True)
            folder.path.rename(trash)
        return size
    finally:
        lock.release()


def _remove_trash(workspace: Workspace) -> None:
    for trash in workspace.root.glob("*/.*.removed"):
        if STAGE_FOLDER.fullmatch(trash.name[1:].removesuffix(".removed")):
            shutil.rmtree(trash, ignore_errors=True)
