"""Evaluate a model: word similarity, analogies, and the overlap of neighbours with reference vectors."""

import logging
from pathlib import Path
from typing import Any, ClassVar

from prefect import Task
from prefect.client.schemas.objects import State, TaskRun

from storage.corpus.held_out import read_held_out
from storage.corpus.vocabularies import read_vocabulary
from storage.errors import DownloadError
from storage.gold.sets import GoldSets, read_gold_sets
from storage.layout import Workspace
from storage.models.evaluations import write_evaluation
from storage.models.matrices import Matrix, read_vectors
from storage.stages import Manifest, Stage, StageFacts, complete_stage
from storage.vectors.reference import read_reference, reference_digest
from tasks.pipeline_task import pipeline_task
from tasks.references import check_present, downloaded_references
from tasks.references import read_references as read_references
from tasks.release_reader import corpus_reader
from tasks.scoring import EvaluationConfig as EvaluationConfig
from tasks.scoring import Scored, hit_rows, score_vectors, total_digests, total_metrics
from tasks.training import AnyVocabulary, ModelFacts
from tasks.unseen_words import composes_unseen_words, model_composer
from tasks.vocabulary import EncodedFacts, VocabularyFacts

logger = logging.getLogger(__name__)

STAGE_VERSION = 4


class EvaluationFacts(StageFacts):
    """The scores of a model.

    metrics: name -> value on the whole set, None if not measured.  digests: name -> digest of its gold set or
    reference.  reference: name, source and licence of the first of `references`.
    gold_rows_left_out: gold set -> numbers of skipped lines.  gold_columns: gold set -> columns that were read.
    """

    label: ClassVar[str] = "evaluation"
    unit: ClassVar[str] = "scores"

    rows: int
    metrics: dict[str, float | None]
    digests: dict[str, str]
    reference: dict[str, str] | None
    references: list[dict[str, Any]]
    gold_columns: dict[str, str]
    gold_rows_left_out: dict[str, list[int]]

    @property
    def row_count(self) -> int:
        """Scores."""
        return self.rows


AnyModel = Stage[ModelFacts] | Manifest[ModelFacts]
AnyEncoded = Stage[EncodedFacts] | Manifest[EncodedFacts]


def evaluation_stage(
    model: AnyModel,
    vocabulary: AnyVocabulary,
    config: EvaluationConfig,
    matrix: Matrix = "center",
    held_out: AnyEncoded | None = None,
) -> Stage[EvaluationFacts]:
    """The stage for this model and these settings. held_out: the encoded corpus, if it holds last items out.

    Raises GoldSetError or ReferenceVectorsError if a gold set or reference does not exist.
    """
    return _stage(model, vocabulary, config, matrix, read_gold_sets(config.gold), held_out)


def _may_succeed_later(task: Task[..., object], run: TaskRun, state: State[object]) -> bool:
    """Retry network errors; an unknown name stays unknown."""
    return isinstance(state.result(raise_on_failure=False), DownloadError)


@pipeline_task(
    "fetch reference vectors",
    retries=3,
    retry_delay_seconds=[5, 20, 80],
    retry_jitter_factor=0.5,
    retry_condition_fn=_may_succeed_later,
)
def fetch_reference_vectors(spec: str) -> None:
    """Download vectors of torchtext or gensim-data unless cached. Raises ReferenceVectorsError."""
    read_reference(spec)


def check_reference(config: EvaluationConfig) -> None:
    """Check all gold sets and references, so that a run fails before hours of training and not after.

    Raises GoldSetError or ReferenceVectorsError if one is missing.
    """
    for spec in downloaded_references(config):
        fetch_reference_vectors(spec)
    check_present(config)


@pipeline_task("evaluate vectors")
def evaluate_vectors(
    model: Manifest[ModelFacts],
    vocabulary: Manifest[VocabularyFacts],
    config: EvaluationConfig,
    workspace: Workspace,
    matrix: Matrix = "center",
    held_out: Manifest[EncodedFacts] | None = None,
) -> Manifest[EvaluationFacts]:
    """Score the vectors of a model against the gold sets and all reference vectors.

    matrix: the matrix to publish, and therefore the one to score.
    held_out: the encoded corpus, if it holds the last items of sequences out.
    Raises GoldSetError or ReferenceVectorsError if one cannot be read, or a reference shares no word.
    """
    gold = read_gold_sets(config.gold)

    def build(folder: Path) -> EvaluationFacts:
        words = read_vocabulary(vocabulary.path).words
        cutter = corpus_reader(vocabulary, workspace)
        vectors = read_vectors(model.path, matrix)
        composer = model_composer(model, matrix)
        scored = score_vectors(words, vectors, gold, read_references(config), config, cutter, composer)
        if held_out:
            scored.rows += hit_rows(vectors, *read_held_out(held_out.path), f"held_out={held_out.digest}")
        write_evaluation(folder, scored.rows, scored.compared_words)
        return _facts(scored, gold)

    manifest = complete_stage(workspace, _stage(model, vocabulary, config, matrix, gold, held_out), build)
    logger.info("evaluation: %s", _summary(manifest.facts.metrics))
    return manifest


def _stage(
    model: AnyModel,
    vocabulary: AnyVocabulary,
    config: EvaluationConfig,
    matrix: Matrix,
    gold: GoldSets,
    held_out: AnyEncoded | None,
) -> Stage[EvaluationFacts]:
    inputs = {"model": model.digest, "vocabulary": vocabulary.digest}
    inputs |= {f"gold_{name}": digest for name, digest in gold.digests.items()}
    for spec, suffix in config.all_references.items():
        inputs[f"reference{suffix}"] = reference_digest(spec)
    if held_out:
        inputs["held_out"] = held_out.digest
    # Names and locations of files do not change the scores; their digests and the names of metrics do.
    compared = config.model_dump(exclude={"reference", "references", "gold", "held_out_sequences"})
    if composes_unseen_words(model, matrix):
        compared["unseen_words"] = "composed"
    return Stage("evaluations", STAGE_VERSION, compared | {"matrix": matrix}, inputs, EvaluationFacts)


def _facts(scored: Scored, gold: GoldSets) -> EvaluationFacts:
    """The scores on whole gold sets, the digests behind them, and the sources of the references."""
    first = scored.references[0] if scored.references else None
    return EvaluationFacts(
        rows=len(scored.rows),
        metrics=total_metrics(scored.rows),
        digests=total_digests(scored.rows),
        reference=first and {name: first[name] for name in ("name", "source", "licence")},
        references=scored.references,
        gold_columns=gold.columns,
        gold_rows_left_out={name: list(lines) for name, lines in gold.left_out.items()},
    )


def _summary(metrics: dict[str, float | None]) -> str:
    names = [name for name in metrics if not name.endswith("_coverage")]
    return ", ".join(
        f"{name} {_figure(metrics[name])} ({_figure(metrics[f'{name}_coverage'])} covered)" for name in names
    )


def _figure(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.4f}"
