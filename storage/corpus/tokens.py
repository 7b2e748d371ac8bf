"""The tokens of a corpus as Parquet files that DuckDB can query, and token counts."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from storage.corpus.segments import RowTable, read_index, read_segments
from storage.files.parquet import check_schema, read_table, write_table

SCHEMA = pa.schema(
    [
        pa.field("document_id", pa.int64(), nullable=False),  # as in the documents
        pa.field("part", pa.int32(), nullable=False),  # consecutive parts of a document form one sentence
        pa.field("tokens", pa.list_(pa.string()), nullable=False),
    ]
)
# One file per segment, so that counts of a grown corpus are a sum.
COUNTS_SCHEMA = pa.schema(
    [
        pa.field("word", pa.string(), nullable=False),
        pa.field("count", pa.int64(), nullable=False),  # occurrences in the segment
    ]
)
# Roughly the tokens in the few MiB of text that are tokenized together.
GROUP_TOKENS = 1 << 19
# Counting and look-up process each distinct token of a row group once.
READ_DICTIONARY = ["tokens.list.element"]


def _token_counts(columns: Sequence[pa.Array]) -> NDArray[np.int64]:
    lengths: NDArray[np.int64] = columns[2].value_lengths().to_numpy()
    return lengths


# Parquet writes the dictionary and the ids of a dictionary-encoded column as they are, if the dictionary fits one page.
# Statistics of strings take as long as all the rest; nothing reads them.
WRITTEN = SCHEMA.set(2, SCHEMA.field(2).with_type(pa.list_(pa.dictionary(pa.int32(), pa.string()))))
PARQUET_OPTIONS = {
    "compression": "zstd",
    "store_schema": False,
    "dictionary_pagesize_limit": 1 << 28,
    "write_statistics": ["document_id", "part"],
}
TOKENS = RowTable("tokens", SCHEMA, _token_counts, GROUP_TOKENS, PARQUET_OPTIONS, WRITTEN)


def dictionary_encoded(lists: pa.Array) -> pa.Array:
    """Lists of tokens as they are written, which takes most of the time of counting and writing them."""
    return lists.cast(WRITTEN.field(2).type)


@dataclass(frozen=True)
class TokenBatch:
    """Rows of the token table: document_id and part (R,) integers, tokens (R,) lists of strings.

    document_id: 0, 1, … through the whole corpus.
    """

    document_ids: pa.Array
    parts: pa.Array
    tokens: pa.Array


def read_tokens(folder: Path, only: Collection[int] | None = None) -> Iterator[TokenBatch]:
    """The tokens of all source files, or of the file numbers in `only`, dictionary-encoded."""
    before = np.cumsum([0, *(rows.documents for rows in read_index(folder))])
    for files, (ids, parts, tokens) in read_segments(folder, TOKENS, only, read_dictionary=READ_DICTIONARY):
        yield TokenBatch(pa.array(ids.to_numpy() + before[files]), parts, tokens)


def write_counts(folder: Path, segment: str, words: pa.Array, counts: NDArray[np.int64]) -> None:
    """Write the counts of the distinct words of a segment. words, counts: (V,)."""
    table = pa.table([words, pa.array(counts, pa.int64())], schema=COUNTS_SCHEMA)
    write_table(table, counts_file(folder, segment))


def counts_files(folder: Path) -> list[Path]:
    """The files with word counts, one per segment. Raises WorkspaceError if one is missing or has other columns."""
    paths = [counts_file(folder, segment) for segment in sorted({rows.segment for rows in read_index(folder)})]
    for path in paths:
        check_schema(path, COUNTS_SCHEMA, "word counts")
    return paths


def read_counts(folder: Path) -> list[tuple[pa.Array, NDArray[np.int64]]]:
    """Words and their counts, segment by segment. Raises WorkspaceError as counts_files."""
    tables = [read_table(path, COUNTS_SCHEMA, "word counts") for path in counts_files(folder)]
    return [(table["word"].combine_chunks(), table["count"].to_numpy()) for table in tables]


def counts_file(folder: Path, segment: str) -> Path:
    """The file with the word counts of a segment."""
    return folder / f"counts-{segment}-00000.parquet"
