"""Content-addressed stages: a finished piece of work is found again by what went into it.

The folder of a stage is named by a digest of its settings, of its inputs and of the version of the code that
wrote it. Work is written to `<digest>.partial/` under a file lock and renamed when complete, so a folder without
`.partial` is whole; a second run waits for the lock and then reuses what it finds, after checking the files.
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
from storage.layout import Workspace
from storage.locks import held_lock

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"
DIGEST_LETTERS = 20
KEPT = "finished stages are kept"


class StageFacts(BaseModel):
    """The figures that a finished stage reports. Each stage has its own, with the fields that it writes.

    label, unit: what people call the stage and its rows.
    """

    model_config = ConfigDict(frozen=True)

    label: ClassVar[str] = "stage"
    unit: ClassVar[str] = "rows"

    @property
    def row_count(self) -> int:
        """Rows that the stage wrote, in its unit."""
        return 0


Facts = TypeVar("Facts", bound=StageFacts)


@dataclass(frozen=True)
class Stage(Generic[Facts]):
    """A piece of work, named before it is done: settings, inputs (name -> digest) and version of the code.

    version: raised by hand whenever the code of the stage changes what it writes.
    facts: what the stage reports when it is done; not part of its name.
    """

    kind: str
    version: int
    config: Mapping[str, Any]
    inputs: Mapping[str, str]
    facts: type[Facts]

    @property
    def identity(self) -> dict[str, Any]:
        """All that names the stage."""
        return {name: value for name, value in vars(self).items() if name != "facts"}

    @property
    def digest(self) -> str:
        """The first letters of a sha256 over canonical JSON of the identity."""
        canonical = json.dumps(self.identity, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:DIGEST_LETTERS]


class FileRecord(BaseModel):
    """Size in bytes and sha256 of one file of a stage."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int
    sha256: str


class Manifest(BaseModel, Generic[Facts]):
    """What a finished stage is: settings, inputs, files and the figures it reports (rows, tokens, …).

    seconds: what the work took when it was done.  reused, run_seconds: whether this run found it, and its time for it.
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
    """A list that fills with the stages that are completed or found inside, in order."""
    manifests: list[Manifest[Any]] = []
    token = _collected.set(manifests)
    try:
        yield manifests
    finally:
        _collected.reset(token)


def find_stage(workspace: Workspace, stage: Stage[Facts]) -> Manifest[Facts] | None:
    """The finished stage if all its files are there and unchanged, else None."""
    started = time.perf_counter()
    manifest = read_manifest(workspace.stage_folder(stage.kind, stage.digest), stage.facts)
    if manifest is None:
        return None
    for name, record in manifest.files.items():
        if not is_unchanged(manifest.path / name, record):
            logger.warning(
                "%s is missing or changed since it was written; the stage will run again", manifest.path / name
            )
            return None
    return manifest.model_copy(update={"run_seconds": round(time.perf_counter() - started, 3)})


def read_manifest(folder: Path, facts: type[Facts]) -> Manifest[Facts] | None:
    """The manifest of a finished stage, None if there is none that can be read."""
    try:
        stored = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return _manifest(stored, facts, folder, reused=True)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        logger.warning("%s: the manifest cannot be read (%s); the stage will run again", folder, error)
        return None


def is_unchanged(file: Path, record: FileRecord) -> bool:
    """Whether a file is there and holds what it held when it was recorded."""
    return file.is_file() and file.stat().st_size == record.size and sha256_of(file) == record.sha256


def complete_stage(
    workspace: Workspace, stage: Stage[Facts], build: Callable[[Path], Facts], *, resumable: bool = False
) -> Manifest[Facts]:
    """Reuse the stage if it is complete, else build it.

    build: writes its files into the folder it is given and returns the facts to report.
    resumable: what an earlier, interrupted run left in the partial folder is kept for `build` to go on from.
    Raises WorkspaceError when the folder cannot be written or the disk is full.
    """
    manifest = _found_or_built(workspace, stage, build, resumable=resumable)
    collected = _collected.get()
    if collected is not None:
        collected.append(manifest)
    return manifest


def _found_or_built(
    workspace: Workspace, stage: Stage[Facts], build: Callable[[Path], Facts], *, resumable: bool
) -> Manifest[Facts]:
    with disk_errors(workspace.root, kept=KEPT):
        workspace.stage_root(stage.kind).mkdir(parents=True, exist_ok=True)
    lock = workspace.stage_lock(stage.kind, stage.digest)
    with disk_errors(workspace.root, kept=KEPT), held_lock(lock, f"the stage {stage.kind}/{stage.digest}"):
        found = find_stage(workspace, stage)
        if found is not None:
            logger.info("%s/%s is complete and unchanged: reused", stage.kind, stage.digest)
            os.utime(found.path / MANIFEST)  # housekeeping keeps what was used lately
            return found
        partial = workspace.partial_folder(stage.kind, stage.digest)
        if not resumable:
            shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(exist_ok=True)
        started = time.perf_counter()
        try:
            facts = build(partial)
        except BaseException:
            if not resumable:
                shutil.rmtree(partial, ignore_errors=True)
            raise
        seconds = round(time.perf_counter() - started, 3)
        content = stage.identity | {"digest": stage.digest, "facts": facts.model_dump(mode="json"), "seconds": seconds}
        manifest = _seal(partial, workspace.stage_folder(stage.kind, stage.digest), content, stage.facts)
        return manifest.model_copy(update={"run_seconds": seconds})


def _seal(partial: Path, folder: Path, content: dict[str, Any], facts: type[Facts]) -> Manifest[Facts]:
    """Record every file, write the manifest last, and give the folder its final name."""
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
    # A folder that failed its check is in the way; nothing complete is ever replaced.
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    sync_path(folder.parent)
    return _manifest(content, facts, folder)


def _manifest(stored: dict[str, Any], facts: type[Facts], folder: Path, *, reused: bool = False) -> Manifest[Facts]:
    known = stored | {"facts": facts.model_validate(stored["facts"])}
    return Manifest[Facts](**known, path=folder, reused=reused)
