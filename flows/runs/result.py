"""Result of a build: one object for the summary, `--json` and the artifacts in the Prefect UI."""

from dataclasses import fields
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from storage.layout import Workspace
from storage.releases.records import Release
from storage.stages import Manifest, StageFacts
from tasks.arrivals import Arrivals
from tasks.metrics.gates import Verdict
from tasks.publishing import Lineage, Publication

Outcome = Literal["published", "refused", "unchanged", "nothing to do"]
# Final state name of a run that found nothing new.
NOTHING_TO_DO = "NothingToDo"


class StageReport(BaseModel):
    """One line of the summary: rows of a stage, its seconds in this run, and its path."""

    model_config = ConfigDict(frozen=True)

    name: str
    reused: bool
    seconds: float
    rows: int
    unit: str
    path: str


class BuildResult(BaseModel):
    """Outcome of one pipeline run.

    outcome: "unchanged" if the model already is the current release, "nothing to do" if there was nothing to train on.
    version: current version after the run, None if refused.  files: files added since the previous release.
    """

    model_config = ConfigDict(frozen=True)

    table: str
    outcome: Outcome
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
    files: Arrivals


def build_result(lineage: Lineage, publication: Publication, files: Arrivals) -> BuildResult:
    """Assemble the result from the stage manifests and the publication."""
    training = lineage.training.facts
    stages: list[Manifest[StageFacts] | None] = [getattr(lineage, field.name) for field in fields(lineage)]
    reports = [stage_report(stage) for stage in stages if stage]
    changes = lineage.comparison.facts.metrics if lineage.comparison else {}
    release = StageReport(
        name="release",
        reused=not (publication.published or publication.refused),
        seconds=publication.seconds,
        rows=lineage.vocabulary.facts.words,
        unit="rows",
        path=str(publication.path),
    )
    outcome: Outcome = "refused" if publication.refused else "published" if publication.published else "unchanged"
    return BuildResult(
        table=publication.table,
        outcome=outcome,
        version=publication.version,
        published=publication.published,
        refused=publication.refused,
        message=publication.message,
        release_path=str(publication.path),
        vocabulary_size=lineage.vocabulary.facts.words,
        corpus_tokens=lineage.encoded.facts.corpus_tokens,
        training={
            "backend": training.backend,
            "seconds": training.seconds,
            "words_per_second": training.words_per_second,
            "epochs": len(training.epochs),
        },
        metrics=lineage.evaluation.facts.metrics | changes,
        verdicts=publication.verdicts,
        stages=[*reports, release],
        files=files,
    )


def nothing_to_do(files: Arrivals, release: Release | None, workspace: Workspace, reason: str = "") -> BuildResult:
    """Result of a run that trained nothing; the current release is unchanged.

    reason: replaces the default reason that no file is new.
    """
    return BuildResult(
        table=files.table,
        outcome="nothing to do",
        version=release.version if release else None,
        published=False,
        refused=False,
        message=f"nothing to do: {reason or files}; {files.table} stays as it is",
        release_path=str(workspace.table_file(files.table)),
        vocabulary_size=release.row.rows if release else 0,
        corpus_tokens=0,
        training={},
        metrics=dict(release.metrics) if release else {},
        verdicts=[],
        stages=[],
        files=files,
    )


def metric_rows(result: BuildResult) -> list[dict[str, Any]]:
    """All metrics with their coverage: gated metrics with their verdicts first, then the others with verdict None."""
    judged = {verdict["metric"]: verdict for verdict in result.verdicts}
    others = {
        metric: {"metric": metric, "value": value}
        for metric, value in result.metrics.items()
        if metric not in judged and not metric.endswith("_coverage")
    }
    columns = dict.fromkeys(["metric", "value", "coverage", *(field.name for field in fields(Verdict))])
    return [
        columns | row | {"coverage": result.metrics.get(f"{metric}_coverage")}
        for metric, row in (judged | others).items()
    ]


def stage_report(manifest: Manifest[StageFacts]) -> StageReport:
    """Summary line of one stage."""
    return StageReport(
        name=manifest.facts.label,
        reused=manifest.reused,
        seconds=manifest.run_seconds,
        rows=manifest.facts.row_count,
        unit=manifest.facts.unit,
        path=str(manifest.path),
    )
