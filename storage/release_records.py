"""What is known of a release or candidate: its manifest, or where that is missing its own tables."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from storage.errors import ReleaseError
from storage.release_reader import open_release, read_release_row, read_rows
from storage.release_schema import WHOLE, EvaluationRow, GateRow, ReleaseRow, TrainingRow
from storage.stages import FileRecord

logger = logging.getLogger(__name__)


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


class ReleaseManifest(BaseModel):
    """The `.json` beside a release: its tables for programs without DuckDB, and the checksums of its files."""

    model_config = ConfigDict(frozen=True)

    release: ReleaseRow
    training: list[TrainingRow]
    evaluation: list[EvaluationRow]
    gates: list[GateRow]
    files: dict[str, FileRecord]


def read_release(path: Path) -> Release:
    """A release from its manifest, or from the file itself where the manifest is missing."""
    manifest_file = path.with_suffix(".json")
    try:
        manifest = ReleaseManifest.model_validate_json(manifest_file.read_bytes())
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


def readable_releases(paths: Iterable[Path]) -> list[Release]:
    """The releases of these files; one that cannot be read is left out with a warning."""
    releases = []
    for path in paths:
        try:
            releases.append(read_release(path))
        except ReleaseError as error:
            logger.warning("%s", error)
    return releases


def summarize_release(release: Release, current: int | None) -> ReleaseSummary:
    """One line of a list of releases. current: the version that is current."""
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
