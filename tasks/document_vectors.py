"""Compute the vectors of all documents of the corpus: the stage between the evaluation and the release."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
from prefect import task
from prefect.cache_policies import NO_CACHE

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
from tasks.documents_config import DocumentsConfig
from tasks.metrics.alignment import rotate
from tasks.text.document_means import TokenRows, document_means
from tasks.text.vocabulary import token_ids
from tasks.tokens import TokensFacts
from tasks.training import ModelFacts
from tasks.vocabulary import VocabularyFacts

logger = logging.getLogger(__name__)

STAGE_VERSION = 1


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


def documents_stage(
    tokens: Stage[TokensFacts] | Manifest[TokensFacts],
    vocabulary: Stage[VocabularyFacts] | Manifest[VocabularyFacts],
    model: Stage[ModelFacts] | Manifest[ModelFacts],
    config: DocumentsConfig,
    matrix: Matrix,
    comparison: Stage[ComparisonFacts] | Manifest[ComparisonFacts] | None = None,
) -> Stage[DocumentFacts]:
    """The stage for these documents and vectors. comparison: its rotation applies to the published vectors."""
    inputs = {"tokens": tokens.digest, "vocabulary": vocabulary.digest, "model": model.digest}
    if comparison:
        inputs["comparison"] = comparison.digest
    settings = {"method": config.method, "matrix": matrix, "sif_a": SIF_A}
    return Stage("document_vectors", STAGE_VERSION, settings, inputs, DocumentFacts)


@task(name="compute document vectors", cache_policy=NO_CACHE)
def compute_document_vectors(
    tokens: Manifest[TokensFacts],
    vocabulary: Manifest[VocabularyFacts],
    model: Manifest[ModelFacts],
    config: DocumentsConfig,
    workspace: Workspace,
    matrix: Matrix = "center",
    comparison: Manifest[ComparisonFacts] | None = None,
) -> Manifest[DocumentFacts]:
    """The mean of every document's word vectors as they are published, in one pass over the tokens.

    A document is what the tokens call one: with `tokenizer.sentences` a sentence, and none that was left out.
    """

    def build(folder: Path) -> DocumentFacts:
        words = read_vocabulary(vocabulary)
        vectors = read_vectors(model.path, matrix)
        rotation = read_rotation(comparison.path) if comparison else None
        vectors = vectors if rotation is None else rotate(vectors, rotation)
        unit = (vectors / row_lengths(vectors, words.words)[:, None]).astype(np.float32)
        weights = (SIF_A / (SIF_A + words.counts / words.counts.sum())).astype(np.float32)
        index = read_index(tokens.path)
        firsts = np.cumsum([0, *(rows.documents for rows in index)])
        documents = without_words = 0

        def batches() -> Iterator[DocumentBatch]:
            nonlocal documents, without_words
            for means in document_means(_token_rows(tokens.path, words.words), unit, weights):
                files = np.searchsorted(firsts, means.ids, side="right") - 1
                documents += len(means.ids)
                without_words += int((means.known_words == 0).sum())
                yield means.ids, [index[file].name for file in files.tolist()], means.vectors, means.known_words

        write_document_vectors(folder, unit.shape[1], batches())
        return DocumentFacts(documents=documents, without_words=without_words)

    stage = documents_stage(tokens, vocabulary, model, config, matrix, comparison)
    manifest = complete_stage(workspace, stage, build)
    facts = manifest.facts
    logger.info("%s documents, %s without a known word", f"{facts.documents:,}", f"{facts.without_words:,}")
    return manifest


def _token_rows(folder: Path, words: list[str]) -> Iterator[TokenRows]:
    # Deferred: Numba takes half a second to import, and most commands look nothing up.
    from tasks.text.looking_up import WordLookup

    known = WordLookup(words)
    for batch in read_tokens(folder):
        ids, offsets = token_ids(batch.tokens, known)
        yield TokenRows(batch.document_ids.to_numpy(), ids, offsets)
