"""The tokens of a corpus as Parquet shards that DuckDB reads as they are."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from storage.shards import ShardWriter, read_row_groups

NAME = "tokens"
SCHEMA = pa.schema(
    [
        pa.field("document_id", pa.int64(), nullable=False),  # as in the corpus
        pa.field("part", pa.int32(), nullable=False),  # parts of a document in order are one sentence
        pa.field("tokens", pa.list_(pa.string()), nullable=False),
    ]
)


@dataclass(frozen=True)
class TokenBatch:
    """Rows of the token table: document_id and part (R,) integers, tokens (R,) lists of strings."""

    document_ids: pa.Array
    parts: pa.Array
    tokens: pa.Array


def write_tokens(folder: Path, batches: Iterable[TokenBatch]) -> int:
    """Write every batch as one row group; returns the number of tokens."""
    count = 0
    with ShardWriter(folder, NAME, SCHEMA, compression="zstd") as shards:
        for batch in batches:
            shards.write([batch.document_ids, batch.parts, batch.tokens])
            count += len(batch.tokens.flatten())
    return count


def read_tokens(folder: Path) -> Iterator[TokenBatch]:
    """The batches as they were written, with the tokens dictionary-encoded: quick to count and to look up."""
    for table in read_row_groups(folder, NAME, SCHEMA, read_dictionary=["tokens.list.element"]):
        for batch in table.to_batches():
            yield TokenBatch(batch["document_id"], batch["part"], batch["tokens"])
