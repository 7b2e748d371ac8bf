"""Evaluate a model: word similarity, analogies, and the neighbours it shares with reference vectors."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel, ConfigDict, Field

from storage.errors import ReferenceVectorsError
from storage.evaluations import write_evaluation
from storage.gold_sets import Analogies, GoldSets, WordPairs, read_default_gold_sets
from storage.layout import Workspace
from storage.models import Matrix, read_vectors
from storage.reference_vectors import DEFAULT_REFERENCE, ReferenceVectors, read_reference, reference_digest
from storage.release_schema import WHOLE, EvaluationRow
from storage.stages import Manifest, Stage, complete_stage
from storage.vocabularies import read_vocabulary
from tasks.metrics.analogies import AnalogyScore, score_analogies
from tasks.metrics.neighbors import compare_neighbors
from tasks.metrics.similarity import score_similarity

logger = logging.getLogger(__name__)

STAGE_VERSION = 1


class EvaluationConfig(BaseModel):
    """What the vectors are compared with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reference: str | None = Field(
        default=DEFAULT_REFERENCE,
        min_length=1,
        description="vectors to compare neighbours with: package:NAME, torchtext:NAME:DIM or the path of a GloVe or "
        "word2vec file; none: no comparison",
    )
    analogy_max_rank: int | None = Field(
        default=30_000, ge=1, description="only the most frequent words answer analogies; none: all words"
    )
    neighbors: int = Field(default=10, ge=1, le=100, description="nearest words compared for each word")
    neighbor_words: int = Field(
        default=1000, ge=1, le=20_000, description="most frequent content words whose neighbours are compared"
    )


def evaluation_stage(
    model: Stage | Manifest, vocabulary: Stage | Manifest, config: EvaluationConfig, matrix: Matrix = "center"
) -> Stage:
    """The stage that this model and these settings lead to.

    Raises GoldSetError or ReferenceVectorsError where what it compares with does not exist.
    """
    return _stage(model, vocabulary, config, matrix, read_default_gold_sets())


def check_reference(config: EvaluationConfig) -> None:
    """Raise ReferenceVectorsError if the reference is not there: better before hours of training than after them."""
    if config.reference:
        reference_digest(config.reference)


@task(name="evaluate vectors", cache_policy=NO_CACHE)
def evaluate_vectors(
    model: Manifest,
    vocabulary: Manifest,
    config: EvaluationConfig,
    workspace: Workspace,
    matrix: Matrix = "center",
) -> Manifest:
    """Score the vectors of a model against the gold sets and, unless switched off, the reference vectors.

    matrix: which of the model's vectors are to be published, and so are the ones to score.

    Raises GoldSetError or ReferenceVectorsError where these cannot be read, or the reference shares no word.
    """
    gold = read_default_gold_sets()

    def build(folder: Path) -> dict[str, Any]:
        reference = read_reference(config.reference) if config.reference else None
        words = read_vocabulary(vocabulary.path).words
        rows = score_vectors(words, read_vectors(model.path, matrix), gold, reference, config)
        write_evaluation(folder, rows)
        return _facts(rows, reference)

    manifest = complete_stage(workspace, _stage(model, vocabulary, config, matrix, gold), build)
    logger.info("evaluation: %s", _summary(manifest.facts["metrics"]))
    return manifest


def score_vectors(
    words: Sequence[str],
    vectors: NDArray[np.float32],
    gold: GoldSets,
    reference: ReferenceVectors | None,
    config: EvaluationConfig,
) -> list[EvaluationRow]:
    """All scores of V words, most frequent first, and their (V, D) vectors.

    What cannot be measured, such as English gold sets on a Korean vocabulary, has no value and coverage 0.
    Raises ReferenceVectorsError if a reference is given and shares no word with `words`.
    """
    rows = [_similarity_row(words, vectors, pairs) for pairs in gold.similarity]
    for analogies in gold.analogies:
        rows += _analogy_rows(words, vectors, analogies, config)
    return rows + _neighbor_rows(words, vectors, reference, config)


def _stage(
    model: Stage | Manifest, vocabulary: Stage | Manifest, config: EvaluationConfig, matrix: Matrix, gold: GoldSets
) -> Stage:
    inputs = {"model": model.digest, "vocabulary": vocabulary.digest, **gold.digests}
    if config.reference:
        inputs["reference"] = reference_digest(config.reference)
    return Stage("evaluations", STAGE_VERSION, config.model_dump() | {"matrix": matrix}, inputs)


def _similarity_row(words: Sequence[str], vectors: NDArray[np.float32], pairs: WordPairs) -> EvaluationRow:
    score = score_similarity(words, vectors, pairs.first, pairs.second, pairs.scores)
    return _total_row(pairs.name, score.spearman, score.coverage, pairs.digest)


def _analogy_rows(
    words: Sequence[str], vectors: NDArray[np.float32], analogies: Analogies, config: EvaluationConfig
) -> list[EvaluationRow]:
    sections = score_analogies(words, vectors, analogies.sections, config.analogy_max_rank)
    scores = {WHOLE: sum(sections.values(), start=AnalogyScore(0, 0, 0)), **sections}
    # Scores are only comparable under the same cut, so it belongs to what they were measured with.
    digest = f"{analogies.digest};max_rank={config.analogy_max_rank}"
    return [
        EvaluationRow(
            metric=analogies.name, section=name, value=score.accuracy, coverage=score.coverage, gold_digest=digest
        )
        for name, score in scores.items()
    ]


def _neighbor_rows(
    words: Sequence[str],
    vectors: NDArray[np.float32],
    reference: ReferenceVectors | None,
    config: EvaluationConfig,
) -> list[EvaluationRow]:
    names = ("neighbor_overlap", "neighbor_overlap_random")
    if reference is None:
        return [_total_row(name, None, 0.0, None) for name in names]
    overlap = compare_neighbors(
        words, vectors, reference.words, reference.vectors, config.neighbors, config.neighbor_words
    )
    if not overlap.shared:
        raise ReferenceVectorsError(
            f"{reference.source} shares no word with the vocabulary of {len(words)} words (it begins with "
            f"{', '.join(map(repr, words[:3]))}); name reference vectors of the corpus's language in "
            "evaluation.reference, or set it to null to leave the comparison out"
        )
    digest = f"{reference.digest};neighbors={config.neighbors};words={config.neighbor_words}"
    return [
        _total_row(name, value, overlap.coverage, digest)
        for name, value in zip(names, (overlap.mean, overlap.random_mean), strict=True)
    ]


def _total_row(metric: str, value: float | None, coverage: float, digest: str | None) -> EvaluationRow:
    return EvaluationRow(metric=metric, section=WHOLE, value=value, coverage=coverage, gold_digest=digest)


def _facts(rows: Sequence[EvaluationRow], reference: ReferenceVectors | None) -> dict[str, Any]:
    """The scores on whole gold sets, what each was measured with, and where the reference comes from."""
    totals = [row for row in rows if row.section == WHOLE]
    metrics: dict[str, float | None] = {}
    for row in totals:
        metrics |= {row.metric: row.value, f"{row.metric}_coverage": row.coverage}
    return {
        "rows": len(rows),
        "metrics": metrics,
        "digests": {row.metric: row.gold_digest for row in totals if row.gold_digest},
        "reference": reference and {"name": reference.name, "source": reference.source, "licence": reference.licence},
    }


def _summary(metrics: dict[str, float | None]) -> str:
    names = [name for name in metrics if not name.endswith("_coverage")]
    return ", ".join(
        f"{name} {_figure(metrics[name])} ({_figure(metrics[f'{name}_coverage'])} covered)" for name in names
    )


def _figure(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.4f}"
