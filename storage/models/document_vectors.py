"""Vectors of the documents of a corpus, as Parquet files that DuckDB reads."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from storage.corpus.shards import ShardWriter

NAME = "document_vectors"


class DocumentBatch(NamedTuple):
    """Consecutive documents.

    ids, sources, vectors, known_words: (N,), (N,), (N, D) and (N,); 0 known words mean no vector.
    values: (N,) texts of each column that is carried along.
    """

    ids: NDArray[np.int64]
    sources: list[str]
    vectors: NDArray[np.float32]
    known_words: NDArray[np.int64]
    values: Sequence[Sequence[str | None]] = ()


def write_document_vectors(
    folder: Path, dimension: int, batches: Iterable[DocumentBatch], columns: Sequence[str] = ()
) -> None:
    """Write documents in order, a batch at a time. A document without a known word has a null vector.

    columns: names of those that are carried along, distinct from the others.
    """
    schema = _schema(dimension, columns)
    with ShardWriter(folder, NAME, schema, compression="none", use_dictionary=["source", *columns]) as shards:
        for ids, sources, vectors, known_words, values in batches:
            flat = pa.array(vectors.reshape(-1), pa.float32())
            column = pa.FixedSizeListArray.from_arrays(flat, dimension, mask=pa.array(known_words == 0))
            kept = [pa.array(texts, pa.string()) for texts in values]
            shards.write([pa.array(ids), pa.array(sources, pa.string()), column, pa.array(known_words), *kept])


def _schema(dimension: int, columns: Sequence[str]) -> pa.Schema:
    return pa.schema(
        [
            pa.field("document_id", pa.int64(), nullable=False),  # 0, 1, … through the corpus
            pa.field("source", pa.string(), nullable=False),  # name of the source file
            pa.field("vector", pa.list_(pa.float32(), dimension)),
            pa.field("known_words", pa.int64(), nullable=False),  # tokens in the vocabulary
            *(pa.field(column, pa.string()) for column in columns),  # values from the corpus
        ]
    )
