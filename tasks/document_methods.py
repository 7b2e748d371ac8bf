"""Vectors of documents that are more than means of word vectors: Doc2Vec, and a text encoder."""

import logging
from collections.abc import Iterator
from itertools import chain, groupby, islice
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from storage.corpus.segments import read_index
from storage.corpus.tokens import read_tokens
from storage.errors import EncoderError, TrainingError
from storage.models.encoded_words import EncodingWriter
from storage.vectors.encoders import Encoder
from tasks.documents import whole_documents
from tasks.documents_config import DocumentsConfig
from tasks.encoded_words import loaded_encoder
from tasks.progress import progress_listener
from tasks.trainers.documents import Doc2VecDocuments
from tasks.trainers.encoder import CHUNK_WORDS

logger = logging.getLogger(__name__)

# Document ids (N,), vectors (N, D) and tokens in the vocabulary (N,) of consecutive documents.
Batches: TypeAlias = Iterator[tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]]
BATCH_DOCUMENTS = 4096


class Doc2VecMethod:
    """Doc2Vec trained on the known words of tokenized documents, read again for every epoch."""

    def __init__(
        self, tokens: Path, words: list[str], config: DocumentsConfig, subsample_threshold: float, workers: int
    ) -> None:
        self._tokens, self._words, self._config = tokens, frozenset(words), config
        self._threshold, self._workers = subsample_threshold, workers

    def batches(self) -> Batches:
        """Train, then yield every document. Raises TrainingError if no document has a known word."""
        known = np.fromiter(map(len, self._documents()), np.int64)
        config, candidates = self._config, np.flatnonzero(known)
        if not len(candidates):
            raise TrainingError("no document has a word of the vocabulary; lower vocabulary.min_count or add text")
        number = min(config.trained_documents, len(candidates))
        trained = np.zeros(len(known), bool)
        trained[candidates[np.arange(number) * len(candidates) // number]] = True
        logger.info("Doc2Vec trains on %s of %s documents", f"{number:,}", f"{len(known):,}")
        model = Doc2VecDocuments(
            self._documents, trained, memory=config.architecture == "dm", dimension=config.dimension,
            epochs=config.epochs, subsample_threshold=self._threshold, seed=config.seed, workers=self._workers,
        )  # fmt: skip
        vectors = model.vectors()
        for first in range(0, len(known), BATCH_DOCUMENTS):
            ids = np.arange(first, min(first + BATCH_DOCUMENTS, len(known)))
            yield ids, np.stack(list(islice(vectors, len(ids)))), known[ids]

    def _documents(self) -> Iterator[list[str]]:
        """The known words of each document, also of those that have none."""
        rows = chain.from_iterable(
            zip(batch.document_ids.to_pylist(), batch.tokens.to_pylist(), strict=True)
            for batch in read_tokens(self._tokens)
        )
        following = 0
        for document, parts in groupby(rows, key=lambda row: row[0]):
            # Documents whose tokens were all dropped may have no row.
            yield from ([] for _ in range(following, document))
            yield [word for _, tokens in parts for word in tokens if word in self._words]
            following = document + 1
        yield from ([] for _ in range(following, sum(rows.documents for rows in read_index(self._tokens))))


def encoded_batches(
    folder: Path, corpus: Path, encoder: Encoder, known: NDArray[np.int64], workers: int
) -> tuple[int, Batches]:
    """Encode the text of every document, resuming after the last finished chunk. Returns the dimension, and batches.

    folder: where finished vectors are kept until all are there.  known: (N,) known words of each document.
    Raises EncoderError if the encoder cannot be loaded or its vectors are not finite.
    """
    model = loaded_encoder(encoder)
    writer = EncodingWriter(folder, len(known), model.dimension)
    listener = progress_listener()
    listener.started("encoding documents", len(known), "documents")
    texts = (text for _, text in whole_documents(corpus, range(len(read_index(corpus)))))
    try:
        for _ in islice(texts, writer.finished):
            pass
        while chunk := list(islice(texts, CHUNK_WORDS)):
            (vectors,) = model.encode(chunk, workers)
            if not np.isfinite(vectors).all():
                raise EncoderError(f"{encoder.folder} computes vectors that are not finite; use another encoder")
            writer.append(vectors)
            listener.advanced(writer.finished)
    finally:
        listener.finished()
    return model.dimension, _written(writer, known)


def _written(writer: EncodingWriter, known: NDArray[np.int64]) -> Batches:
    for first in range(0, len(known), BATCH_DOCUMENTS):
        ids = np.arange(first, min(first + BATCH_DOCUMENTS, len(known)))
        yield ids, writer.rows(first, first + len(ids)), known[ids]
    writer.remove()
