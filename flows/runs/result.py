"""The result of a build: one object for the summary, for `--json` and for the artifacts in Prefect's UI."""

from dataclasses import fields
from typing import Any

from pydantic import BaseModel, ConfigDict, computed_field

from storage.layout import Workspace
from storage.releases.records import Release
from storage.stages import Manifest, StageFacts
from tasks.arrivals import Arrivals
from tasks.metrics.gates import Verdict
from tasks.pipeline import Lineage
from tasks.publishing import Outcome, Publication
from tasks.reporting import WrittenReport

# Name of the state in which a run ends that had nothing to do.
NOTHING_TO_DO = "NothingToDo"


class StageReport(BaseModel):
    """One row of the summary. seconds: spent on the stage in this run.  path: the folder or file it wrote."""

    model_config = ConfigDict(frozen=True)

    name: str
    reused: bool
    seconds: float
    rows: int
    unit: str
    path: str


class BuildResult(BaseModel):
    """The result of one run of the pipeline.

    version: of the table's current release after the run, None if a gate refused this one.
    files: how the corpus differs from the files of the previous release.
    """

    model_config = ConfigDict(frozen=True)

    table: str
    outcome: Outcome
    version: int | None
    message: str
    release_path: str
    vocabulary_size: int
    corpus_tokens: int
    training: dict[str, Any]
    metrics: dict[str, float | None]
    verdicts: list[dict[str, Any]]
    stages: list[StageReport]
    files: Arrivals

    @computed_field  # type: ignore[prop-decorator]  # mypy lacks decorated properties; pydantic documents this order
    @property
    def published(self) -> bool:
        """Whether this run published a version."""
        return self.outcome is Outcome.PUBLISHED

    @computed_field  # type: ignore[prop-decorator]
    @property
    def refused(self) -> bool:
        """Whether a gate refused the release."""
        return self.outcome is Outcome.REFUSED

    def with_report(self, report: WrittenReport | None) -> "BuildResult":
        """The result with the report as the last row of its stages, if one was written."""
        if report is None:
            return self
        size = report.path.stat().st_size
        row = StageReport(
            name="report", reused=report.reused, seconds=report.seconds, rows=size // 1000, unit="kB",
            path=str(report.path),
        )  # fmt: skip
        return self.model_copy(update={"stages": [*self.stages, row]})


def build_result(lineage: Lineage, publication: Publication, files: Arrivals) -> BuildResult:
    """The result of a run that trained, from the manifests of its stages and what was published or refused."""
    training = lineage.training.facts
    changes = lineage.comparison.facts.metrics if lineage.comparison else {}
    return BuildResult(
        table=publication.release.table,
        outcome=publication.outcome,
        version=publication.release.row.version,
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
        stages=[*map(stage_report, lineage.stages), _release_report(lineage, publication)],
        files=files,
    )


def nothing_to_do(files: Arrivals, release: Release | None, workspace: Workspace, reason: str = "") -> BuildResult:
    """The result of a run that trained nothing; the current release is unchanged.

    reason: why, if it is not that no file is new.
    """
    return BuildResult(
        table=files.table,
        outcome=Outcome.NOTHING_TO_DO,
        version=release.version if release else None,
        message=f"nothing to do: {reason or files}; {files.table} is unchanged",
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
    """All metrics with their coverage: gated ones first, with their verdicts, then the others with None there."""
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
    """The row of one stage."""
    return StageReport(
        name=manifest.facts.label,
        reused=manifest.reused,
        seconds=manifest.run_seconds,
        rows=manifest.facts.row_count,
        unit=manifest.facts.unit,
        path=str(manifest.path),
    )


def _release_report(lineage: Lineage, publication: Publication) -> StageReport:
    return StageReport(
        name="release",
        reused=publication.outcome is Outcome.UNCHANGED,
        seconds=publication.seconds,
        rows=lineage.vocabulary.facts.words,
        unit="rows",
        path=str(publication.path),
    )
