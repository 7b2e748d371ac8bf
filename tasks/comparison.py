"""Compare a model with the current release: what changed, and the rotation that aligns the two."""

import logging
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from storage.corpus.vocabularies import read_vocabulary
from storage.errors import ReferenceVectorsError
from storage.gold.sets import read_gold_sets
from storage.layout import Workspace
from storage.models.comparisons import CHANGE_METRICS, REFERENCE_METRICS, version_name, write_rotation
from storage.models.evaluations import write_evaluation
from storage.models.matrices import Matrix, read_vectors
from storage.models.rows import ComparedWordRow, EvaluationRow
from storage.releases.named_vectors import NamedVectors, read_release_vectors
from storage.releases.records import Release
from storage.releases.reports import read_setting_values
from storage.stages import Manifest, Stage, StageFacts, complete_stage
from storage.vectors.reference import read_reference, reference_digest
from tasks.evaluation import AnyModel
from tasks.metrics.alignment import fit_rotation, mean_cosine
from tasks.metrics.lookup import shared_rows
from tasks.metrics.neighbors import compare_neighbors
from tasks.pipeline_task import pipeline_task
from tasks.publication_config import PublicationConfig
from tasks.release_reader import corpus_reader
from tasks.score_changes import ScoredTable, score_change_rows
from tasks.scoring import EvaluationConfig, agreement_rows, total_digests, total_metrics, word_rows
from tasks.training import AnyVocabulary, ModelFacts
from tasks.vocabulary import VocabularyFacts

logger = logging.getLogger(__name__)

STAGE_VERSION = 3
STABILITY, RANK_STABILITY, NEW, LOST, COSINE, _ = CHANGE_METRICS
REFERENCE_COSINE, _ = REFERENCE_METRICS
BEFORE = "_before"
CHANGED_WORDS = 50


class ComparisonFacts(StageFacts):
    """How a model differs from the current release; metrics and digests as in EvaluationFacts."""

    label: ClassVar[str] = "comparison"
    unit: ClassVar[str] = "figures"

    rows: int
    metrics: dict[str, float | None]
    digests: dict[str, str]

    @property
    def row_count(self) -> int:
        """Figures."""
        return self.rows


def comparison_stage(
    model: AnyModel,
    vocabulary: AnyVocabulary,
    evaluation: EvaluationConfig,
    publication: PublicationConfig,
    release: Release | None,
) -> Stage[ComparisonFacts] | None:
    """The stage for this model, these settings and the current release; None if there is nothing to compare.

    Raises GoldSetError or ReferenceVectorsError if a gold set or the reference to align with does not exist.
    """
    current = _other_release(model, publication, release)
    spec = evaluation.reference if publication.align == "reference" else None
    if not (current or spec):
        return None
    inputs = {"model": model.digest, "vocabulary": vocabulary.digest}
    if current:
        inputs["release"] = current.row.sha256
    if spec:
        inputs["reference"] = reference_digest(spec)
    config = {"align": publication.align, "matrix": publication.published_matrix}
    config |= evaluation.model_dump(include={"neighbors", "neighbor_words", "analogy_max_rank"})
    inputs |= {f"gold_{name}": digest for name, digest in read_gold_sets(evaluation.gold).digests.items()}
    return Stage("comparisons", STAGE_VERSION, config, inputs, ComparisonFacts)


@pipeline_task("compare with current release")
def compare_with_current(
    model: Manifest[ModelFacts],
    vocabulary: Manifest[VocabularyFacts],
    evaluation: EvaluationConfig,
    publication: PublicationConfig,
    release: Release | None,
    workspace: Workspace,
) -> Manifest[ComparisonFacts] | None:
    """Measure how neighbours changed and which words are new or lost, and fit the rotation that `align` asks for.

    None if there is nothing to compare with: the table has no release yet, or its current release is this model.
    Raises ReferenceVectorsError if the model cannot be aligned with the reference.
    """
    stage = comparison_stage(model, vocabulary, evaluation, publication, release)
    if stage is None:
        return None
    table, align, matrix = publication.table, publication.align, publication.published_matrix
    current = _other_release(model, publication, release)
    spec = evaluation.reference if align == "reference" else None

    def build(folder: Path) -> ComparisonFacts:
        ours = NamedVectors(
            "this model", "training", read_vocabulary(vocabulary.path).words, read_vectors(model.path, matrix)
        )
        reference = _reference(spec) if spec else None
        rotation = _rotation_onto_reference(ours, reference) if reference else None
        rows = _cosines(REFERENCE_COSINE, ours, reference, rotation, fold=True) if reference else []
        words: list[ComparedWordRow] = []
        if current:
            previous = read_release_vectors(workspace, table, str(current.version))
            if align == "previous":
                rotation = _rotation_onto_release(ours, previous)
            changes, words = change_rows(ours, previous, current.version, evaluation, rotation)
            cutter = corpus_reader(vocabulary, workspace)
            gold = read_gold_sets(evaluation.gold)
            changes += score_change_rows(ScoredTable(ours, cutter), ScoredTable(previous, cutter), gold, evaluation)
            rows += changes
        if rotation is not None:
            write_rotation(folder, rotation)
        write_evaluation(folder, rows, words)
        return ComparisonFacts(rows=len(rows), metrics=total_metrics(rows), digests=total_digests(rows))

    manifest = complete_stage(workspace, stage, build)
    metrics = manifest.facts.metrics
    figures = [f"{name} {metrics[name]:.4f}" for name in (*CHANGE_METRICS, *REFERENCE_METRICS) if metrics.get(name)]
    logger.info("compared with %s: %s", version_name(current.version) if current else spec, ", ".join(figures))
    return manifest


def _other_release(model: AnyModel, publication: PublicationConfig, current: Release | None) -> Release | None:
    """The current release, unless it is this model."""
    return None if current and is_same_model(current, model.digest, publication.published_matrix) else current


def is_same_model(release: Release, model_digest: str, matrix: Matrix) -> bool:
    """Whether a release holds this matrix of this model, rotated or not."""
    if release.model_digest != model_digest:
        return False
    settings = read_setting_values(release.path)
    return bool((settings.get("publication.matrix") or "center") == matrix)


def _reference(spec: str) -> NamedVectors:
    reference = read_reference(spec)
    return NamedVectors(reference.name, reference.source, reference.words, reference.vectors)


def _rotation_onto_reference(ours: NamedVectors, reference: NamedVectors) -> NDArray[np.float64]:
    rows, other_rows = shared_rows(ours.words, reference.words, fold=True)
    try:
        return fit_rotation(ours.vectors, rows, reference.vectors, other_rows)
    except ValueError as error:
        raise ReferenceVectorsError(
            f"publication.align=reference: {error}; set training.dimension to that of the reference, choose another "
            "evaluation.reference, or set publication.align=none"
        ) from error


def _rotation_onto_release(ours: NamedVectors, previous: NamedVectors) -> NDArray[np.float64] | None:
    """None, with a warning, if the dimensions differ or no word is shared."""
    rows, other_rows = shared_rows(ours.words, previous.words, fold=False)
    try:
        return fit_rotation(ours.vectors, rows, previous.vectors, other_rows)
    except ValueError as error:
        logger.warning("not aligned with %s: %s", previous.name, error)
        return None


def _cosines(
    metric: str, ours: NamedVectors, other: NamedVectors, rotation: NDArray[np.float64] | None, *, fold: bool
) -> list[EvaluationRow]:
    """Mean cosine between the vectors of shared words: as published and, if rotated, also as trained."""
    if ours.vectors.shape[1] != other.vectors.shape[1]:
        return []
    rows, other_rows = shared_rows(ours.words, other.words, fold=fold)
    versions = {metric: rotation} if rotation is None else {metric: rotation, f"{metric}{BEFORE}": None}
    return [
        EvaluationRow(
            metric=name,
            value=mean_cosine(ours.vectors, rows, other.vectors, other_rows, applied),
            coverage=len(rows) / len(ours.words),
            covered=len(rows),
        )
        for name, applied in versions.items()
    ]


def change_rows(
    ours: NamedVectors,
    previous: NamedVectors,
    version: int,
    evaluation: EvaluationConfig,
    rotation: NDArray[np.float64] | None = None,
) -> tuple[list[EvaluationRow], list[ComparedWordRow]]:
    """Overlap of the neighbours of frequent words, shares of new and lost words, and the words that changed most.

    version: of the previous release.  rotation: (D, D), aligns our vectors with those of the previous release.
    """
    overlap = compare_neighbors(
        ours.words, ours.vectors, previous.words, previous.vectors, evaluation.neighbors, evaluation.neighbor_words,
        fold=False, random=False, shown=CHANGED_WORDS,
    )  # fmt: skip
    digest = f"neighbors={evaluation.neighbors};words={evaluation.neighbor_words}"
    rows = agreement_rows(STABILITY, RANK_STABILITY, overlap, digest)
    for name, words in ((NEW, ours.words), (LOST, previous.words)):
        count = len(words) - overlap.shared
        rows.append(EvaluationRow(metric=name, value=count / len(words), covered=count, gold_digest=digest))
    rows += _cosines(COSINE, ours, previous, rotation, fold=False)
    return rows, word_rows(version_name(version), overlap.least)
