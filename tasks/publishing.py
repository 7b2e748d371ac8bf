"""Judge a model by its gates, then publish it as a release or keep it as a refused candidate."""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from storage.corpus.trained_tokenizer import read_tokenizer
from storage.corpus.vocabularies import read_vocabulary
from storage.files.large_arrays import RowBuffer, row_blocks
from storage.layout import Workspace
from storage.models.comparisons import CHANGE_METRICS, read_rotation
from storage.models.evaluations import read_compared_words, read_evaluation
from storage.models.matrices import Matrix, read_optimizer, read_vectors
from storage.models.rows import EvaluationRow
from storage.releases.documents import DocumentRows, read_documents
from storage.releases.file import ReleaseContent, content_sha256
from storage.releases.ngrams import NgramContent
from storage.releases.publishing import keep_candidate, publish_release
from storage.releases.records import Release
from storage.releases.schema import GateRow, Provenance, TrainingRow
from storage.releases.seen_files import grew_from
from storage.stages import Manifest
from tasks.comparison import ComparisonFacts, is_same_model
from tasks.document_vectors import document_method
from tasks.evaluation import EvaluationFacts
from tasks.events import emit_release_published
from tasks.fusion import FusionFacts
from tasks.metrics.alignment import BLOCK_ROWS, rotate
from tasks.metrics.gates import CHANGE, Measured, Scores, Verdict, judge, verdict_rows
from tasks.parameters import BuildParameters
from tasks.pipeline import Lineage
from tasks.pipeline_task import pipeline_task
from tasks.publication_config import PublicationConfig
from tasks.trainers.interface import NGRAM_VECTORS
from tasks.training import as_trained

logger = logging.getLogger(__name__)

RECORDED_PACKAGES = ("vecmill", "prefect", "numpy", "numba", "torch", "pyarrow", "duckdb", "gensim")


class Outcome(StrEnum):
    """How a run ended that did not fail or stop."""

    PUBLISHED = "published"
    REFUSED = "refused"
    UNCHANGED = "unchanged"
    NOTHING_TO_DO = "nothing to do"


class Publication(BaseModel):
    """The outcome for one model, and the release that holds it: a new one, a candidate, or the current one.

    path: the file to query, which for a published release is the table's name.  seconds: spent on publishing.
    """

    model_config = ConfigDict(frozen=True)

    outcome: Outcome
    release: Release
    path: Path
    message: str
    verdicts: list[dict[str, Any]]
    seconds: float


def measures(rows: Sequence[EvaluationRow]) -> dict[str, Measured]:
    """The values that gates can apply to: metrics by name, parts of them as `metric/section`."""
    return {
        row.metric if row.is_whole else f"{row.metric}/{row.section}": Measured(row.value, row.low, row.high)
        for row in rows
    }


@pipeline_task("judge release")
def judge_release(
    lineage: Lineage, config: PublicationConfig, release: Release | None, workspace: Workspace
) -> list[Verdict]:
    """Compare the scores with the gates and, where comparable, with the current release.

    release: the current release, None before the first one.
    """
    corpus = lineage.corpus
    measured = measures(_evaluation_rows(lineage))
    why_not = "it holds this model, or the dimensions differ" if release else "the table has no release yet"
    scores = Scores(
        measured,
        corpus.digest,
        _digests(_measuring_stages(lineage)),
        {name: f"not compared: {why_not}" for name in _changes(lineage) if name not in measured},
    )
    previous = None
    if release:
        # A grown corpus is a different text, but its vectors must not be worse than before.
        before = corpus.digest if grew_from(workspace, release, corpus) else release.corpus_digest
        previous = Scores(measures(release.evaluation), before, release.digests)
    verdicts = judge(scores, config.active_gates, previous)
    logger.info("%d of %d gates passed", sum(verdict.passed for verdict in verdicts), len(verdicts))
    return verdicts


def _changes(lineage: Lineage) -> list[str]:
    """Metrics that a model has only if there is a release to compare it with."""
    scores = _digests([lineage.evaluation])
    return [*CHANGE_METRICS, *(f"{name}{CHANGE}" for name in scores)]


def _digests(stages: Iterable[Manifest[Any]]) -> dict[str, str]:
    """Metric -> digest of what it was measured with."""
    return {name: digest for stage in stages for name, digest in stage.facts.digests.items()}


@pipeline_task("publish release")
def publish_vectors(
    lineage: Lineage,
    verdicts: Sequence[Verdict],
    parameters: BuildParameters,
    current: Release | None,
    workspace: Workspace,
) -> Publication:
    """Publish the vectors as the next version, or keep them as a candidate if a gate refused them.

    current: the release that the model was judged against; the same model is not published again.
    """
    started = time.perf_counter()
    config, table = parameters.publication, parameters.publication.table
    refusals = [verdict.note for verdict in verdicts if not verdict.passed]
    content = _content(lineage, verdicts, _settings(lineage, parameters), config.published_matrix)
    path = workspace.table_file(table)
    if refusals:
        release = keep_candidate(workspace, table, content)
        outcome, path = Outcome.REFUSED, release.path
        message = f"refused, kept as a candidate of {table}: {'; '.join(refusals)}"
    elif current and _is_published(current, content, lineage, config):
        release, outcome = current, Outcome.UNCHANGED
        message = f"version {release.version} already holds this model; {table} is unchanged"
        logger.info(message)
    else:
        release, outcome = publish_release(workspace, table, content), Outcome.PUBLISHED
        message = f"published version {release.version} of {table}"
        emit_release_published(workspace, table, release.version)
    return Publication(
        outcome=outcome,
        release=release,
        path=path,
        message=message,
        verdicts=verdict_rows(verdicts),
        seconds=round(time.perf_counter() - started, 3),
    )


def _settings(lineage: Lineage, parameters: BuildParameters) -> dict[str, BaseModel]:
    """The settings that the release stores, with the training settings resolved for the machine that trained."""
    return parameters.released_sections | {"training": as_trained(parameters.training, lineage.training)}


def _is_published(current: Release, content: ReleaseContent, lineage: Lineage, config: PublicationConfig) -> bool:
    """Whether the current release holds this model. One that was aligned with its predecessor has other vectors."""
    aligned = config.align == "previous" and is_same_model(current, lineage.training.digest, config.published_matrix)
    stored, documents = read_documents(current.path), content.documents
    if (stored is None) != (documents is None):
        return False
    # Compared with itself, an aligned release has no rotation, so its documents would have another digest.
    if stored and documents and not aligned and stored.digest != documents.digest:
        return False
    return aligned or current.row.sha256 == content_sha256(content)


def _measuring_stages(
    lineage: Lineage,
) -> list[Manifest[EvaluationFacts] | Manifest[ComparisonFacts] | Manifest[FusionFacts]]:
    fusion = cast("Manifest[FusionFacts]", lineage.training) if lineage.unfused else None
    return [stage for stage in (lineage.evaluation, lineage.comparison, fusion) if stage]


def _evaluation_rows(lineage: Lineage) -> list[EvaluationRow]:
    return [row for stage in _measuring_stages(lineage) for row in read_evaluation(stage.path)]


def _vectors(lineage: Lineage, matrix: Matrix) -> NDArray[np.float32]:
    """The vectors to publish, rotated onto older ones if `align` asks for it."""
    vectors = read_vectors(lineage.training.path, matrix)
    rotation = read_rotation(lineage.comparison.path) if lineage.comparison else None
    return vectors if rotation is None else _rotated(vectors, rotation)


def _rotated(vectors: NDArray[np.float32], rotation: NDArray[np.float64]) -> NDArray[np.float32]:
    turned = RowBuffer(vectors.shape[1])
    for _, block in row_blocks(vectors, BLOCK_ROWS):
        turned.append(rotate(block, rotation))
    return turned.finish()


def _ngrams(lineage: Lineage) -> NgramContent | None:
    """The n-grams of a model that has them. An aligned release rotates them; joined vectors have no n-grams."""
    config = lineage.training.config
    vectors = read_optimizer(lineage.training.path).get(NGRAM_VECTORS)
    if vectors is None or lineage.unfused:
        return None
    rotation = read_rotation(lineage.comparison.path) if lineage.comparison else None
    vectors = vectors if rotation is None else _rotated(vectors, rotation)
    return NgramContent(config["minimum_ngram"], config["maximum_ngram"], vectors)


def _content(
    lineage: Lineage, verdicts: Sequence[Verdict], settings: Mapping[str, BaseModel], matrix: Matrix
) -> ReleaseContent:
    """The content of a release, collected from the stages that led to it."""
    vocabulary = read_vocabulary(lineage.vocabulary)
    training = lineage.training
    tokens = lineage.encoded.facts.corpus_tokens
    return ReleaseContent(
        words=vocabulary.words,
        counts=vocabulary.counts,
        vectors=_vectors(lineage, matrix),
        provenance=_provenance(lineage, settings),
        training=[
            TrainingRow(
                epoch=epoch.epoch,
                mean_loss=epoch.mean_loss,
                learning_rate=epoch.learning_rate,
                tokens=tokens,
                seconds=epoch.seconds,
                words_per_second=tokens / epoch.seconds,
            )
            for epoch in training.facts.epochs
        ],
        evaluation=_evaluation_rows(lineage),
        compared_words=[word for stage in _measuring_stages(lineage) for word in read_compared_words(stage.path)],
        gates=[GateRow(**row) for row in verdict_rows(verdicts)],
        tokenizer=read_tokenizer(lineage.tokens.path),
        documents=_documents(lineage),
        ngrams=_ngrams(lineage),
        settings={section: model.model_dump(mode="json") for section, model in settings.items()},
    )


def _documents(lineage: Lineage) -> DocumentRows | None:
    stage = lineage.documents
    if stage is None:
        return None
    facts = stage.facts
    method = document_method(stage)
    return DocumentRows(stage.path, stage.digest, method, facts.documents, facts.without_words)


def _provenance(lineage: Lineage, settings: Mapping[str, BaseModel]) -> Provenance:
    reference = lineage.evaluation.facts.reference or {}
    corpus = lineage.corpus.facts
    encoders = [lineage.encodings.facts] if lineage.encodings else []
    return Provenance.of(
        {name: model.model_dump(mode="json") for name, model in settings.items()},
        RECORDED_PACKAGES,
        model_digest=lineage.training.digest,
        architecture=lineage.training.config["model"],
        backend=lineage.training.facts.backend,
        seed=lineage.training.config["seed"],
        corpus_digest=lineage.corpus.digest,
        corpus_source="; ".join([corpus.source, *(f"encoder: {encoder.source}" for encoder in encoders)]),
        corpus_licence="; ".join([corpus.licence, *(f"encoder: {encoder.licence}" for encoder in encoders)]),
        reference_source=reference.get("source", "none"),
        reference_licence=reference.get("licence", "none"),
    )
