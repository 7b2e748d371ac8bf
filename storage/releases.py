"""Publishing: a release becomes current in one step, and whatever interrupts it, readers see the old or the new one.

Files are written into a staging folder and checked, renamed into the folder of releases, and only then does a hard
link replace the file under the table's name. A file that exists under its final name is complete and never changes.
"""

import errno
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from storage.disk_errors import disk_errors
from storage.errors import ReleaseError
from storage.layout import Workspace
from storage.locks import held_lock
from storage.release_file import ReleaseContent, write_parquet_copy, write_release_file
from storage.release_ledger import (
    SUFFIXES,
    Ledger,
    current_version,
    kept_versions,
    settle_ledger,
    staging_folder,
    write_ledger,
)
from storage.release_reader import check_release_file, open_release, read_release_row, read_rows
from storage.release_schema import WHOLE, EvaluationRow, GateRow, ReleaseRow, TrainingRow
from storage.stages import FileRecord, sha256_of, sync_path

logger = logging.getLogger(__name__)

# What file systems without hard links answer, and links across the layers of a union mount.
NO_HARD_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EXDEV, errno.EMLINK}


class Release(BaseModel):
    """A release or candidate as its manifest and its own tables describe it.

    path: the immutable file of the release, not the table's name, which will be another release one day.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path
    row: ReleaseRow
    training: list[TrainingRow]
    evaluation: list[EvaluationRow]
    gates: list[GateRow]

    @property
    def table(self) -> str:
        """Name of the table it belongs to."""
        return self.row.table_name

    @property
    def version(self) -> int:
        """Its number. Raises ValueError for a candidate, which has none."""
        if self.row.version is None:
            raise ValueError("a candidate has no version")
        return self.row.version

    @property
    def created_at(self) -> AwareDatetime:
        """When it was written, UTC."""
        return self.row.created_at

    @property
    def model_digest(self) -> str:
        """Digest of the model whose vectors it holds."""
        return self.row.model_digest

    @property
    def corpus_digest(self) -> str:
        """Digest of the text the model was trained on."""
        return self.row.corpus_digest

    @property
    def metrics(self) -> Mapping[str, float | None]:
        """Metric -> value on the whole of its gold set."""
        return {row.metric: row.value for row in self.evaluation if row.section == WHOLE}

    @property
    def digests(self) -> Mapping[str, str]:
        """Metric -> digest of what it was measured with."""
        return {row.metric: row.gold_digest for row in self.evaluation if row.section == WHOLE and row.gold_digest}


class ReleaseSummary(BaseModel):
    """One line of a list of releases. version: None for a candidate. gates_passed: None where there was no gate."""

    model_config = ConfigDict(frozen=True)

    table: str
    version: int | None
    current: bool
    created_at: AwareDatetime
    rows: int
    dimension: int
    model_digest: str
    metrics: dict[str, float | None]
    gates_passed: bool | None
    refused_by: list[str]
    path: Path


class _ReleaseManifest(BaseModel):
    """The `.json` beside a release: its tables for programs without DuckDB, and the checksums of its files."""

    model_config = ConfigDict(frozen=True)

    release: ReleaseRow
    training: list[TrainingRow]
    evaluation: list[EvaluationRow]
    gates: list[GateRow]
    files: dict[str, FileRecord]


def publish_release(workspace: Workspace, table: str, content: ReleaseContent) -> Release:
    """Write the next version of a table, check it, and make it the current one in a single step.

    The number is the highest ever used + 1. Another run that publishes the same table is waited for.
    Raises ReleaseError for content that cannot be published or a foreign file under the table's name, WorkspaceError
    where the disk is full or cannot be written; the current release is then still the one it was.
    """
    with _publishing(workspace, table) as ledger:
        version = ledger.highest_used + 1
        _write_files(workspace, table, version, content)
        try:
            for suffix in SUFFIXES:
                staged = staging_folder(workspace, table) / f"release{suffix}"
                staged.replace(workspace.release_file(table, version, suffix))
            sync_path(workspace.releases_folder(table))
            _make_current(workspace, table, version)
        except BaseException:
            # The number was seen by nobody yet, so it is free again.
            if current_version(workspace, table) != version:
                for suffix in SUFFIXES:
                    workspace.release_file(table, version, suffix).unlink(missing_ok=True)
            raise
        write_ledger(workspace, table, Ledger(highest_used=version, highest_published=version))
    release = _read_release(workspace.release_file(table, version))
    logger.info("published %s version %d: %s words", table, version, f"{release.row.rows:,}")
    return release


def keep_candidate(workspace: Workspace, table: str, content: ReleaseContent) -> Release:
    """Write a release that the gates refused beside the others, without a number; the current one stays.

    A candidate of the same model is replaced: its gates may have changed. Raises like `publish_release`.
    """
    digest = content.provenance.model_digest
    with _publishing(workspace, table):
        workspace.candidates_folder(table).mkdir(exist_ok=True)
        _write_files(workspace, table, None, content)
        for suffix in SUFFIXES:
            staged = staging_folder(workspace, table) / f"release{suffix}"
            staged.replace(workspace.candidate_file(table, digest, suffix))
        sync_path(workspace.candidates_folder(table))
    return _read_release(workspace.candidate_file(table, digest))


def current_release(workspace: Workspace, table: str) -> Release | None:
    """The release that readers of the table get now, None before the first one.

    Raises ReleaseError if the file under the table's name is not a release that can be read.
    """
    version = current_version(workspace, table)
    if version is None:
        return None
    kept = workspace.release_file(table, version)
    return _read_release(kept if kept.exists() else workspace.table_file(table))


def find_release_of_model(workspace: Workspace, table: str, model_digest: str) -> Release | None:
    """The published release that holds this model; the current one if there are several, else the latest."""
    current = current_release(workspace, table)
    if current is not None and current.model_digest == model_digest:
        return current
    for release in reversed(_readable(workspace.release_file(table, v) for v in kept_versions(workspace, table))):
        if release.model_digest == model_digest:
            return release
    return None


def list_releases(workspace: Workspace, table: str) -> list[ReleaseSummary]:
    """Every kept release of a table, lowest version first, then the refused candidates, oldest first.

    Raises ReleaseError if there is no such table.
    """
    if not workspace.releases_folder(table).is_dir():
        raise ReleaseError(f"there is no table {table!r} in {workspace.root}; `vecmill build` makes one")
    current = current_version(workspace, table)
    published = _readable(workspace.release_file(table, version) for version in kept_versions(workspace, table))
    refused = _readable(workspace.candidates_folder(table).glob("*.duckdb"))
    refused.sort(key=lambda candidate: candidate.created_at)
    return [_summary(release, current) for release in [*published, *refused]]


@contextmanager
def _publishing(workspace: Workspace, table: str) -> Iterator[Ledger]:
    """Hold the table's lock over a clean staging folder, and give the numbers used so far."""
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
    manifest = _ReleaseManifest(
        release=row,
        training=list(content.training),
        evaluation=list(content.evaluation),
        gates=list(content.gates),
        files={
            file.suffix: FileRecord(size=file.stat().st_size, sha256=sha256_of(file))
            for file in (duckdb_file, parquet_file)
        },
    )
    manifest_file.write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
    for file in (duckdb_file, parquet_file, manifest_file):
        sync_path(file)


def _make_current(workspace: Workspace, table: str, version: int) -> None:
    """Put a kept version under the table's name, in one rename."""
    current = workspace.table_file(table)
    log = current.with_name(current.name + ".wal")
    if log.is_file():
        # A program opened the current release for writing; readers of the next one would trip over its log.
        logger.warning("removing %s: a program opened the release for writing and left it; open read-only", log)
        log.unlink()
    link = staging_folder(workspace, table) / "current.duckdb"
    release = workspace.release_file(table, version)
    try:
        os.link(release, link)
    except OSError as error:
        if error.errno not in NO_HARD_LINKS:
            raise
        shutil.copyfile(release, link)
        sync_path(link)
    link.replace(current)
    sync_path(workspace.tables_root)


def _read_release(path: Path) -> Release:
    """A release from its manifest, or from the file itself where the manifest is missing."""
    manifest_file = path.with_suffix(".json")
    try:
        manifest = _ReleaseManifest.model_validate_json(manifest_file.read_bytes())
    except FileNotFoundError:
        pass
    except (OSError, ValidationError) as error:
        logger.warning("%s cannot be read (%s); reading the release itself", manifest_file, error)
    else:
        return Release(
            path=path,
            row=manifest.release,
            training=manifest.training,
            evaluation=manifest.evaluation,
            gates=manifest.gates,
        )
    with open_release(path) as connection:
        return Release(
            path=path,
            row=read_release_row(connection, path),
            training=read_rows(connection, "training", TrainingRow),
            evaluation=read_rows(connection, "evaluation", EvaluationRow),
            gates=read_rows(connection, "gates", GateRow),
        )


def _readable(paths: Iterator[Path]) -> list[Release]:
    """The releases of these files; one that cannot be read is left out with a warning."""
    releases = []
    for path in paths:
        try:
            releases.append(_read_release(path))
        except ReleaseError as error:
            logger.warning("%s", error)
    return releases


def _summary(release: Release, current: int | None) -> ReleaseSummary:
    refused_by: Sequence[str] = [gate.metric for gate in release.gates if not gate.passed]
    return ReleaseSummary(
        table=release.table,
        version=release.row.version,
        current=release.row.version is not None and release.row.version == current,
        created_at=release.created_at,
        rows=release.row.rows,
        dimension=release.row.dimension,
        model_digest=release.model_digest,
        metrics=dict(release.metrics),
        gates_passed=not refused_by if release.gates else None,
        refused_by=list(refused_by),
        path=release.path,
    )
