"""Compute the vectors of all documents of the corpus: the stage between the evaluation and the release."""

import logging
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from storage.corpus.documents import read_values
from storage.corpus.segments import read_index
from storage.corpus.tokens import read_tokens
from storage.corpus.vocabularies import read_vocabulary
from storage.layout import Workspace
from storage.models.comparisons import read_rotation
from storage.models.document_vectors import DocumentBatch, write_document_vectors
from storage.models.matrices import Matrix, read_vectors
from storage.releases.file import SIF_A, row_lengths
from storage.stages import Manifest, Stage, StageFacts, complete_stage
from tasks.comparison import ComparisonFacts
from tasks.corpus import CorpusFacts
from tasks.document_methods import Batches, Doc2VecMethod, encoded_batches
from tasks.documents_config import DocumentsConfig
from tasks.encoded_words import located_encoder
from tasks.metrics.alignment import rotate
from tasks.pipeline_task import pipeline_task
from tasks.progress import counted
from tasks.text.document_means import TokenRows, document_means
from tasks.text.vocabulary import token_ids
from tasks.tokens import TokensFacts
from tasks.trainers.backends import resolve_workers
from tasks.trainers.config import TrainerConfig
from tasks.training import ModelFacts
from tasks.vocabulary import VocabularyFacts

logger = logging.getLogger(__name__)

STAGE_VERSION = 1
ENCODER_SETTING = "documents.encoder"


class DocumentFacts(StageFacts):
    """Document vectors. without_words: documents without a word of the vocabulary, which have no vector."""

    label: ClassVar[str] = "documents"
    unit: ClassVar[str] = "documents"

    documents: int
    without_words: int

    @property
    def row_count(self) -> int:
        """Documents."""
        return self.documents


AnyTokens = Stage[TokensFacts] | Manifest[TokensFacts]
AnyVocabulary = Stage[VocabularyFacts] | Manifest[VocabularyFacts]


def check_document_encoder(config: DocumentsConfig) -> None:
    """Raise EncoderError if the encoder of the documents is missing or cannot run here, before any stage starts."""
    if config.enabled and config.method == "encoder":
        located_encoder(config.encoder, ENCODER_SETTING)


def documents_stage(
    tokens: AnyTokens,
    vocabulary: AnyVocabulary,
    model: Stage[ModelFacts] | Manifest[ModelFacts],
    config: DocumentsConfig,
    training: TrainerConfig,
    matrix: Matrix,
    comparison: Stage[ComparisonFacts] | Manifest[ComparisonFacts] | None = None,
) -> Stage[DocumentFacts]:
    """The stage for these documents. comparison: its rotation applies to the published vectors of words.

    Only `sif` depends on the vectors of words. Raises EncoderError without the encoder that the settings ask for.
    """
    inputs = {"tokens": tokens.digest, "vocabulary": vocabulary.digest}
    match config.method:
        case "sif":
            inputs["model"] = model.digest
            if comparison:
                inputs["comparison"] = comparison.digest
            # The name of the first releases with documents, whose stages stay valid.
            settings: dict[str, object] = {"method": "mean", "matrix": matrix, "sif_a": SIF_A}
        case "doc2vec":
            settings = config.model_dump(exclude={"enabled", "encoder"}) | {"workers": resolve_workers(training)}
        case "encoder":
            inputs["encoder"] = located_encoder(config.encoder, ENCODER_SETTING).digest
            settings = {"method": "encoder"}
    return Stage("document_vectors", STAGE_VERSION, settings, inputs, DocumentFacts)


def document_method(stage: Manifest[DocumentFacts]) -> str:
    """The name of the method, as in the settings."""
    method: str = stage.config["method"]
    return "sif" if method == "mean" else method


@pipeline_task("compute document vectors")
def compute_document_vectors(
    corpus: Manifest[CorpusFacts],
    tokens: Manifest[TokensFacts],
    vocabulary: Manifest[VocabularyFacts],
    model: Manifest[ModelFacts],
    config: DocumentsConfig,
    training: TrainerConfig,
    workspace: Workspace,
    matrix: Matrix = "center",
    comparison: Manifest[ComparisonFacts] | None = None,
) -> Manifest[DocumentFacts]:
    """The vector of every document, and the values of the columns that the corpus keeps.

    A document is what the tokens call one: with `tokenizer.sentences` a sentence, and none that was left out.
    The encoder resumes after the last finished chunk; the other methods start again.
    """
    columns = corpus.config.get("keep_columns", [])

    def build(folder: Path) -> DocumentFacts:
        words = read_vocabulary(vocabulary).words
        match config.method:
            case "sif":
                dimension, batches = _means(tokens, vocabulary, model, matrix, comparison)
            case "doc2vec":
                threshold = vocabulary.config["subsample_threshold"]
                method = Doc2VecMethod(tokens.path, words, config, threshold, resolve_workers(training))
                dimension, batches = config.dimension, method.batches()
            case "encoder":
                encoder = located_encoder(config.encoder, ENCODER_SETTING)
                known = known_words(tokens.path, words)
                dimension, batches = encoded_batches(folder, corpus.path, encoder, known, resolve_workers(training))
        names = [rows.name for rows in read_index(tokens.path)]
        firsts = np.cumsum([0, *(rows.documents for rows in read_index(tokens.path))])
        values = read_values(corpus.path) if columns else None
        documents = without_words = 0

        def named() -> Iterator[DocumentBatch]:
            nonlocal documents, without_words
            for ids, vectors, known in batches:
                files = np.searchsorted(firsts, ids, side="right") - 1
                documents += len(ids)
                without_words += int((known == 0).sum())
                kept = list(zip(*islice(values, len(ids)), strict=True)) if values else []
                yield DocumentBatch(ids, [names[file] for file in files.tolist()], vectors, known, kept)

        write_document_vectors(folder, dimension, named(), columns)
        return DocumentFacts(documents=documents, without_words=without_words)

    stage = documents_stage(tokens, vocabulary, model, config, training, matrix, comparison)
    manifest = complete_stage(workspace, stage, build, resumable=config.method == "encoder")
    facts = manifest.facts
    logger.info("%s documents, %s without a known word", f"{facts.documents:,}", f"{facts.without_words:,}")
    return manifest


def known_words(tokens: Path, words: list[str]) -> NDArray[np.int64]:
    """(N,) tokens in the vocabulary of each document."""
    known = np.zeros(sum(rows.documents for rows in read_index(tokens)), np.int64)
    for rows in _token_rows(tokens, words):
        np.add.at(known, rows.documents, np.diff(rows.offsets))
    return known


def _means(
    tokens: Manifest[TokensFacts],
    vocabulary: Manifest[VocabularyFacts],
    model: Manifest[ModelFacts],
    matrix: Matrix,
    comparison: Manifest[ComparisonFacts] | None,
) -> tuple[int, Batches]:
    """The mean of every document's word vectors as they are published, in one pass over the tokens."""
    words = read_vocabulary(vocabulary)
    vectors = read_vectors(model.path, matrix)
    rotation = read_rotation(comparison.path) if comparison else None
    vectors = vectors if rotation is None else rotate(vectors, rotation)
    unit = (vectors / row_lengths(vectors, words.words)[:, None]).astype(np.float32)
    weights = (SIF_A / (SIF_A + words.counts / words.counts.sum())).astype(np.float32)
    rows = _token_rows(tokens.path, words.words)
    shown = counted(rows, _token_count, "averaging documents", tokens.facts.tokens, "tokens")
    means = document_means(shown, unit, weights)
    return unit.shape[1], ((found.ids, found.vectors, found.known_words) for found in means)


def _token_rows(folder: Path, words: list[str]) -> Iterator[TokenRows]:
    # Deferred: Numba takes half a second to import, and most commands look nothing up.
    from tasks.text.looking_up import WordLookup

    known = WordLookup(words)
    for batch in read_tokens(folder):
        ids, offsets = token_ids(batch.tokens, known)
        yield TokenRows(batch.document_ids.to_numpy(), ids, offsets)


def _token_count(rows: TokenRows) -> int:
    return len(rows.token_ids)
