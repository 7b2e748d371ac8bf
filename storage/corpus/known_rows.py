"""Reuse rows that an earlier stage wrote with the same settings, so that a run processes only new source files.

Their segments are hard-linked, or copied on file systems without links. So every stage is self-contained and can be
removed without affecting the others.
"""

import logging
import os
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from storage.corpus.finished_shards import FinishedShards
from storage.corpus.segments import (
    INDEX,
    Batch,
    FileRows,
    RowTable,
    read_index,
    read_rows,
    write_index,
    write_segment,
)
from storage.disk import NO_LINKS
from storage.layout import Workspace
from storage.stages import MANIFEST, Manifest, Stage, StageFacts, is_unchanged, read_manifest

logger = logging.getLogger(__name__)

# Beyond this, the smallest segments are merged, so that a year of hourly runs doesn't create thousands of files.
MOST_LINKED = 100


@dataclass(frozen=True)
class KnownRows:
    """Reusable rows, by the number of their source file in the corpus.

    linked: already in the new folder.  elsewhere: to be copied, with their folder, because other rows of their segments
    are no longer wanted.
    """

    linked: dict[int, FileRows]
    elsewhere: dict[int, tuple[Path, FileRows]]

    def __contains__(self, file: object) -> bool:
        return file in self.linked or file in self.elsewhere

    def to_copy(self, table: RowTable) -> Iterator[Batch]:
        """The rows to copy."""
        for folder in dict.fromkeys(folder for folder, _ in self.elsewhere.values()):
            yield from read_rows(
                folder, table, [(file, rows) for file, (place, rows) in self.elsewhere.items() if place == folder]
            )


class _Segment(NamedTuple):
    """A segment of a stage. rows: of all its source files, in the order of that stage."""

    name: str
    stage: Manifest[StageFacts]
    rows: list[FileRows]

    @property
    def keys(self) -> Counter[str]:
        return Counter(rows.key for rows in self.rows)

    @property
    def files(self) -> list[str]:
        return [name for name in self.stage.files if f"-{self.name}-" in name]

    @property
    def size(self) -> int:
        return sum(rows.size for rows in self.rows)


def link_known_rows(workspace: Workspace, stage: Stage[Any], folder: Path, keys: Sequence[str]) -> KnownRows:
    """Link segments of earlier stages into `folder` if all their rows are wanted.

    keys: of the source files, in the order of the corpus; equal keys mean equal rows.
    """
    wanted = Counter(keys)
    linked: dict[str, list[FileRows]] = {}
    left = []
    links = 0
    # Largest first, so that the small ones are merged if there are too many.
    for segment in sorted(_segments(workspace, stage, set(keys)), key=lambda segment: segment.size, reverse=True):
        # The new segment gets the stage's name. A stage that was removed and is built again may find its own former
        # segment, linked by a later stage; written through that link, the new one would overwrite the later stage's.
        is_own = segment.name == stage.digest
        if not is_own and links < MOST_LINKED and segment.keys <= wanted and _link(segment, folder):
            links += 1
            wanted -= segment.keys
            for rows in segment.rows:
                linked.setdefault(rows.key, []).append(rows)
        else:
            left.append(segment)
    copied: dict[str, tuple[Path, FileRows]] = {}
    for segment in left:
        needed = {rows.key: (segment.stage.path, rows) for rows in segment.rows if wanted[rows.key]}
        if needed and all(is_unchanged(segment.stage.path / name, segment.stage.files[name]) for name in segment.files):
            copied |= needed
    known = KnownRows({}, {})
    for file, key in enumerate(keys):
        if linked.get(key):
            known.linked[file] = linked[key].pop()
        elif key in copied:
            known.elsewhere[file] = copied[key]
    return known


def finished_shards(
    folder: Path, table: RowTable, segment: str, files: Sequence[tuple[str, str]], known: KnownRows
) -> FinishedShards | None:
    """The shards of the segment to be written that a killed run has finished.

    files: name and key of each source file, in the order of the corpus.  None if rows are copied from other segments.
    """
    if known.elsewhere:
        return None
    fresh = [(file, key) for file, (_, key) in enumerate(files) if file not in known]
    return FinishedShards(folder, table.segment_name(segment), fresh)


def write_rows(
    folder: Path,
    table: RowTable,
    segment: str,
    files: Sequence[tuple[str, str]],
    known: KnownRows,
    fresh: Iterable[Batch],
    unreadable: Collection[int] = (),
    on_write: Callable[[Sequence[pa.Array]], None] | None = None,
    finished: FinishedShards | None = None,
) -> list[FileRows]:
    """Write the rows that are not linked as one segment, then the index of all rows. Returns the index.

    files: name and key of each source file, in the order of the corpus.  fresh: rows of the other files, the batches
    of each file consecutive.  unreadable: numbers of unreadable files, complete once `fresh` is exhausted; their keys
    never match in a later stage, so that they are retried.  on_write: called with the columns of each row group.
    finished: shards of a killed run, whose rows `fresh` doesn't have.
    """
    written = write_segment(folder, table, segment, chain(known.to_copy(table), fresh), on_write, finished)
    blank = FileRows("", "", segment, first_row=0, rows=0, documents=0, size=0)
    places = [known.linked.get(file) or written.get(file, blank) for file in range(len(files))]
    rows = [
        replace(place, name=name, key=f"unreadable {key}" if file in unreadable else key)
        for file, (place, (name, key)) in enumerate(zip(places, files, strict=True))
    ]
    write_index(folder, rows)
    return rows


def _segments(workspace: Workspace, stage: Stage[Any], keys: set[str]) -> Iterator[_Segment]:
    """Segments of finished stages with the same settings, latest stage first, until all keys are covered."""
    manifests = [
        path
        for path in workspace.stage_root(stage.kind).glob(f"*/{MANIFEST}")
        if path.parent.name not in (stage.digest, f"{stage.digest}.partial")
    ]
    missing = set(keys)
    seen: set[str] = set()
    for path in sorted(manifests, key=_modified, reverse=True):
        manifest = read_manifest(path.parent, StageFacts) if missing else None
        if manifest is None or (manifest.version, manifest.config) != (stage.version, stage.config):
            continue
        record = manifest.files.get(INDEX)
        if record is None or not is_unchanged(manifest.path / INDEX, record):
            continue
        segments: dict[str, list[FileRows]] = {}
        for rows in read_index(manifest.path):
            segments.setdefault(rows.segment, []).append(rows)
        for name, found in segments.items():
            if name not in seen and any(rows.key in keys for rows in found):
                yield _Segment(name, manifest, found)
                seen.add(name)
                missing -= {rows.key for rows in found}


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # removed concurrently
        return 0.0


def _link(segment: _Segment, folder: Path) -> bool:
    """Link the files of a segment. Returns False, and links nothing, if one is missing or modified."""
    for name in segment.files:
        try:
            os.link(segment.stage.path / name, folder / name)
        except FileNotFoundError:
            break
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            shutil.copyfile(segment.stage.path / name, folder / name)
        if not is_unchanged(folder / name, segment.stage.files[name]):
            logger.warning("%s was modified; its rows are rebuilt", segment.stage.path / name)
            break
    else:
        return True
    for name in segment.files:
        (folder / name).unlink(missing_ok=True)
    return False
