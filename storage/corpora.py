"""The corpus as it was fetched: one row for each document, long ones in several parts."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from storage.shards import ShardWriter, read_row_groups
from storage.source_formats import Piece

NAME = "documents"
SCHEMA = pa.schema(
    [
        pa.field("document_id", pa.int64(), nullable=False),  # 0, 1, … in the order of the source
        pa.field("part", pa.int32(), nullable=False),  # 0, 1, … within a document; cut at whitespace, in order
        pa.field("text", pa.string(), nullable=False),
    ]
)
# A row group is what one worker tokenizes at a time.
GROUP_LETTERS = 4 << 20
GROUP_ROWS = 1 << 17


@dataclass(frozen=True)
class CorpusSize:
    """Documents, and bytes of their text in UTF-8."""

    documents: int
    text_bytes: int


def write_documents(folder: Path, pieces: Iterable[Piece]) -> CorpusSize:
    """Write the documents that hold anything but whitespace. Memory is bounded by the largest piece."""
    document_id = part = letters = text_bytes = 0
    ids: list[int] = []
    parts: list[int] = []
    texts: list[str] = []
    with ShardWriter(folder, NAME, SCHEMA, compression="zstd", use_dictionary=False) as shards:

        def flush() -> int:
            text = pa.array(texts, pa.string())
            shards.write([pa.array(ids, pa.int64()), pa.array(parts, pa.int32()), text])
            for column in (ids, parts, texts):
                column.clear()
            return int(pc.sum(pc.binary_length(text)).as_py())

        for text, ends_document in pieces:
            if text and not text.isspace():
                ids.append(document_id)
                parts.append(part)
                texts.append(text)
                part += 1
                letters += len(text)
            if ends_document and part:
                document_id += 1
                part = 0
            if letters >= GROUP_LETTERS or len(texts) >= GROUP_ROWS:
                text_bytes += flush()
                letters = 0
        if texts:
            text_bytes += flush()
    # The last document counts even if its last piece, being blank, did not end it.
    return CorpusSize(document_id + bool(part), text_bytes)


def read_documents(folder: Path) -> Iterator[pa.Table]:
    """Tables of a few MiB of text, with the columns of SCHEMA."""
    return read_row_groups(folder, NAME, SCHEMA)
