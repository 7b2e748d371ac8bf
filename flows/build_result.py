"""What a build tells its caller: one object for the summary, for `--json` and for the artifacts in Prefect's UI."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from storage.stages import Manifest
from tasks.publishing import Lineage, Publication

# Stage, kind of its folder, the figure that counts its rows, and their unit.
STAGE_ROWS = (
    ("corpus", "documents", "documents"),
    ("tokens", "tokens", "tokens"),
    ("vocabulary", "words", "words"),
    ("encoded", "tokens", "tokens"),
    ("training", "rows", "vectors"),
    ("evaluation", "rows", "scores"),
)


class StageReport(BaseModel):
    """One line of the summary: what a stage made, in how many seconds of this run, and where it lies."""

    model_config = ConfigDict(frozen=True)

    name: str
    reused: bool
    seconds: float
    rows: int
    unit: str
    path: str


class BuildResult(BaseModel):
    """The outcome of one run of the pipeline."""

    model_config = ConfigDict(frozen=True)

    table: str
    version: int | None
    published: bool
    refused: bool
    message: str
    release_path: str
    vocabulary_size: int
    corpus_tokens: int
    training: dict[str, Any]
    metrics: dict[str, float | None]
    verdicts: list[dict[str, Any]]
    stages: list[StageReport]


def build_result(lineage: Lineage, publication: Publication) -> BuildResult:
    """Gather the outcome from the manifests of the stages and from what was published or refused."""
    training = lineage.training.facts
    reports = [_report(name, getattr(lineage, name), figure, unit) for name, figure, unit in STAGE_ROWS]
    release = StageReport(
        name="release",
        reused=not (publication.published or publication.refused),
        seconds=publication.seconds,
        rows=int(lineage.vocabulary.facts["words"]),
        unit="rows",
        path=str(publication.path),
    )
    return BuildResult(
        table=publication.table,
        version=publication.version,
        published=publication.published,
        refused=publication.refused,
        message=publication.message,
        release_path=str(publication.path),
        vocabulary_size=int(lineage.vocabulary.facts["words"]),
        corpus_tokens=int(lineage.vocabulary.facts["corpus_tokens"]),
        training={
            "backend": training["backend"],
            "seconds": training["seconds"],
            "words_per_second": training["words_per_second"],
            "epochs": len(training["epochs"]),
        },
        metrics=dict(lineage.evaluation.facts["metrics"]),
        verdicts=publication.verdicts,
        stages=[*reports, release],
    )


def _report(name: str, manifest: Manifest, figure: str, unit: str) -> StageReport:
    return StageReport(
        name=name,
        reused=manifest.reused,
        seconds=manifest.run_seconds,
        rows=int(manifest.facts[figure]),
        unit=unit,
        path=str(manifest.path),
    )
