"""Content-addressed stages: finished work is reused when its settings and inputs are the same.

The folder of a stage is named by a digest of its settings, its inputs and the version of its code. Work is written to
`<digest>.partial/` under a file lock and renamed when complete, so a folder without `.partial` is complete. A second
run waits for the lock, checks the files and reuses them.
"""

import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from storage.disk import disk_errors, sha256_of, sync_path
from storage.errors import errors_without_credentials
from storage.layout import Workspace
from storage.locks import held_lock
from storage.memory import release_memory

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"
DIGEST_LETTERS = 20
KEPT = "finished stages are kept"


class StageFacts(BaseModel):
    """Figures that a finished stage reports; each stage has its own subclass.

    label, unit: names of the stage and of its rows, for people.
    """

    model_config = ConfigDict(frozen=True)

    label: ClassVar[str] = "stage"
    unit: ClassVar[str] = "rows"

    @property
    def row_count(self) -> int:
        """Number of rows written, in its unit."""
        return 0


Facts = TypeVar("Facts", bound=StageFacts)


@dataclass(frozen=True)
class Stage(Generic[Facts]):
    """A unit of work, identified before it runs: settings, inputs (name -> digest) and version of the code.

    version: raised by hand whenever the code changes what the stage writes.
    facts: type of the figures it reports; not part of its identity.
    """

    kind: str
    version: int
    config: Mapping[str, Any]
    inputs: Mapping[str, str]
    facts: type[Facts]

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that identifies the stage."""
        return {name: value for name, value in vars(self).items() if name != "facts"}

    @property
    def digest(self) -> str:
        """The first characters of a sha256 over the identity as canonical JSON."""
        canonical = json.dumps(self.identity, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:DIGEST_LETTERS]


class FileRecord(BaseModel):
    """Size in bytes and sha256 of one file of a stage."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int
    sha256: str


class Manifest(BaseModel, Generic[Facts]):
    """A finished stage: settings, inputs, files and the figures it reports (rows, tokens, …).

    seconds: duration of the original work.  reused, run_seconds: whether this run reused it, and the time it spent.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    digest: str
    version: int
    config: dict[str, Any]
    inputs: dict[str, str]
    facts: Facts
    files: dict[str, FileRecord]
    seconds: float
    path: Path
    reused: bool = False
    run_seconds: float = 0.0


_collected: ContextVar[list[Manifest[Any]] | None] = ContextVar("collected_stages", default=None)


@contextmanager
def collected_stages() -> Iterator[list[Manifest[Any]]]:
    """A list of the stages completed or reused inside the block, in order."""
    manifests: list[Manifest[Any]] = []
    token = _collected.set(manifests)
    try:
        yield manifests
    finally:
        _collected.reset(token)


def find_stage(workspace: Workspace, stage: Stage[Facts]) -> Manifest[Facts] | None:
    """The finished stage if all its files are present and unchanged, else None."""
    started = time.perf_counter()
    manifest = read_manifest(workspace.stage_folder(stage.kind, stage.digest), stage.facts)
    if manifest is None:
        return None
    for name, record in manifest.files.items():
        if not is_unchanged(manifest.path / name, record):
            logger.warning("%s is missing or was modified; the stage will run again", manifest.path / name)
            return None
    return manifest.model_copy(update={"run_seconds": round(time.perf_counter() - started, 3)})


def read_manifest(folder: Path, facts: type[Facts]) -> Manifest[Facts] | None:
    """The manifest of a finished stage; None if it is missing or unreadable."""
    try:
        stored = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return _manifest(stored, facts, folder, reused=True)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        logger.warning("%s: the manifest cannot be read (%s); the stage will run again", folder, error)
        return None


def is_unchanged(file: Path, record: FileRecord) -> bool:
    """Whether a file exists with the recorded content."""
    return file.is_file() and file.stat().st_size == record.size and sha256_of(file) == record.sha256


def complete_stage(
    workspace: Workspace,
    stage: Stage[Facts],
    build: Callable[[Path], Facts],
    *,
    resumable: bool = False,
    after_kill: bool = False,
) -> Manifest[Facts]:
    """Reuse the stage if it is complete, else build it.

    build: writes files into the folder passed to it and returns the facts to report.
    resumable: keep the partial folder of an interrupted run, so that `build` can continue from it.
    after_kill: keep it only if the run was killed, not if `build` failed.
    Raises WorkspaceError if the folder is not writable or the disk is full.
    """
    manifest = _reused_or_built(workspace, stage, build, resumable=resumable, after_kill=after_kill)
    collected = _collected.get()
    if collected is not None:
        collected.append(manifest)
    return manifest


def _reused_or_built(
    workspace: Workspace, stage: Stage[Facts], build: Callable[[Path], Facts], *, resumable: bool, after_kill: bool
) -> Manifest[Facts]:
    with disk_errors(workspace.root, kept=KEPT):
        workspace.stage_root(stage.kind).mkdir(parents=True, exist_ok=True)
    lock = workspace.stage_lock(stage.kind, stage.digest)
    with disk_errors(workspace.root, kept=KEPT), held_lock(lock, f"the stage {stage.kind}/{stage.digest}"):
        found = find_stage(workspace, stage)
        if found is not None:
            logger.info("%s/%s is complete and unchanged: reused", stage.kind, stage.digest)
            os.utime(found.path / MANIFEST)  # cleaning up goes by the time of last use
            return found
        partial = workspace.partial_folder(stage.kind, stage.digest)
        if not (resumable or after_kill):
            shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(exist_ok=True)
        started = time.perf_counter()
        try:
            with errors_without_credentials():
                facts = build(partial)
        except BaseException:
            if not resumable:
                shutil.rmtree(partial, ignore_errors=True)
            raise
        seconds = round(time.perf_counter() - started, 3)
        release_memory()
        content = stage.identity | {"digest": stage.digest, "facts": facts.model_dump(mode="json"), "seconds": seconds}
        manifest = _seal(partial, workspace.stage_folder(stage.kind, stage.digest), content, stage.facts)
        return manifest.model_copy(update={"run_seconds": seconds})


def _seal(partial: Path, folder: Path, content: dict[str, Any], facts: type[Facts]) -> Manifest[Facts]:
    """Record every file, write the manifest last, and rename the folder to its final name."""
    names = sorted(file.relative_to(partial).as_posix() for file in partial.rglob("*") if file.is_file())
    content["files"] = {
        name: {"size": (partial / name).stat().st_size, "sha256": sha256_of(partial / name)}
        for name in names
        if name != MANIFEST
    }
    text = json.dumps(content, indent=1, ensure_ascii=False)
    (partial / MANIFEST).write_text(text + "\n", encoding="utf-8")
    for file in partial.rglob("*"):
        if file.is_file():
            sync_path(file)
    sync_path(partial)
    # Only a folder that failed its check can exist here; a complete one is never replaced.
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    sync_path(folder.parent)
    return _manifest(content, facts, folder)


def _manifest(stored: dict[str, Any], facts: type[Facts], folder: Path, *, reused: bool = False) -> Manifest[Facts]:
    known = stored | {"facts": facts.model_validate(stored["facts"])}
    return Manifest[Facts](**known, path=folder, reused=reused)
