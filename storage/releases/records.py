"""A release or candidate as described by its manifest or, if that is missing, by its own tables."""

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from storage.errors import ReleaseError
from storage.layout import Workspace
from storage.models.rows import EvaluationRow
from storage.releases.opening import open_release, read_release_row, read_rows
from storage.releases.schema import GateRow, ReleaseRow, TrainingRow
from storage.stages import FileRecord

logger = logging.getLogger(__name__)

CHECKSUM = "sha256"


class Release(BaseModel):
    """A release or candidate as its manifest and its own tables describe it.

    path: the immutable file of the release, not the table's name, which will point at another release.
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
        return {row.metric: row.value for row in self.evaluation if row.is_whole}

    @property
    def digests(self) -> Mapping[str, str]:
        """Metric -> digest of what it was measured with."""
        return {row.metric: row.gold_digest for row in self.evaluation if row.is_whole and row.gold_digest}


class ReleaseSummary(BaseModel):
    """One line of a list of releases. version: None for a candidate. gates_passed: None without gates."""

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
    tags: list[str] = []


class ReleaseManifest(BaseModel):
    """The `.json` file of a release: its tables for programs without DuckDB, and the checksums of its files."""

    model_config = ConfigDict(frozen=True)

    release: ReleaseRow
    training: list[TrainingRow]
    evaluation: list[EvaluationRow]
    gates: list[GateRow]
    files: dict[str, FileRecord]


def manifest_text(manifest: ReleaseManifest) -> str:
    """The content of a manifest file: JSON with a checksum of everything else in it."""
    content = manifest.model_dump(mode="json")
    return json.dumps(content | {CHECKSUM: _checksum(content)}, indent=1, ensure_ascii=False) + "\n"


def read_manifest(path: Path) -> ReleaseManifest:
    """The manifest of a file. Raises OSError if it cannot be read, ValueError if it is not what vecmill wrote."""
    if path.exists() and not path.is_file():
        raise OSError("not a regular file; move it elsewhere")
    try:
        content = json.loads(path.read_bytes())
        # Releases of earlier versions of vecmill have no checksum here; they have no other fields.
        checksum = content.pop(CHECKSUM, None)
        manifest = ReleaseManifest.model_validate_json(json.dumps(content))
    except ValidationError as error:
        raise ValueError(f"{error.error_count()} of its fields are missing or wrong") from error
    except (AttributeError, TypeError, RecursionError) as error:
        raise ValueError("not a release manifest") from error
    unknown = sorted(set(content) - set(ReleaseManifest.model_fields))
    if checksum != _checksum(content) and (checksum is not None or unknown):
        raise ValueError("its checksum is wrong")
    return manifest


def _checksum(content: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def is_release(workspace: Workspace, table: str, version: int) -> bool:
    """Whether a kept file is readable and contains this version of this table."""
    path = workspace.release_file(table, version)
    try:
        row = read_release(path).row
        size = read_manifest(path.with_suffix(".json")).files[path.suffix].size
    except (OSError, ValueError, KeyError, ReleaseError):
        return False
    return (row.table_name, row.version, size) == (table, version, path.stat().st_size)


def read_release(path: Path) -> Release:
    """A release from its manifest, or from the file itself if the manifest is missing or damaged."""
    manifest_file = path.with_suffix(".json")
    try:
        manifest = read_manifest(manifest_file)
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
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


def readable_releases(paths: Iterable[Path]) -> list[Release]:
    """The releases of these files; one that is unreadable, or was moved, is skipped with a warning."""
    releases = []
    for path in paths:
        try:
            release = read_release(path)
        except ReleaseError as error:
            logger.warning("%s", error)
            continue
        if release.row.version is not None and path.stem != f"v{release.row.version:06d}":
            logger.warning("%s is a copy of version %d under another name; skipped", path, release.row.version)
            continue
        releases.append(release)
    return releases


def summarize_release(release: Release, current: int | None, tags: Mapping[str, int]) -> ReleaseSummary:
    """One line of a list of releases. current: the version that is current.  tags: tag -> version."""
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
        tags=[tag for tag, version in tags.items() if version == release.row.version],
    )
