"""Verify that every kept release is what was published: checksums of its files, row counts, unit lengths, macros."""

import logging
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from storage.disk import sha256_of
from storage.errors import ReleaseError
from storage.layout import Workspace
from storage.models.rows import EvaluationRow
from storage.releases.ledger import (
    ALL_SUFFIXES,
    LEDGER,
    RELEASE_FILE,
    STAGING,
    SUFFIXES,
    TAGS,
    current_version,
    existing_table,
    kept_versions,
    ledger_problem,
    read_ledger,
)
from storage.releases.opening import log_file, open_release, read_rows
from storage.releases.reader import check_release_file
from storage.releases.records import read_manifest
from storage.releases.schema import GateRow, ReleaseRow, TrainingRow

logger = logging.getLogger(__name__)

OWN_FILES = {LEDGER, f"{LEDGER}.tmp", TAGS, f"{TAGS}.tmp", STAGING, "candidates"}


class Verified(BaseModel):
    """The result for one file. version: None for a candidate. problem: None if it is intact."""

    model_config = ConfigDict(frozen=True)

    name: str
    version: int | None
    current: bool
    rows: int | None
    path: Path
    problem: str | None


def verify_table(workspace: Workspace, table: str) -> list[Verified]:
    """Check the current release, every kept one and every candidate of a table; problems are returned, not raised.

    A write-ahead log that a program left next to the current release is removed, with a warning.
    Raises ReleaseError if there is no such table.
    """
    existing_table(workspace, table)
    current = workspace.table_file(table)
    results = []
    version = None
    if current.exists():
        _remove_stale_log(current)
        try:
            version = current_version(workspace, table)
            problem = _differs(workspace, table, version)
        except ReleaseError as error:
            problem = str(error)
        results.append(
            Verified(name=current.name, version=version, current=True, rows=None, path=current, problem=problem)
        )
    kept = [(number, workspace.release_file(table, number)) for number in kept_versions(workspace, table)]
    if kept and not current.exists():
        problem = f"{current} is missing; `vecmill rollback {table} {kept[-1][0]}` restores a release"
        results.append(
            Verified(name=current.name, version=None, current=True, rows=None, path=current, problem=problem)
        )
    problem = ledger_problem(workspace, table)
    if problem:
        ledger = workspace.releases_folder(table) / LEDGER
        results.append(Verified(name=LEDGER, version=None, current=False, rows=None, path=ledger, problem=problem))
    unfinished = read_ledger(workspace, table).unfinished
    for lost, path in _without_database(workspace, table):
        if lost not in unfinished:
            problem = f"{path} is missing, but other files of the release exist; restore it, or remove {path.stem}.*"
            results.append(
                Verified(name=f"v{lost}", version=lost, current=False, rows=None, path=path, problem=problem)
            )
    candidates = sorted(workspace.candidates_folder(table).glob("*.duckdb"))
    for number, path in [*kept, *((None, path) for path in candidates)]:
        row, problem = _checked(path, table, number)
        # A concurrent prune is not damage.
        if problem is None or path.exists():
            name = path.stem if number is None else f"v{number}"
            rows = row.rows if row else None
            current_too = number is not None and number == version
            results.append(
                Verified(name=name, version=number, current=current_too, rows=rows, path=path, problem=problem)
            )
    return results


def check_kept_release(path: Path) -> ReleaseRow:
    """Check a kept release or candidate against its manifest, then its own content.

    Returns its `release` row. Raises ReleaseError naming the first problem.
    """
    manifest_file = path.with_suffix(".json")
    try:
        manifest = read_manifest(manifest_file)
    except FileNotFoundError:
        raise ReleaseError(f"{manifest_file} is missing; without it, changes of {path} cannot be detected") from None
    except (OSError, ValueError) as error:
        raise ReleaseError(f"{manifest_file} is damaged: {error}") from error
    for suffix, record in manifest.files.items():
        file = path.with_suffix(suffix)
        if not file.is_file():
            raise ReleaseError(f"{file} is missing")
        size = file.stat().st_size
        if size != record.size:
            raise ReleaseError(f"{file} was changed after it was written: it has {size} bytes, not {record.size}")
        if sha256_of(file) != record.sha256:
            raise ReleaseError(
                f"{file} was changed after it was written: its checksum is not the one in {manifest_file}"
            )
    for stray in (log_file(path), path.with_suffix(".duckdb.tmp")):
        if stray.exists() or stray.is_symlink():
            raise ReleaseError(f"{stray} does not belong to the release, but DuckDB may load it; remove it")
    row = check_release_file(path)
    recorded = [manifest.training, manifest.evaluation, manifest.gates]
    with open_release(path) as connection:
        tables = (("training", TrainingRow), ("evaluation", EvaluationRow), ("gates", GateRow))
        stored = [read_rows(connection, name, model) for name, model in tables]
    if row != manifest.release or recorded != stored:
        raise ReleaseError(f"{path} does not match {manifest_file}")
    return row


def _checked(path: Path, table: str, version: int | None) -> tuple[ReleaseRow | None, str | None]:
    try:
        row = check_kept_release(path)
    except (OSError, ReleaseError) as error:
        return None, str(error)
    if (row.table_name, row.version) != (table, version):
        return row, f"{path} is {row.table_name!r} version {row.version}: it was moved here; move it elsewhere"
    if version is None and row.model_digest != path.stem:
        return row, f"{path} holds the model {row.model_digest}: it was moved here; move it elsewhere"
    return row, None


def _without_database(workspace: Workspace, table: str) -> list[tuple[int, Path]]:
    """The releases whose database is missing while other files of them exist; unexpected files are logged."""
    lost: dict[int, Path] = {}
    for file in sorted(workspace.releases_folder(table).iterdir()):
        match = RELEASE_FILE.fullmatch(file.name)
        if match is None or match[2] not in ALL_SUFFIXES:
            if file.name not in OWN_FILES and not file.name.startswith("."):
                logger.warning("%s is not a vecmill file and is ignored", file)
        elif match[2] in SUFFIXES and not file.with_suffix(".duckdb").exists():
            lost[int(match[1])] = file.with_suffix(".duckdb")
    return list(lost.items())


def _differs(workspace: Workspace, table: str, version: int | None) -> str | None:
    """Why the file under the table's name is not the kept release it should be; None if it is."""
    current = workspace.table_file(table)
    if version is None:
        return None
    kept = workspace.release_file(table, version)
    if not kept.is_file():
        return f"{kept} is missing; publish again, or roll back to a kept version"
    if not kept.samefile(current) and sha256_of(kept) != sha256_of(current):
        return f"{current} is not the kept version {version}; `vecmill rollback {table} {version}` restores it"
    return None


def _remove_stale_log(current: Path) -> None:
    """Remove what a program left that opened the release for writing, once it has ended."""
    log = log_file(current)
    if not log.is_file():
        return
    try:
        with open_release(current):
            pass
    except ReleaseError as error:
        if "open for writing;" in str(error):
            return
    logger.warning("removing %s, left by a program that opened the release for writing; open it read-only", log)
    log.unlink(missing_ok=True)
