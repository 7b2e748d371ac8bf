"""Publish releases atomically: whatever interrupts it, readers see the old or the new one.

Files are written into a staging folder and checked, renamed into the folder of releases, and only then does a hard
link replace the file under the table's name. A file that exists under its final name is complete and never changes;
its mode forbids writing.
"""

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from storage.disk import NO_LINKS, disk_errors, sha256_of, sync_path
from storage.layout import Workspace
from storage.locks import held_lock
from storage.releases.file import ReleaseContent, write_parquet_copy, write_release_file
from storage.releases.ledger import (
    SUFFIXES,
    Ledger,
    current_version,
    settle_ledger,
    staging_folder,
    write_ledger,
)
from storage.releases.listing import current_release as current_release
from storage.releases.listing import kept_releases as kept_releases
from storage.releases.listing import list_releases as list_releases
from storage.releases.opening import log_file
from storage.releases.reader import check_release_file
from storage.releases.records import (
    Release,
    ReleaseManifest,
    manifest_text,
    read_release,
)
from storage.stages import FileRecord

logger = logging.getLogger(__name__)

NOWHERE = "releases-are-read-only/open-them-with-read_only"


def publish_release(workspace: Workspace, table: str, content: ReleaseContent) -> Release:
    """Write the next version of a table, check it, and make it the current one atomically.

    The number is the highest ever used + 1. Waits for another run that publishes the same table.
    Raises ReleaseError for content that cannot be published or a foreign file under the table's name, WorkspaceError
    if the disk is full or not writable; the message says which release is then current.
    """
    with publishing(workspace, table) as ledger:
        version = ledger.highest_used + 1
        _write_files(workspace, table, version, content)
        try:
            write_ledger(workspace, table, ledger.model_copy(update={"highest_used": version, "unfinished": [version]}))
            for suffix in SUFFIXES:
                staged = staging_folder(workspace, table) / f"release{suffix}"
                staged.replace(workspace.release_file(table, version, suffix))
            sync_path(workspace.releases_folder(table))
            make_current(workspace, table, version)
        except BaseException:
            # No reader has seen the number yet, so it is free again.
            if current_version(workspace, table) != version:
                for suffix in SUFFIXES:
                    workspace.release_file(table, version, suffix).unlink(missing_ok=True)
                with suppress(OSError):
                    write_ledger(workspace, table, ledger)
            raise
        with disk_errors(workspace.root, kept=_is_current(table, version)):
            write_ledger(workspace, table, Ledger(highest_used=version, highest_published=version))
    release = read_release(workspace.release_file(table, version))
    logger.info("published %s version %d: %s words", table, version, f"{release.row.rows:,}")
    return release


def keep_candidate(workspace: Workspace, table: str, content: ReleaseContent) -> Release:
    """Write a release that the gates refused as a candidate, without a number; the current one stays.

    A candidate of the same model is replaced: its gates may have changed. Raises like `publish_release`.
    """
    digest = content.provenance.model_digest
    with publishing(workspace, table):
        workspace.candidates_folder(table).mkdir(exist_ok=True)
        _write_files(workspace, table, None, content)
        # A candidate without its database does not count, so old and new files are never mixed.
        workspace.candidate_file(table, digest).unlink(missing_ok=True)
        for suffix in SUFFIXES:
            staged = staging_folder(workspace, table) / f"release{suffix}"
            staged.replace(workspace.candidate_file(table, digest, suffix))
        sync_path(workspace.candidates_folder(table))
    return read_release(workspace.candidate_file(table, digest))


@contextmanager
def publishing(workspace: Workspace, table: str) -> Iterator[Ledger]:
    """Hold the table's lock over a clean staging folder, and yield the numbers used so far."""
    with disk_errors(workspace.root, kept="the current release is untouched"):
        workspace.releases_folder(table).mkdir(parents=True, exist_ok=True)
        with held_lock(workspace.table_lock(table), f"a release of {table!r}"):
            ledger = settle_ledger(workspace, table)
            staging = staging_folder(workspace, table)
            staging.mkdir()
            try:
                yield ledger
            finally:
                shutil.rmtree(staging, ignore_errors=True)


def _write_files(workspace: Workspace, table: str, version: int | None, content: ReleaseContent) -> None:
    """Write the release, its Parquet copy and its manifest into the staging folder; read the release back."""
    staging = staging_folder(workspace, table)
    duckdb_file, parquet_file, manifest_file = (staging / f"release{s}" for s in (".duckdb", ".parquet", ".json"))
    write_release_file(duckdb_file, table, version, content)
    row = check_release_file(duckdb_file)
    write_parquet_copy(parquet_file, content)
    manifest = ReleaseManifest(
        release=row,
        training=list(content.training),
        evaluation=list(content.evaluation),
        gates=list(content.gates),
        files={
            file.suffix: FileRecord(size=file.stat().st_size, sha256=sha256_of(file))
            for file in (duckdb_file, parquet_file)
        },
    )
    manifest_file.write_text(manifest_text(manifest), encoding="utf-8")
    for file in (duckdb_file, parquet_file, manifest_file):
        _make_read_only(file)
        sync_path(file)


def make_current(workspace: Workspace, table: str, version: int) -> None:
    """Put a kept version under the table's name, in one rename. The caller holds the table's lock."""
    current = workspace.table_file(table)
    link = staging_folder(workspace, table) / "current.duckdb"
    release = workspace.release_file(table, version)
    try:
        os.link(release, link)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        shutil.copyfile(release, link)
        sync_path(link)
    # Earlier versions of vecmill left releases writable.
    _make_read_only(link)
    _refuse_writers(workspace, table)
    link.replace(current)
    with disk_errors(workspace.root, kept=_is_current(table, version)):
        sync_path(workspace.tables_root)


def _is_current(table: str, version: int) -> str:
    """The state after a failure that follows the last rename."""
    return f"version {version} of {table} is current already, and the next publish repairs versions.json"


def _make_read_only(file: Path) -> None:
    """Make a file read-only, so that DuckDB refuses to open it for writing.

    A program that has it open for writing locks out all readers, and they lock it out.
    """
    # Another user's file, or a file system without modes: a lock is then possible, as it is for root.
    with suppress(OSError):
        file.chmod(file.stat().st_mode & ~0o222)


def _refuse_writers(workspace: Workspace, table: str) -> None:
    """Make DuckDB refuse writes through the table's name for root, who may open any file for writing.

    DuckDB writes changes to a write-ahead log named after the opened path. A program that opened one release and
    writes after the next was published would leave its log next to that one, and no reader could open it any more.
    Readers ignore a dangling link in place of the log; writers cannot create the log through it, so their commit fails.
    """
    log = log_file(workspace.table_file(table))
    if log.is_file():
        logger.warning("removing %s, left by a program that opened the release for writing; open it read-only", log)
    guard = staging_folder(workspace, table) / "current.duckdb.wal"
    try:
        guard.symlink_to(NOWHERE)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        log.unlink(missing_ok=True)
    else:
        guard.replace(log)
