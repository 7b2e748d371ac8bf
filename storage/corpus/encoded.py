"""The corpus as token ids, in chunks, for training."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from storage.corpus.chunks import ChunkReader
from storage.corpus.shards import ShardWriter

NAME = "encoded"
SCHEMA = pa.schema(
    [
        pa.field("document_id", pa.int64(), nullable=False),  # as in the corpus
        pa.field("part", pa.int32(), nullable=False),  # as in the corpus; a long part may continue in the next row
        # Rows of the vocabulary. Unknown words are dropped, and so are rows without known words.
        pa.field("token_ids", pa.list_(pa.int32()), nullable=False),
    ]
)
# Plain integers, 4 bytes per token: every epoch reads them, and decompression would slow training.
PARQUET_OPTIONS: Mapping[str, Any] = {
    "compression": "none",
    "use_dictionary": False,
    "write_statistics": ["document_id", "part"],
}
# One row group: large enough that workers don't wait for input, small enough to hold a few per worker and for all
# workers to finish an epoch at nearly the same time.
CHUNK_TOKENS = 1 << 17


@dataclass(frozen=True)
class EncodedRows:
    """Rows of the encoded corpus.

    document_ids, parts: (R,) integers.  token_ids: (N,) int32.  offsets: (R + 1,) int64, row r is
    token_ids[offsets[r]:offsets[r + 1]].
    """

    document_ids: NDArray[np.int64]
    parts: NDArray[np.int32]
    token_ids: NDArray[np.int32]
    offsets: NDArray[np.int64]


@dataclass(frozen=True)
class EncodedChunk:
    """Consecutive tokens of the corpus; each document is a sentence, split only at the end of a chunk.

    token_ids: (N,) int32.  sentence_offsets: (S + 1,) int64, sentence s is
    token_ids[sentence_offsets[s]:sentence_offsets[s + 1]].  start: tokens of the corpus before this chunk.
    """

    token_ids: NDArray[np.int32]
    sentence_offsets: NDArray[np.int64]
    start: int


class EncodedCorpus(ChunkReader[EncodedChunk]):
    """The encoded corpus in a folder. Raises WorkspaceError if the folder has none."""

    def __init__(self, folder: Path) -> None:
        token_ids = SCHEMA.names.index("token_ids")
        # Every row has at least one token, so values in the column are tokens (an empty list would count as one).
        super().__init__(
            folder,
            NAME,
            SCHEMA,
            ["document_id", "token_ids"],
            lambda group: int(group.column(token_ids).num_values),
            _as_chunk,
        )


def write_encoded(folder: Path, batches: Iterable[EncodedRows], chunk_tokens: int = CHUNK_TOKENS) -> int:
    """Write rows in row groups of at most `chunk_tokens` tokens. Returns the number of tokens.

    A row longer than a chunk becomes several rows with the same document_id and part.
    """
    count = 0
    with ShardWriter(folder, NAME, SCHEMA, **PARQUET_OPTIONS) as shards:
        waiting: EncodedRows | None = None
        for batch in batches:
            rows = _without_empty(batch)
            count += len(rows.token_ids)
            waiting = _joined(waiting, rows) if waiting else rows
            while len(waiting.token_ids) > chunk_tokens:
                chunk, waiting = _cut(waiting, chunk_tokens)
                shards.write(_columns(chunk))
        if waiting and len(waiting.token_ids):
            shards.write(_columns(waiting))
    return count


def _without_empty(rows: EncodedRows) -> EncodedRows:
    full = np.flatnonzero(np.diff(rows.offsets))
    # Keep the start of each non-empty row; empty rows in between start and end there too.
    offsets = np.append(rows.offsets[full], rows.offsets[-1])
    return EncodedRows(rows.document_ids[full], rows.parts[full], rows.token_ids, offsets)


def _joined(first: EncodedRows, second: EncodedRows) -> EncodedRows:
    return EncodedRows(
        np.concatenate([first.document_ids, second.document_ids]),
        np.concatenate([first.parts, second.parts]),
        np.concatenate([first.token_ids, second.token_ids]),
        np.concatenate([first.offsets, second.offsets[1:] + first.offsets[-1]]),
    )


def _cut(rows: EncodedRows, tokens: int) -> tuple[EncodedRows, EncodedRows]:
    """The whole rows within the first `tokens` tokens, or else that much of the first row; and the rest."""
    whole = int(np.searchsorted(rows.offsets, tokens, side="right")) - 1
    end = int(rows.offsets[whole]) if whole else tokens
    head = EncodedRows(
        rows.document_ids[: whole or 1],
        rows.parts[: whole or 1],
        rows.token_ids[:end],
        np.append(rows.offsets[: whole or 1], end),
    )
    rest = EncodedRows(
        rows.document_ids[whole:],
        rows.parts[whole:],
        rows.token_ids[end:],
        np.maximum(rows.offsets[whole:] - end, 0),
    )
    return head, rest


def _columns(rows: EncodedRows) -> list[pa.Array]:
    lists = pa.ListArray.from_arrays(pa.array(rows.offsets, pa.int32()), pa.array(rows.token_ids, pa.int32()))
    return [pa.array(rows.document_ids, pa.int64()), pa.array(rows.parts, pa.int32()), lists]


def _as_chunk(rows: pa.Table, start: int) -> EncodedChunk:
    """A row group as a chunk: the rows of each document become one sentence."""
    lists = rows["token_ids"].combine_chunks()
    document_ids = rows["document_id"].to_numpy()
    ends = np.cumsum(lists.value_lengths().to_numpy(), dtype=np.int64)
    last_rows = np.append(np.flatnonzero(np.diff(document_ids)), len(document_ids) - 1)
    return EncodedChunk(
        # A copy: Arrow's arrays are read-only, and Numba would compile a second kernel for those.
        token_ids=np.array(lists.flatten().to_numpy()),
        sentence_offsets=np.concatenate([np.zeros(1, np.int64), ends[last_rows]]),
        start=start,
    )
