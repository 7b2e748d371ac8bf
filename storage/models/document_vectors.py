"""Vectors of the documents of a corpus, as Parquet files that DuckDB reads."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from storage.corpus.shards import ShardWriter

NAME = "document_vectors"
# Columns of a batch: ids (N,), sources (N,), vectors (N, D) and the number of known words (N,); 0 means no vector.
DocumentBatch = tuple[NDArray[np.int64], list[str], NDArray[np.float32], NDArray[np.int64]]


def write_document_vectors(folder: Path, dimension: int, batches: Iterable[DocumentBatch]) -> None:
    """Write documents in order, a batch at a time. A document without a known word has a null vector."""
    with ShardWriter(folder, NAME, _schema(dimension), compression="none", use_dictionary=["source"]) as shards:
        for ids, sources, vectors, known_words in batches:
            flat = pa.array(vectors.reshape(-1), pa.float32())
            column = pa.FixedSizeListArray.from_arrays(flat, dimension, mask=pa.array(known_words == 0))
            shards.write([pa.array(ids), pa.array(sources, pa.string()), column, pa.array(known_words)])


def _schema(dimension: int) -> pa.Schema:
    return pa.schema(
        [
            pa.field("document_id", pa.int64(), nullable=False),  # 0, 1, … through the corpus
            pa.field("source", pa.string(), nullable=False),  # name of the source file
            pa.field("vector", pa.list_(pa.float32(), dimension)),
            pa.field("known_words", pa.int64(), nullable=False),  # tokens in the vocabulary
        ]
    )
