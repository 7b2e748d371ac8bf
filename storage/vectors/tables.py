"""Word vectors as Parquet: one row per word, its vector as a list of numbers."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from storage.files.large_arrays import RowBuffer, row_blocks
from storage.vectors.formats import WordVectors, unknown_counts

logger = logging.getLogger(__name__)

WORD_COLUMNS = ("word", "words", "token", "text")
VECTOR_COLUMNS = ("vector", "vectors", "embedding", "embeddings")
COUNT_COLUMN = "count"
BLOCK_NUMBERS = 1 << 22
# Rows read at once, 20 MB at 300 dimensions.
BATCH_ROWS = 1 << 14
READ_BUFFER_BYTES = 1 << 20
# The columns of a published table; vectors are plain lists, because many readers don't support fixed-size lists.
SCHEMA = pa.schema(
    [
        pa.field("rank", pa.int32(), nullable=False),
        pa.field("word", pa.string(), nullable=False),
        pa.field("count", pa.int64(), nullable=False),
        pa.field("vector", pa.list_(pa.field("element", pa.float32(), nullable=False)), nullable=False),
    ]
)


def read_parquet(path: Path) -> WordVectors:
    """Read a file with a word column and a vector column, identified by type and, if ambiguous, by name.

    Raises ValueError if there are no such columns, or the vectors differ in length.
    """
    # With default buffer sizes the reader would end up with the whole file in memory.
    with pq.ParquetFile(path, pre_buffer=False, buffer_size=READ_BUFFER_BYTES) as file:
        schema = file.schema_arrow
        word = _column(schema, WORD_COLUMNS, _is_text, "words")
        vector = _column(schema, VECTOR_COLUMNS, _is_vector, "vectors")
        has_counts = schema.names.count(COUNT_COLUMN) == 1 and _is_number(schema.field(COUNT_COLUMN).type)
        if COUNT_COLUMN in schema.names and not has_counts:
            logger.warning("%s: ignoring the column %r: it is not numeric, or appears twice", path, COUNT_COLUMN)
        words: list[str | None] = []
        counts: list[NDArray[np.int64]] = []
        dimension, vectors = 0, RowBuffer(0)
        for batch in file.iter_batches(BATCH_ROWS, columns=[word, vector, *([COUNT_COLUMN] if has_counts else [])]):
            numbers = batch.column(vector)
            if not words:
                dimension = int(_lengths(numbers)[0])
                vectors = RowBuffer(dimension)
            vectors.append(_matrix(numbers, vector, dimension, len(words)))
            words += batch.column(word).cast(pa.string()).to_pylist()
            counts.append(_counts(batch.column(COUNT_COLUMN)) if has_counts else unknown_counts(batch.num_rows))
    if missing := words.count(None):
        raise ValueError(f"column {word!r} has {missing} rows without a word")
    known = cast("list[str]", words)
    return WordVectors(known, vectors.finish(), np.concatenate([*counts, unknown_counts(0)]))


def write_parquet(
    path: Path,
    words: Sequence[str],
    counts: NDArray[np.int64],
    vectors: NDArray[np.float32],
    facts: Mapping[str, str],
) -> None:
    """Write rank, word, count and vector, as in the published table. facts: metadata of the schema."""
    blocks = (
        ranked_rows(start, words[start : start + len(block)], counts[start : start + len(block)], block)
        for start, block in row_blocks(vectors, max(1, BLOCK_NUMBERS // vectors.shape[1]))
    )
    write_row_groups(path, blocks, facts)


def write_row_groups(path: Path, blocks: Iterable[pa.Table], facts: Mapping[str, str] | None = None) -> None:
    """Write blocks of `ranked_rows`, each as a row group. facts: metadata of the schema."""
    schema = SCHEMA.with_metadata(dict(facts)) if facts else SCHEMA
    # Bytes at the same position in a float resemble each other more than neighbouring bytes: 8 % less with zstd.
    with pq.ParquetWriter(
        path, schema, compression="zstd", use_dictionary=False, use_byte_stream_split=["vector.list.element"]
    ) as writer:
        for block in blocks:
            writer.write_table(block.cast(schema))


def ranked_schema(dimension: int) -> pa.Schema:
    """The schema of `ranked_rows`, whose vectors have a fixed length."""
    return SCHEMA.set(3, pa.field("vector", pa.list_(pa.float32(), dimension), nullable=False))


def ranked_rows(start: int, words: Sequence[str], counts: NDArray[np.int64], vectors: NDArray[np.float32]) -> pa.Table:
    """Rank, word, count and (N, D) vector of N words as an Arrow table. start: words ranked before them."""
    dimension = vectors.shape[1]
    return pa.table(
        [
            pa.array(np.arange(start + 1, start + 1 + len(words), dtype=np.int32)),
            pa.array(words, pa.string()),
            pa.array(np.asarray(counts, dtype=np.int64)),
            pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), dimension),
        ],
        schema=ranked_schema(dimension),
    )


def _counts(column: pa.Array) -> NDArray[np.int64]:
    """Numbers of any type as int64, 0 for NULL. Raises ValueError for fractions and negative numbers."""
    try:
        counts: NDArray[np.int64] = column.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    except pa.ArrowInvalid as error:
        raise ValueError(f"column {COUNT_COLUMN!r} contains numbers that are not counts: {error}") from error
    if len(counts) and counts.min() < 0:
        raise ValueError(f"column {COUNT_COLUMN!r} contains numbers that are not counts: {counts.min()}")
    return counts


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _column(schema: pa.Schema, names: Sequence[str], fits: Callable[[pa.DataType], bool], what: str) -> str:
    """The column of the right type with one of these names, else the only column of that type."""
    fitting = [field.name for field in schema if fits(field.type)]
    named = [name for name in names if name in fitting]
    if not named and len(fitting) != 1:
        raise ValueError(
            f"its columns are {', '.join(schema.names)}, and {len(fitting)} of them could be the {what}; "
            f"rename one of them to {names[0]!r}"
        )
    chosen = named[0] if named else str(fitting[0])
    if schema.names.count(chosen) > 1:
        raise ValueError(f"{schema.names.count(chosen)} columns are named {chosen!r}; rename all but one")
    return chosen


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_vector(kind: pa.DataType) -> bool:
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(is_list(kind) for is_list in lists) and bool(pa.types.is_floating(kind.value_type))


def _lengths(lists: pa.Array) -> NDArray[np.int64]:
    lengths: NDArray[np.int64] = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    return lengths


def _matrix(lists: pa.Array, name: str, dimension: int, rows_before: int) -> NDArray[np.float32]:
    """R lists of equal length as (R, dimension) float32."""
    lengths = _lengths(lists)
    wrong = np.flatnonzero(lengths != dimension)
    if len(wrong):
        row = int(wrong[0])
        raise ValueError(
            f"row {rows_before + row + 1} of column {name!r} has {lengths[row]} numbers, the first row {dimension}"
        )
    numbers: NDArray[np.float32] = lists.flatten().cast(pa.float32()).to_numpy(zero_copy_only=False)
    return numbers.reshape(len(lengths), dimension)
