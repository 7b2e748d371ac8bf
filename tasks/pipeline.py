"""The pipeline from a corpus to an evaluated model, and the lineage that its stages build.

Stages run as Prefect tasks inside a flow run and as plain functions outside one, where a task would start a server.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from storage.layout import Workspace
from storage.memory import use_frugal_allocators
from storage.releases.records import Release
from storage.releases.start_vectors import find_start
from storage.stages import Manifest
from tasks.comparison import ComparisonFacts, compare_with_current
from tasks.compute_config import ComputeConfig
from tasks.cooccurrences import CooccurrenceFacts, count_cooccurrences, counted_files
from tasks.corpus import CorpusFacts, fetch_corpus
from tasks.document_vectors import DocumentFacts, compute_document_vectors
from tasks.encoded_words import EncodingFacts, encode_words, encoder_setting
from tasks.engine import LOCAL
from tasks.evaluation import EvaluationFacts, evaluate_vectors
from tasks.fusion import distil_vectors, fuse_vectors
from tasks.parameters import BuildParameters, ModelParameters
from tasks.tokens import TokensFacts, tokenize_corpus
from tasks.trainers.compiling import start_compiling
from tasks.trainers.config import CountingConfig, DistilledConfig
from tasks.training import ModelFacts, start_spec, train_vectors
from tasks.vocabulary import EncodedFacts, VocabularyFacts, build_vocabulary, encode_corpus


@dataclass(frozen=True)
class ModelLineage:
    """The manifests of the stages that produced a model, in the order they ran.

    cooccurrences: None for training that needs no counts.
    encodings: of the vocabulary by a text encoder; None without one.
    unfused: the trained model, if `training` holds its vectors joined with those of the encoder.
    """

    corpus: Manifest[CorpusFacts]
    tokens: Manifest[TokensFacts]
    vocabulary: Manifest[VocabularyFacts]
    encoded: Manifest[EncodedFacts]
    cooccurrences: Manifest[CooccurrenceFacts] | None
    encodings: Manifest[EncodingFacts] | None
    unfused: Manifest[ModelFacts] | None
    training: Manifest[ModelFacts]

    @property
    def stages(self) -> list[Manifest[Any]]:
        """The manifests of the stages that ran."""
        manifests = (getattr(self, field.name) for field in fields(self))
        return [manifest for manifest in manifests if manifest is not None]


@dataclass(frozen=True)
class Lineage(ModelLineage):
    """The manifests of the stages that produced a model and its scores.

    comparison: with the current release, None if there was nothing to compare with.
    documents: None unless their vectors are published.
    """

    evaluation: Manifest[EvaluationFacts]
    comparison: Manifest[ComparisonFacts] | None = None
    documents: Manifest[DocumentFacts] | None = None


class NothingToTrainError(Exception):
    """The files to train on contain no word of the vocabulary. corpus: manifest of the fetched corpus."""

    def __init__(self, corpus: Manifest[CorpusFacts], files: int) -> None:
        super().__init__(f"no word of the vocabulary in the {files} new files")
        self.corpus = corpus


def build_model(
    parameters: ModelParameters,
    workspace: Workspace,
    current: Release | None = None,
    only: Sequence[str] | None = None,
    compute: ComputeConfig = LOCAL,
) -> ModelLineage:
    """Run the stages from the corpus to the trained model, or reuse those that are complete.

    current: the table's current release, which the training may start from.
    only: names of the source files to train on, None for all; the vocabulary always covers all files.
    compute: where the stages that read the text run; the model does not depend on it.
    Raises NothingToTrainError if these files contain no word of the vocabulary, and what the stages raise.
    """
    use_frugal_allocators()
    start_compiling(parameters.training)
    corpus = fetch_corpus(parameters.corpus, workspace)
    tokens = tokenize_corpus(corpus, parameters.tokenizer, workspace, compute)
    vocabulary = build_vocabulary(tokens, parameters.vocabulary, workspace)
    held_out = parameters.held_out_sequences(corpus.config["format"])
    encoded = encode_corpus(tokens, vocabulary, workspace, only, held_out, compute)
    if not encoded.facts.tokens:
        raise NothingToTrainError(corpus, len(only or ()))
    start = find_start(start_spec(parameters.corpus, parameters.training), current, workspace)
    cooccurrences, counted = None, encoded
    if isinstance(parameters.training, CountingConfig) and parameters.training.counted_radius:
        files = counted_files(parameters.training, only)
        if files != only:
            counted = encode_corpus(tokens, vocabulary, workspace, files, held_out, compute)
        cooccurrences = count_cooccurrences(counted, vocabulary, parameters.training, workspace, compute)
    encodings = None
    if encoder_setting(parameters.training):
        encodings = encode_words(vocabulary, parameters.training, workspace)
    unfused = None
    if isinstance(parameters.training, DistilledConfig):
        assert encodings is not None
        training = distil_vectors(vocabulary, encodings, parameters.training, workspace)
    else:
        training = train_vectors(encoded, vocabulary, parameters.training, workspace, start, cooccurrences, counted)
        if encodings:
            unfused = training
            training = fuse_vectors(training, vocabulary, encodings, parameters.training, workspace)
    return ModelLineage(corpus, tokens, vocabulary, encoded, cooccurrences, encodings, unfused, training)


def evaluate_model(
    model: ModelLineage, parameters: BuildParameters, workspace: Workspace, current: Release | None = None
) -> Lineage:
    """Score a model, and compare it with the current release of its table if there is one."""
    evaluation, publication = parameters.evaluation, parameters.publication
    matrix = publication.published_matrix
    held_out = model.encoded if parameters.held_out_sequences(model.corpus.config["format"]) else None
    scores = evaluate_vectors(model.training, model.vocabulary, evaluation, workspace, matrix, held_out)
    changes = compare_with_current(model.training, model.vocabulary, evaluation, publication, current, workspace)
    return Lineage(**vars(model), evaluation=scores, comparison=changes)


def add_documents(lineage: Lineage, parameters: BuildParameters, workspace: Workspace) -> Lineage:
    """Compute the vectors of the documents, if the settings ask for them."""
    config, publication = parameters.documents, parameters.publication
    if not config.enabled:
        return lineage
    turned = lineage.comparison if publication.align != "none" else None
    documents = compute_document_vectors(
        lineage.corpus, lineage.tokens, lineage.vocabulary, lineage.training, config,
        parameters.training, workspace, publication.published_matrix, turned,
    )  # fmt: skip
    return replace(lineage, documents=documents)
