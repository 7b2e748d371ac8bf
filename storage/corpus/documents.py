"""The corpus as fetched: one row per document; long documents have several parts."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
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
# Values of the columns that are kept, in the order of corpus.keep_columns; the same in all parts of a document.
VALUES = pa.field("values", pa.list_(pa.string()), nullable=False)
# A worker tokenizes one row group at a time.
GROUP_BYTES = 4 << 20
# Whitespace, then a visible ASCII character.
STARTS_WITH_SIGN = re.compile(rb"\s*[!-~]")


def _text_bytes(columns: Sequence[pa.Array]) -> NDArray[np.int64]:
    lengths: NDArray[np.int64] = pc.binary_length(columns[2]).to_numpy()
    return lengths


# LZ4 takes two thirds of zstd's time to write and half to read, for half as many bytes again.
DOCUMENTS = RowTable("documents", SCHEMA, _text_bytes, GROUP_BYTES, {"compression": "lz4", "use_dictionary": False})
DOCUMENTS_WITH_VALUES = DOCUMENTS._replace(schema=SCHEMA.append(VALUES))


def document_batches(pieces: Iterable[tuple[int, Piece]], *, with_values: bool = False) -> Iterator[Batch]:
    """Rows of all documents that contain more than whitespace, numbered from 0 in each source file.

    pieces: each with its file number.  with_values: as in DOCUMENTS_WITH_VALUES.
    Memory is bounded by the largest piece.
    """
    schema = (DOCUMENTS_WITH_VALUES if with_values else DOCUMENTS).schema
    rows: list[tuple[Any, ...]] = []
    current = document_id = part = size = 0
    for file, (text, ends_document, values) in pieces:
        if file != current:
            current, document_id, part = file, 0, 0
        if STARTS_WITH_SIGN.match(text) or not _is_blank(text):
            rows.append((file, document_id, part, text, *([list(values)] if with_values else [])))
            part += 1
            size += len(text)
        if ends_document and part:
            document_id += 1
            part = 0
        if size >= GROUP_BYTES or len(rows) >= GROUP_ROWS:
            yield _batch(rows, schema)
            rows, size = [], 0
    if rows:
        yield _batch(rows, schema)


def read_documents(folder: Path, only: Collection[int] | None = None) -> Iterator[Batch]:
    """The documents of all source files, or of the numbers in `only`, a few MiB at a time; columns as in SCHEMA."""
    batches = read_segments(folder, DOCUMENTS_WITH_VALUES if _has_values(folder) else DOCUMENTS, only)
    return (Batch(files, columns[: len(SCHEMA)]) for files, columns in batches)


def read_values(folder: Path) -> Iterator[list[str | None]]:
    """The values that each document keeps, document by document. Raises WorkspaceError if documents keep none."""
    for _, (_, parts, _, values) in read_segments(folder, DOCUMENTS_WITH_VALUES):
        yield from values.filter(pc.equal(parts, 0)).to_pylist()


def _has_values(folder: Path) -> bool:
    paths = sorted(folder.glob(f"{DOCUMENTS.name}-*.parquet"))
    return bool(paths) and VALUES.name in pq.read_schema(paths[0]).names


def _is_blank(text: bytes) -> bool:
    letters = text.decode()
    return not letters or letters.isspace()


def _batch(rows: list[tuple[Any, ...]], schema: pa.Schema) -> Batch:
    files, document_ids, parts, texts, *values = zip(*rows, strict=True)
    others = zip((document_ids, parts, *values), [*list(schema)[:2], *list(schema)[3:]], strict=True)
    columns = [pa.array(column, field.type) for column, field in others]
    return Batch(np.array(files), [*columns[:2], _strings(texts), *columns[2:]])


def _strings(texts: Sequence[bytes]) -> pa.Array:
    """Texts that are known to be UTF-8, which Arrow would check again."""
    ends = np.cumsum([0, *map(len, texts)], dtype=np.int32)
    return pa.StringArray.from_buffers(len(texts), pa.py_buffer(ends), pa.py_buffer(b"".join(texts)))
