"""Turn the encoded words into a model: alone (distilled), or joined with trained vectors (fused)."""

import logging
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from storage.corpus.vocabularies import read_vocabulary
from storage.errors import TrainingError
from storage.layout import Workspace
from storage.models.encoded_words import read_encodings
from storage.models.evaluations import write_evaluation
from storage.models.matrices import FUSED, read_matrices, read_optimizer, read_vectors, write_vectors
from storage.stages import Manifest, Stage, complete_stage
from tasks.encoded_words import EncodingFacts
from tasks.metrics.neighbors import compare_neighbors
from tasks.pipeline_task import pipeline_task
from tasks.scoring import (
    ENCODER_OVERLAP,
    ENCODER_RANK_OVERLAP,
    agreement_rows,
    total_digests,
    total_metrics,
    word_rows,
)
from tasks.trainers.config import DistilledConfig, TrainedConfig
from tasks.trainers.reduction import distil, fuse
from tasks.training import ModelFacts
from tasks.vocabulary import VocabularyFacts

logger = logging.getLogger(__name__)

STAGE_VERSION = 1
# Up to version 1 skip-gram and CBOW were joined as the mean of their two matrices.
FUSION_STAGE_VERSION = 2
NEIGHBORS, COMPARED_WORDS, SHOWN_WORDS = 10, 1000, 50

AnyEncodings = Stage[EncodingFacts] | Manifest[EncodingFacts]
AnyVocabulary = Stage[VocabularyFacts] | Manifest[VocabularyFacts]


class DistilledFacts(ModelFacts):
    """A distilled model: encoded words per second instead of trained ones, and no epochs."""

    label: ClassVar[str] = "distillation"


class FusionFacts(ModelFacts):
    """A model joined with an encoder. epochs and speed: of the training.  metrics, digests: as in EvaluationFacts."""

    label: ClassVar[str] = "fusion"

    metrics: dict[str, float | None]
    digests: dict[str, str]


def distilled_stage(vocabulary: AnyVocabulary, encodings: AnyEncodings, config: DistilledConfig) -> Stage[ModelFacts]:
    """The stage for these encodings and dimension."""
    settings = config.model_dump(include={"model", "dimension", "seed", "epochs"}) | {"backend": "torch"}
    inputs = {"vocabulary": vocabulary.digest, "encodings": encodings.digest}
    return Stage("models", STAGE_VERSION, settings, inputs, DistilledFacts)


def fusion_stage(
    training: Stage[ModelFacts] | Manifest[ModelFacts],
    vocabulary: AnyVocabulary,
    encodings: AnyEncodings,
    config: TrainedConfig,
) -> Stage[ModelFacts]:
    """The stage that joins this model with these encodings."""
    settings = {**training.config, "fused_dimension": config.fused_dimension}
    inputs = {"training": training.digest, "vocabulary": vocabulary.digest, "encodings": encodings.digest}
    return Stage("models", FUSION_STAGE_VERSION, settings, inputs, FusionFacts)


@pipeline_task("distil vectors")
def distil_vectors(
    vocabulary: Manifest[VocabularyFacts],
    encodings: Manifest[EncodingFacts],
    config: DistilledConfig,
    workspace: Workspace,
) -> Manifest[ModelFacts]:
    """Reduce the encoded words to the dimension of the table. Raises TrainingError if it exceeds the encoder's."""
    if config.dimension > encodings.facts.dimension:
        raise TrainingError(
            f"training.dimension is {config.dimension}, and {encodings.facts.name} computes vectors of "
            f"{encodings.facts.dimension} numbers; lower it to at most that"
        )

    def build(folder: Path) -> ModelFacts:
        started = time.perf_counter()
        vectors = distil(read_encodings(encodings.path), config.dimension)
        _check_rows(vectors, vocabulary, encodings.facts)
        write_vectors(folder, vectors, np.zeros((len(vectors), 0), np.float32))
        seconds = encodings.facts.seconds + time.perf_counter() - started
        return DistilledFacts(
            backend="torch",
            epochs=[],
            seconds=round(seconds, 3),
            words_per_second=round(len(vectors) / seconds),
            rows=len(vectors),
            dimension=config.dimension,
        )

    return complete_stage(workspace, distilled_stage(vocabulary, encodings, config), build)


@pipeline_task("fuse vectors")
def fuse_vectors(
    training: Manifest[ModelFacts],
    vocabulary: Manifest[VocabularyFacts],
    encodings: Manifest[EncodingFacts],
    config: TrainedConfig,
    workspace: Workspace,
) -> Manifest[ModelFacts]:
    """Join trained vectors with the encoded words, and list the words whose neighbours differ most between the two.

    The trained matrices are kept, so that a later training can start from them.
    Raises TrainingError if the joined vectors are shorter than training.fused_dimension.
    """
    longest = training.facts.dimension + encodings.facts.dimension
    if config.fused_dimension > longest:
        raise TrainingError(
            f"training.fused_dimension is {config.fused_dimension}, and the joined vectors have {longest} numbers; "
            "lower it to at most that"
        )

    def build(folder: Path) -> ModelFacts:
        encoded = read_encodings(encodings.path)
        trained = read_vectors(training.path, config.joined_matrix)
        vectors = fuse(trained, encoded, config.fused_dimension)
        _check_rows(vectors, vocabulary, encodings.facts)
        centers, contexts = read_matrices(training.path)
        write_vectors(folder, centers, contexts, read_optimizer(training.path) | {FUSED: vectors})
        words = read_vocabulary(vocabulary.path).words
        agreement = compare_neighbors(
            words, trained, words, encoded - encoded.mean(axis=0), NEIGHBORS, COMPARED_WORDS, fold=False,
            shown=SHOWN_WORDS,
        )  # fmt: skip
        digest = f"{encodings.inputs['encoder']};neighbors={NEIGHBORS};words={COMPARED_WORDS}"
        rows = agreement_rows(ENCODER_OVERLAP, ENCODER_RANK_OVERLAP, agreement, digest)
        # Those that agree least mean something else in this corpus, which is what one trains for.
        write_evaluation(folder, rows, word_rows(encodings.facts.name, agreement.least))
        logger.info("words unlike %s: %s", encodings.facts.name, ", ".join(word.word for word in agreement.least[:10]))
        measured: dict[str, Any] = {"metrics": total_metrics(rows), "digests": total_digests(rows)}
        return FusionFacts(**training.facts.model_dump() | measured | {"dimension": config.fused_dimension})

    return complete_stage(workspace, fusion_stage(training, vocabulary, encodings, config), build)


def _check_rows(vectors: NDArray[np.float32], vocabulary: Manifest[VocabularyFacts], encoder: EncodingFacts) -> None:
    """Raise TrainingError for a word without a direction, which no cosine can compare."""
    zero = np.flatnonzero(~vectors.any(axis=1))
    if len(zero):
        word = read_vocabulary(vocabulary.path).words[zero[0]]
        raise TrainingError(
            f"{encoder.name} computes the same vector for {word!r} as for the average word ({len(zero):,} such words), "
            "so it has no direction after centring; use another encoder or a larger vocabulary"
        )
