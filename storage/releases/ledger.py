"""Which versions of a table exist, which is current, and what interrupted publishes left behind.

Version numbers are never reused, even if every file of a version is gone. `versions.json` next to the releases
holds the highest one, the versions that are being written or removed, and a checksum of itself. Cleaning up removes
the files of those versions alone: a ledger that is damaged, missing, or restored from a backup names none of them, so
no published release is removed. Such a ledger is rebuilt from the releases.
"""

import hashlib
import json
import logging
import re
import shutil
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from storage.disk import replaced_file
from storage.errors import ReleaseError
from storage.layout import REPORT_SUFFIX, Workspace
from storage.releases.opening import open_release, read_release_row

logger = logging.getLogger(__name__)

LEDGER = "versions.json"
TAGS = "tags.json"
STAGING = "publishing.tmp"
SUFFIXES = (".json", ".parquet", ".duckdb")
# A report is written after its release and removed with it.
ALL_SUFFIXES = (REPORT_SUFFIX, *SUFFIXES)
HEAD_BYTES = 4096
RELEASE_FILE = re.compile(r"v(\d{6,})(\.[\w.]+)")
CHECKSUM = "sha256"
# Numbers of a release are 32-bit integers; a larger one in a ledger is damage.
HIGHEST_NUMBER = 1_000_000_000


class Ledger(BaseModel):
    """The highest version number ever used, and the highest that became current.

    unfinished: versions that are being written or removed. Their files are leftovers if that was interrupted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    highest_used: int = Field(0, ge=0, le=HIGHEST_NUMBER)
    highest_published: int = Field(0, ge=0, le=HIGHEST_NUMBER)
    unfinished: list[int] = []


def staging_folder(workspace: Workspace, table: str) -> Path:
    """Where the files of a release are written, on the same file system as their final place."""
    return workspace.releases_folder(table) / STAGING


def existing_table(workspace: Workspace, table: str) -> Path:
    """The folder of a table's releases. Raises ReleaseError if there is no such table."""
    folder = workspace.releases_folder(table)
    if not folder.is_dir():
        raise ReleaseError(f"no table {table!r} in {workspace.root}; create it with `vecmill build`")
    return folder


def kept_versions(workspace: Workspace, table: str) -> list[int]:
    """The published versions whose files exist, lowest first."""
    files = _versions_of_files(workspace, table)
    ledger = read_ledger(workspace, table)
    if ledger.unfinished:
        left_over = _left_over(ledger, current_version(workspace, table))
        files = [version for version in files if version not in left_over]
    return files


def current_version(workspace: Workspace, table: str) -> int | None:
    """The version that readers of the table get now, None if nothing is published.

    Raises ReleaseError if the file under the table's name is not a release of this table.
    """
    current = workspace.table_file(table)
    # Without DuckDB first, which also works for a file that is damaged or open for writing.
    kept = {version: workspace.release_file(table, version) for version in _versions_of_files(workspace, table)}
    try:
        if not current.exists():
            return None
        if not current.is_file():
            raise ReleaseError("not a regular file")
        for same in (Path.samefile, _same_database):
            versions = [version for version, file in kept.items() if file.is_file() and same(file, current)]
            if len(versions) == 1:
                return versions[0]
        with open_release(current) as connection:
            row = read_release_row(connection, current)
    except (OSError, ReleaseError) as error:
        raise ReleaseError(
            f"{current} is not a release of {table!r} that vecmill can read ({error}); move it elsewhere"
        ) from error
    if row.table_name != table or row.version is None:
        raise ReleaseError(
            f"{current} contains {row.table_name!r} version {row.version}, which is not this table; move it elsewhere"
        )
    return row.version


def _same_database(one: Path, other: Path) -> bool:
    """Whether a file is a copy of the other, perhaps with changes: the first block names a database at random."""
    with one.open("rb") as first, other.open("rb") as second:
        head = first.read(HEAD_BYTES)
        return head[8:12] == b"DUCK" and head == second.read(HEAD_BYTES)


def read_ledger(workspace: Workspace, table: str) -> Ledger:
    """The content of `versions.json`; if it is missing or damaged, every version on disk counts as published."""
    path = workspace.releases_folder(table) / LEDGER
    try:
        return _stored_ledger(path)
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        logger.warning("%s is damaged (%s); version numbers continue from the existing releases", path, error)
    highest = max(_numbers_of_files(workspace, table), default=0)
    return Ledger(highest_used=highest, highest_published=highest)


def ledger_problem(workspace: Workspace, table: str) -> str | None:
    """What is wrong with the `versions.json` of a table; None if it is intact and agrees with the releases."""
    path = workspace.releases_folder(table) / LEDGER
    remedy = "the next build, rollback or prune rebuilds it from the releases"
    try:
        ledger = _stored_ledger(path)
    except FileNotFoundError:
        return f"{path} is missing; {remedy}"
    except (OSError, ValueError) as error:
        return f"{path} is damaged: {error}; {remedy}"
    newer = [v for v in _versions_of_files(workspace, table) if v > ledger.highest_published]
    if set(newer) - set(ledger.unfinished):
        return f"{path} ends at version {ledger.highest_published}, but version {newer[-1]} exists; {remedy}"
    return None


def _stored_ledger(path: Path) -> Ledger:
    """The ledger of a file. Raises OSError if it cannot be read, ValueError if it is not what vecmill wrote."""
    if path.exists() and not path.is_file():
        raise OSError("not a regular file; move it elsewhere")
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(stored, dict):
        raise ValueError("not a JSON object")
    checksum = stored.pop(CHECKSUM, None)
    try:
        ledger = Ledger(**stored)
    except ValueError as error:
        raise ValueError("a field is missing, unknown or out of range") from error
    # Ledgers of earlier versions of vecmill have two fields and no checksum.
    if checksum != _checksum(ledger) and (checksum is not None or set(stored) != {"highest_used", "highest_published"}):
        raise ValueError("its checksum is wrong")
    return ledger


def _checksum(ledger: Ledger) -> str:
    return hashlib.sha256(ledger.model_dump_json().encode()).hexdigest()


def write_ledger(workspace: Workspace, table: str, ledger: Ledger) -> None:
    """Replace `versions.json` atomically."""
    content = ledger.model_dump() | {CHECKSUM: _checksum(ledger)}
    with replaced_file(workspace.releases_folder(table) / LEDGER) as written:
        written.write_text(json.dumps(content) + "\n", encoding="utf-8")


def settle_ledger(workspace: Workspace, table: str) -> Ledger:
    """Clean up after an interrupted publish and bring the ledger up to date. The caller holds the table's lock."""
    stored = read_ledger(workspace, table)
    current = current_version(workspace, table)
    left_over = _left_over(stored, current)
    published = [version for version in _versions_of_files(workspace, table) if version not in left_over]
    ledger = Ledger(
        highest_used=max(stored.highest_used, current or 0, *_numbers_of_files(workspace, table)),
        highest_published=max(stored.highest_published, current or 0, *published),
        unfinished=sorted(left_over),
    )
    # Written before any file is removed, so that its number is never reused.
    write_ledger(workspace, table, ledger)
    _remove_leftovers(workspace, table, left_over)
    if left_over:
        ledger = ledger.model_copy(update={"unfinished": []})
        write_ledger(workspace, table, ledger)
    return ledger


def _left_over(ledger: Ledger, current: int | None) -> set[int]:
    """The versions whose files a cleanup removes, unless a process is writing them."""
    if current is None and ledger.highest_published:
        # One of them may have been current before the file under the table's name was lost.
        return set()
    return set(ledger.unfinished) - {current}


def remove_release(path: Path) -> None:
    """Remove a kept release or candidate, identified by its database, with its other files."""
    # The database first: without it the rest is cleaned by the next publish, if this one is killed.
    for suffix in reversed(ALL_SUFFIXES):
        path.with_suffix(suffix).unlink(missing_ok=True)


def _remove_leftovers(workspace: Workspace, table: str, versions: set[int]) -> None:
    staging = staging_folder(workspace, table)
    if staging.is_symlink() or staging.is_file():
        staging.unlink()
    elif staging.exists():
        logger.info("removing %s, left by an interrupted publish", staging)
        shutil.rmtree(staging)
    left = [workspace.release_file(table, number, suffix) for number in versions for suffix in ALL_SUFFIXES]
    for report in workspace.releases_folder(table).glob(f"v*{REPORT_SUFFIX}"):
        # A report is not a release; the inputs of a release are recorded in its other files.
        release = report.with_name(report.name.removesuffix(REPORT_SUFFIX))
        left += [] if any(release.with_suffix(suffix).exists() for suffix in SUFFIXES) else [report]
    candidates = [file for file in workspace.candidates_folder(table).glob("*.*") if file.name.endswith(ALL_SUFFIXES)]
    left += [file for file in candidates if not file.with_name(f"{file.name.partition('.')[0]}.duckdb").exists()]
    for file in left:
        if file.is_file():
            logger.info("removing %s, left by an interrupted publish", file)
            file.unlink()


def _versions_of_files(workspace: Workspace, table: str) -> list[int]:
    """Versions whose database exists, lowest first."""
    folder = workspace.releases_folder(table)
    if not folder.is_dir():
        return []
    matches = [RELEASE_FILE.fullmatch(file.name) for file in folder.iterdir()]
    return sorted(int(match[1]) for match in matches if match and match[2] == ".duckdb")


def _numbers_of_files(workspace: Workspace, table: str) -> list[int]:
    """The versions that any file names, lowest first. The highest are never pruned, so they hold the last number."""
    folder = workspace.releases_folder(table)
    matches = [RELEASE_FILE.fullmatch(file.name) for file in folder.iterdir()] if folder.is_dir() else []
    return sorted({int(match[1]) for match in matches if match and match[2] in ALL_SUFFIXES})
