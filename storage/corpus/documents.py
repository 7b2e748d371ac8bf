"""The corpus as fetched: one row per document; long documents have several parts."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from storage.corpus.segments import GROUP_ROWS, Batch, RowTable, read_segments
from storage.corpus.source_lines import Piece

SCHEMA = pa.schema(
    [
        pa.field("document_id", pa.int64(), nullable=False),  # 0, 1, … within a source file
        pa.field("part", pa.int32(), nullable=False),  # 0, 1, … within a document; cut at whitespace, in order
        pa.field("text", pa.string(), nullable=False),
    ]
)
# A worker tokenizes one row group at a time.
GROUP_BYTES = 4 << 20
# Whitespace, then a visible ASCII character.
STARTS_WITH_SIGN = re.compile(rb"\s*[!-~]")


def _text_bytes(columns: Sequence[pa.Array]) -> NDArray[np.int64]:
    lengths: NDArray[np.int64] = pc.binary_length(columns[2]).to_numpy()
    return lengths


DOCUMENTS = RowTable("documents", SCHEMA, _text_bytes, GROUP_BYTES, {"compression": "zstd", "use_dictionary": False})


def document_batches(pieces: Iterable[tuple[int, Piece]]) -> Iterator[Batch]:
    """Rows of all documents that contain more than whitespace, numbered from 0 in each source file.

    pieces: each with its file number.  Memory is bounded by the largest piece.
    """
    rows: list[tuple[int, int, int, bytes]] = []
    current = document_id = part = size = 0
    for file, (text, ends_document) in pieces:
        if file != current:
            current, document_id, part = file, 0, 0
        if STARTS_WITH_SIGN.match(text) or not _is_blank(text):
            rows.append((file, document_id, part, text))
            part += 1
            size += len(text)
        if ends_document and part:
            document_id += 1
            part = 0
        if size >= GROUP_BYTES or len(rows) >= GROUP_ROWS:
            yield _batch(rows)
            rows, size = [], 0
    if rows:
        yield _batch(rows)


def read_documents(folder: Path, only: Collection[int] | None = None) -> Iterator[Batch]:
    """The documents of all source files, or of the numbers in `only`, a few MiB at a time; columns as in SCHEMA."""
    return read_segments(folder, DOCUMENTS, only)


def _is_blank(text: bytes) -> bool:
    letters = text.decode()
    return not letters or letters.isspace()


def _batch(rows: list[tuple[int, int, int, bytes]]) -> Batch:
    files, *columns = zip(*rows, strict=True)
    return Batch(np.array(files), [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)])
