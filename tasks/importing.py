"""Judge imported vectors by the gates of the table they are published to."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

from storage.gold.sets import read_gold_sets
from storage.layout import Workspace
from storage.models.comparisons import CHANGE_METRICS
from storage.releases.file import ReleaseContent
from storage.releases.named_vectors import NamedVectors, read_release_vectors
from storage.releases.publishing import kept_releases
from storage.releases.records import Release
from storage.releases.schema import GateRow
from tasks.comparison import change_rows
from tasks.evaluation import check_reference, read_references
from tasks.metrics.gates import Gate, Scores, judge, verdict_rows
from tasks.publication_config import PublicationConfig
from tasks.publishing import measures
from tasks.released_settings import release_section
from tasks.score_changes import ScoredTable, change_metrics, score_change_rows
from tasks.scoring import EvaluationConfig, score_vectors, total_digests

logger = logging.getLogger(__name__)

BOUNDS = ("minimum", "maximum", "max_drop", "min_factor")


@dataclass(frozen=True)
class TableGates:
    """The gates of a table, and the evaluation settings behind its scores."""

    gates: Mapping[str, Gate]
    evaluation: EvaluationConfig


def table_gates(
    workspace: Workspace, table: str, deployed: tuple[PublicationConfig, EvaluationConfig] | None = None
) -> TableGates | None:
    """The gates of the newest release that has any, else those of the table's deployment, else None.

    deployed: settings of the deployment that publishes the table, if one does.
    """
    for release in reversed(kept_releases(workspace, table)):
        if gates := {row.metric: _gate(row) for row in release.gates if _has_bounds(row)}:
            return TableGates(gates, _evaluation_settings(release))
    if deployed and deployed[0].active_gates:
        return TableGates(deployed[0].active_gates, deployed[1])
    return None


def judge_import(
    content: ReleaseContent, current: Release | None, gates: TableGates, workspace: Workspace
) -> ReleaseContent:
    """The content with its scores and the verdict of each gate.

    current: the release that the import would replace. An import has no corpus, so bounds against the current release
    apply whenever both have the same gold set or reference.
    Raises GoldSetError or ReferenceVectorsError if one cannot be read.
    """
    config = gates.evaluation
    check_reference(config)
    words = list(content.words)
    scored = score_vectors(words, content.vectors, read_gold_sets(config.gold), read_references(config), config)
    rows, compared = scored.rows, scored.compared_words
    if current:
        ours = NamedVectors("this import", content.provenance.corpus_source, words, content.vectors)
        previous = read_release_vectors(workspace, current.table, str(current.version))
        changes, changed = change_rows(ours, previous, current.version, config)
        gold = read_gold_sets(config.gold)
        differences = score_change_rows(ScoredTable(ours, None), ScoredTable(previous, None), gold, config)
        rows, compared = [*rows, *changes, *differences], [*compared, *changed]
    measured = measures(rows)
    text = content.provenance.corpus_digest
    verdicts = judge(
        Scores(
            measured,
            text,
            total_digests(rows),
            {
                name: "not measured for an import"
                for name in (*CHANGE_METRICS, *change_metrics(config))
                if name not in measured
            },
        ),
        gates.gates,
        Scores(measures(current.evaluation), text, current.digests) if current else None,
    )
    logger.info("%d of %d gates passed", sum(verdict.passed for verdict in verdicts), len(verdicts))
    return replace(
        content, evaluation=rows, compared_words=compared, gates=[GateRow(**row) for row in verdict_rows(verdicts)]
    )


def _has_bounds(row: GateRow) -> bool:
    return any(getattr(row, bound) is not None for bound in BOUNDS)


def _gate(row: GateRow) -> Gate:
    return Gate.model_validate({name: getattr(row, name) for name in (*BOUNDS, "strict")})


def _evaluation_settings(release: Release) -> EvaluationConfig:
    """The settings that the release was evaluated with; defaults for those it does not store."""
    stored = release_section(release.path, "evaluation")
    known = {name: value for name, value in stored.items() if name in EvaluationConfig.model_fields}
    return EvaluationConfig.model_validate(known)
