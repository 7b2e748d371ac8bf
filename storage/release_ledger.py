"""Which versions of a table exist, which is current, and what interrupted publishes left behind.

Version numbers are never used twice, also when every file of a version is gone. `versions.json` beside the releases
remembers the highest; without it, the files do. A release file above `highest_published` that is not current comes
from a publish that was killed between its last two renames: nobody was told of it, and the next publish removes it.
"""

import json
import logging
import re
import shutil
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from storage.errors import ReleaseError
from storage.layout import REPORT_SUFFIX, Workspace
from storage.release_reader import open_release, read_release_row
from storage.stages import sync_path

logger = logging.getLogger(__name__)

LEDGER = "versions.json"
STAGING = "publishing.tmp"
SUFFIXES = (".json", ".parquet", ".duckdb")
# A report is written after its release, and goes with it.
ALL_SUFFIXES = (REPORT_SUFFIX, *SUFFIXES)
HEAD_BYTES = 4096
RELEASE_FILE = re.compile(r"v(\d{6,})(\.[\w.]+)")


class Ledger(BaseModel):
    """The highest version number ever given away, and the highest that became current."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    highest_used: int = 0
    highest_published: int = 0


def staging_folder(workspace: Workspace, table: str) -> Path:
    """Where the files of a release are written, on the same file system as their final place."""
    return workspace.releases_folder(table) / STAGING


def existing_table(workspace: Workspace, table: str) -> Path:
    """The folder of a table's releases. Raises ReleaseError if there is no such table."""
    folder = workspace.releases_folder(table)
    if not folder.is_dir():
        raise ReleaseError(f"there is no table {table!r} in {workspace.root}; `vecmill build` makes one")
    return folder


def kept_versions(workspace: Workspace, table: str) -> list[int]:
    """The published versions whose files are there, lowest first."""
    ledger = read_ledger(workspace, table)
    files = _versions_of_files(workspace, table)
    if any(version > ledger.highest_published for version in files):
        current = current_version(workspace, table)
        files = [version for version in files if version <= ledger.highest_published or version == current]
    return files


def current_version(workspace: Workspace, table: str) -> int | None:
    """The version that readers of the table get now, None if nothing is published.

    Raises ReleaseError if the file under the table's name is not a release of this table.
    """
    current = workspace.table_file(table)
    if not current.exists():
        return None
    # Without DuckDB first: that also tells the version of a file that is damaged or open for writing.
    kept = {version: workspace.release_file(table, version) for version in _versions_of_files(workspace, table)}
    for same in (Path.samefile, _same_database):
        versions = [version for version, file in kept.items() if file.is_file() and same(file, current)]
        if len(versions) == 1:
            return versions[0]
    try:
        with open_release(current) as connection:
            row = read_release_row(connection, current)
    except ReleaseError as error:
        raise ReleaseError(
            f"{current} is in the way: it is not a release of {table!r} that vecmill can read ({error}); move it away"
        ) from error
    if row.table_name != table or row.version is None:
        raise ReleaseError(
            f"{current} is in the way: it says it is {row.table_name!r} version {row.version}; move it away"
        )
    return row.version


def _same_database(one: Path, other: Path) -> bool:
    """Whether a file is a copy of the other, perhaps with changes: the first block names a database at random."""
    with one.open("rb") as first, other.open("rb") as second:
        head = first.read(HEAD_BYTES)
        return head[8:12] == b"DUCK" and head == second.read(HEAD_BYTES)


def read_ledger(workspace: Workspace, table: str) -> Ledger:
    """What `versions.json` says; if it is missing or damaged, every version on disk counts as published."""
    path = workspace.releases_folder(table) / LEDGER
    try:
        return Ledger(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        pass
    except (OSError, ValueError, TypeError, ValidationError) as error:
        logger.warning("%s cannot be read (%s); version numbers go on from the files that are there", path, error)
    highest = max(_versions_of_files(workspace, table), default=0)
    return Ledger(highest_used=highest, highest_published=highest)


def write_ledger(workspace: Workspace, table: str, ledger: Ledger) -> None:
    """Replace `versions.json` in one step."""
    folder = workspace.releases_folder(table)
    temporary = folder / f"{LEDGER}.tmp"
    temporary.write_text(ledger.model_dump_json() + "\n", encoding="utf-8")
    sync_path(temporary)
    temporary.replace(folder / LEDGER)
    sync_path(folder)


def settle_ledger(workspace: Workspace, table: str) -> Ledger:
    """Clean what an interrupted publish left and bring the ledger up to date. The caller holds the table's lock."""
    stored = read_ledger(workspace, table)
    current = current_version(workspace, table) or 0
    files = _versions_of_files(workspace, table)
    ledger = Ledger(
        highest_used=max(stored.highest_used, current, *files),
        highest_published=max(stored.highest_published, current),
    )
    # Written before any file goes, so that its number cannot come again, and before the first release, so that a
    # missing ledger never stands for a first publish that was killed.
    write_ledger(workspace, table, ledger)
    _remove_leftovers(workspace, table, {version for version in files if version <= ledger.highest_published})
    return ledger


def remove_release(path: Path) -> None:
    """Remove a kept release or candidate, named by its database, with all that lies beside it."""
    # The database first: without it the rest is cleaned by the next publish, should this one be killed.
    for suffix in reversed(ALL_SUFFIXES):
        path.with_suffix(suffix).unlink(missing_ok=True)


def _remove_leftovers(workspace: Workspace, table: str, kept: set[int]) -> None:
    folder = workspace.releases_folder(table)
    staging = staging_folder(workspace, table)
    if staging.exists():
        logger.info("removing %s, left by a publish that was interrupted", staging)
        shutil.rmtree(staging)
    versions = [(file, RELEASE_FILE.fullmatch(file.name)) for file in folder.iterdir()]
    left = [file for file, match in versions if match and match[2] in ALL_SUFFIXES and int(match[1]) not in kept]
    candidates = [file for file in workspace.candidates_folder(table).glob("*.*") if file.name.endswith(ALL_SUFFIXES)]
    left += [file for file in candidates if not file.with_name(f"{file.name.partition('.')[0]}.duckdb").exists()]
    for file in left:
        if file.is_file():
            logger.info("removing %s, left by a publish that was interrupted", file)
            file.unlink()


def _versions_of_files(workspace: Workspace, table: str) -> list[int]:
    folder = workspace.releases_folder(table)
    if not folder.is_dir():
        return []
    matches = [RELEASE_FILE.fullmatch(file.name) for file in folder.iterdir()]
    return sorted(int(match[1]) for match in matches if match and match[2] == ".duckdb")
