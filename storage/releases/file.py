"""One release as one DuckDB file that explains itself: vectors, provenance, scores, settings and macros.

The layout is in schema.py and macros.py. A file is written once, checked, and never changed again;
storage/releases/publishing.py publishes it.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from storage.errors import ReleaseError
from storage.files.large_arrays import block_rows, row_blocks
from storage.models.rows import ComparedWordRow, EvaluationRow, Row
from storage.releases.documents import DocumentRows, write_documents
from storage.releases.macro_parts import Shape
from storage.releases.macros import macro_statements
from storage.releases.ngrams import NgramContent, ngram_shape, write_ngrams
from storage.releases.schema import (
    TABLES,
    GateRow,
    Provenance,
    ReleaseRow,
    SettingRow,
    TrainingRow,
    quoted,
    schema_statements,
    sql_values,
)
from storage.releases.text_tokens import tokenizer_in_sql
from storage.vectors.tables import ranked_rows, ranked_schema, write_row_groups

# Read by DuckDB 1.4 and all later versions, and the first whose stale write-ahead logs are refused, not replayed.
# The macros need OLDEST_DUCKDB: earlier ones cannot bind a macro with two common table expressions.
STORAGE_VERSION = "v1.4.0"
OLDEST_DUCKDB = "1.4.2"
# A thread scans one group of rows after the other. Of 400,000 rows DuckDB's 122,880 leave one of two threads idle
# for a third of a scan: 13.0 instead of 10.1 ms; 6,144 took 13.9.
ROW_GROUP_SIZE = 20_480
BLOCK_ROWS = 100_000
# Numbers of one statement, 256 MB.
PART_NUMBERS = 1 << 26
# Memory of DuckDB while a release is written: pages it can write back, and the index of words, which it cannot.
WRITE_MEMORY_BYTES = 1 << 29
INDEX_BYTES_PER_WORD = 300
# float32 sums over 1,024 dimensions stay within 1e-5 of one; a vector that was not normalised does not.
UNIT_TOLERANCE = 1e-4
FLOAT32_UNIT = 2e-7
# The a of SIF's weight a / (a + p), where p is a word's share of the corpus.
SIF_A = 1e-3
UNIQUE_NAMES_SINCE = 4
WEIGHTS_SINCE = 5
# A NUL byte ends a word in the checksum and in C programs; an unpaired surrogate has no UTF-8 form.
UNSTORABLE = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True)
class ReleaseContent:
    """Everything that goes into a release, before it has a number.

    words: V distinct words, most frequent first.  counts: (V,) int64, occurrences, never rising.
    vectors: (V, D) float32 of any length above 0; they are published with length 1.
    settings: nested or flat; stored under dotted names as JSON.
    tokenizer: JSON of Hugging Face `tokenizers`, if the tokenizer was trained on the corpus.
    documents: where the vectors of the corpus' documents are, if they are published.
    ngrams: what vectors of unknown words are composed of, if the model has n-grams.
    """

    words: Sequence[str]
    counts: NDArray[np.int64]
    vectors: NDArray[np.float32]
    provenance: Provenance
    training: Sequence[TrainingRow] = ()
    evaluation: Sequence[EvaluationRow] = ()
    gates: Sequence[GateRow] = ()
    compared_words: Sequence[ComparedWordRow] = ()
    settings: Mapping[str, Any] | None = None
    tokenizer: str | None = None
    documents: DocumentRows | None = None
    ngrams: NgramContent | None = None

    def __post_init__(self) -> None:
        """Check the shapes. Raises ValueError."""
        rows = len(self.words)
        if self.counts.shape != (rows,) or self.vectors.ndim != 2 or len(self.vectors) != rows:
            raise ValueError(
                f"{rows} words need counts of shape ({rows},) and vectors of shape ({rows}, D), "
                f"not {self.counts.shape} and {self.vectors.shape}"
            )
        if np.any(np.diff(self.counts) > 0):
            raise ValueError("words must be sorted by count, most frequent first")

    @cached_property
    def lengths(self) -> NDArray[np.float64]:
        """(V,) lengths of the vectors, computed once for checksum, database and Parquet copy. Raises ReleaseError."""
        blocks = row_blocks(self.vectors, release_block_rows(self.vectors.shape[1]))
        return np.concatenate([row_lengths(block, self.words[start : start + len(block)]) for start, block in blocks])


def vectors_table(row: ReleaseRow) -> str:
    """Name of the table that holds the vectors of a release; a candidate has no version.

    Macros look it up in the caller's search path, so no two releases with other vectors may share it, whatever their
    files are called and wherever they come from. The digest distinguishes what the readable part does not: tables of
    one name from two workspaces, candidates, and `a-b` from `a_b`.
    """
    number = "candidate" if row.version is None else f"v{row.version}"
    if row.format_version < UNIQUE_NAMES_SINCE:
        return f"word_vectors_{number}"
    identity = f"{row.table_name}\0{number}\0{row.sha256}"
    readable = row.table_name.replace("-", "_")
    return f"word_vectors_{readable}_{number}_{hashlib.sha256(identity.encode()).hexdigest()[:12]}"


def release_block_rows(dimension: int) -> int:
    """Rows of a release that are processed at once."""
    return min(BLOCK_ROWS, block_rows(dimension))


def word_weight(counts: NDArray[np.int64]) -> str:
    """SQL for the SIF weight of a row of rank and count. counts: (V,); all 0 means unknown, then Zipf's law is used."""
    total = int(counts.sum())
    harmonic = float(np.sum(1 / np.arange(1, len(counts) + 1)))
    share = f"count / {total}" if total else f"1 / (rank * {harmonic!r}::DOUBLE)"
    return f"({SIF_A} / ({SIF_A} + {share}))::FLOAT"


def write_release_file(path: Path, table_name: str, version: int | None, content: ReleaseContent) -> ReleaseRow:
    """Write a release into the new file `path` and return its `release` row.

    Raises ReleaseError for words or vectors that cannot be published.
    """
    check_words(content.words)
    row = ReleaseRow(
        **content.provenance.model_dump(),
        table_name=table_name,
        version=version,
        created_at=datetime.now(UTC).replace(microsecond=0),
        dimension=content.vectors.shape[1],
        rows=len(content.words),
        sha256=content_sha256(content),
    )
    # Data that does not fit into memory spills into the file's folder, where the next publish cleans up.
    memory = WRITE_MEMORY_BYTES + INDEX_BYTES_PER_WORD * len(content.words)
    with duckdb.connect(
        config={"temp_directory": str(path.with_suffix(".spill")), "memory_limit": f"{memory}B"}
    ) as connection:
        connection.execute("SET enable_progress_bar = false")
        # The size of row groups can only be given here. The name is not kept in the file.
        connection.execute(
            f"ATTACH {quoted(str(path))} AS written "
            f"(STORAGE_VERSION '{STORAGE_VERSION}', ROW_GROUP_SIZE {ROW_GROUP_SIZE})"
        )
        connection.execute("USE written")
        # Measured on 400,000 x 50: a scan takes half as long as over compressed vectors.
        connection.execute("SET force_compression = 'uncompressed'")
        _write_vectors(connection, vectors_table(row), content)
        with _one_transaction(connection):
            for statement in schema_statements():
                connection.execute(statement)
            _insert(connection, "release", [row])
            _insert(connection, "training", content.training)
            _insert(connection, "evaluation", content.evaluation)
            _insert(connection, "gates", content.gates)
            _insert(connection, "compared_words", content.compared_words)
            _insert(connection, "settings", flattened_settings(content.settings or {}))
            if content.tokenizer is not None:
                _write_tokenizer(connection, content.tokenizer)
        connection.execute("CHECKPOINT")
        connection.execute("USE memory")
        connection.execute("DETACH written")
    return row


def write_parquet_copy(path: Path, content: ReleaseContent) -> None:
    """Write rank, word, count and unit vector as Parquet, for tools that read no DuckDB."""
    write_row_groups(path, _row_blocks(content))


def check_words(words: Sequence[str]) -> None:
    """Raises ReleaseError unless there are words, all distinct, that can be stored as text."""
    if not words:
        raise ReleaseError("no words to publish; lower vocabulary.min_count or use more text")
    seen: set[str] = set()
    for word in words:
        if UNSTORABLE.search(word):
            raise ReleaseError(
                f"the word {word[:80]!r} contains a NUL byte or an unpaired surrogate; remove it from the corpus"
            )
        if word in seen:
            raise ReleaseError(f"the word {word[:80]!r} occurs twice in the vocabulary; each word must have one row")
        seen.add(word)


def row_lengths(vectors: NDArray[np.float32], words: Sequence[str]) -> NDArray[np.float64]:
    """(N,) lengths of (N, D) rows. Raises ReleaseError naming the first word without a direction.

    float64, not float32 as in storage/models/matrices.py: a length must not depend on the order of the sum.
    """
    lengths: NDArray[np.float64] = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
    useless = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
    if len(useless):
        word = words[int(useless[0])]
        raise ReleaseError(
            f"the vector of {word[:80]!r} is zero or not finite, and so are {len(useless) - 1} more; "
            "such a word has no neighbours; retrain, with a lower training.learning_rate if the loss diverged"
        )
    # Vectors of length 1 within float32 precision keep their bits, so promotion preserves a candidate's checksum.
    lengths[np.abs(lengths - 1) < FLOAT32_UNIT] = 1
    return lengths


def _scaled(vectors: NDArray[np.float32], lengths: NDArray[np.float64]) -> NDArray[np.float32]:
    scaled = np.empty(vectors.shape, dtype=np.float32)
    np.divide(vectors, lengths[:, None], out=scaled, casting="same_kind")
    return scaled


def content_sha256(content: ReleaseContent) -> str:
    """The sha256 that identifies what is published: words, counts and unit vectors, and nothing else."""
    digest = hashlib.sha256()
    for start in range(0, len(content.words), BLOCK_ROWS):
        digest.update(word_bytes(content.words[start : start + BLOCK_ROWS]))
    digest.update(np.ascontiguousarray(content.counts, dtype="<i8").tobytes())
    for _, vectors in _unit_blocks(content):
        digest.update(vectors.astype("<f4", copy=False).data)
    return digest.hexdigest()


def flattened_settings(settings: Mapping[str, Any], prefix: str = "") -> list[SettingRow]:
    """One row for each leaf of nested settings, under its dotted name."""
    rows: list[SettingRow] = []
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            rows += flattened_settings(value, f"{prefix}{name}.")
        else:
            rows.append(SettingRow(name=f"{prefix}{name}", value=json.dumps(value, ensure_ascii=False)))
    return rows


def _write_vectors(connection: duckdb.DuckDBPyConnection, table: str, content: ReleaseContent) -> None:
    dimension = content.vectors.shape[1]
    connection.execute(
        f"""CREATE TABLE {table} (
            rank INTEGER NOT NULL,
            word VARCHAR PRIMARY KEY,
            count BIGINT NOT NULL,
            vector FLOAT[{dimension}] NOT NULL
                CHECK (abs(array_inner_product(vector, vector) - 1) < {UNIT_TOLERANCE}),
            weight FLOAT NOT NULL CHECK (weight > 0 AND weight <= 1)
        )"""
    )
    weight = word_weight(content.counts)
    # Several threads would write row groups that do not fit together, and then write them again: twice the file.
    connection.execute("SET threads = 1")
    # DuckDB needs memory for all rows of a statement, whatever its limit, and keeps registered blocks until its end.
    part_rows = max(1, PART_NUMBERS // dimension // ROW_GROUP_SIZE) * ROW_GROUP_SIZE
    for start in range(0, len(content.words), part_rows):
        batches = (batch for block in _row_blocks(content, start, start + part_rows) for batch in block.to_batches())
        connection.register("blocks", pa.RecordBatchReader.from_batches(ranked_schema(dimension), batches))
        connection.execute(f"INSERT INTO {table} SELECT rank, word, count, vector, {weight} FROM blocks")
        connection.unregister("blocks")
    connection.execute("RESET threads")
    with _one_transaction(connection):
        _describe_vectors(connection, table, content)
    nfc = all(unicodedata.is_normalized("NFC", word) for word in content.words)
    tokenizer = tokenizer_in_sql({row.name: row.value for row in flattened_settings(content.settings or {})})
    ngrams = None
    if content.ngrams is not None:
        ngrams = ngram_shape(table, content.ngrams)
        write_ngrams(connection, ngrams, content.ngrams)
    shape = Shape(table, dimension, len(content.words), nfc, tokenizer, ngrams)
    with _one_transaction(connection):
        for statement in macro_statements(shape):
            connection.execute(statement)
    if content.documents is not None:
        write_documents(connection, shape, content.documents)


@contextmanager
def _one_transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Commit many small statements at once. Each commit waits for the disk: .6 s for all rows of a release."""
    connection.begin()
    yield
    connection.commit()


def _describe_vectors(connection: duckdb.DuckDBPyConnection, table: str, content: ReleaseContent) -> None:
    """The view of the vectors, and the comments that explain both."""
    connection.execute(f"CREATE VIEW word_vectors AS SELECT rank, word, count, vector, weight FROM {table}")
    connection.execute(f"COMMENT ON TABLE {table} IS 'The words and their vectors; word_vectors is its stable name'")
    connection.execute(
        "COMMENT ON VIEW word_vectors IS 'The words and their vectors, most frequent first; the macros need DuckDB "
        f"{OLDEST_DUCKDB} or later'"
    )
    known = "Occurrences in the corpus" if content.counts.any() else "0: the counts of these vectors are unknown"
    basis = "its share of the corpus" if content.counts.any() else "its share by Zipf''s law, as counts are unknown"
    for name in (table, "word_vectors"):
        connection.execute(f"COMMENT ON COLUMN {name}.rank IS 'Rank by frequency, 1 = most frequent'")
        connection.execute(f"COMMENT ON COLUMN {name}.word IS 'The word; every word has one row'")
        connection.execute(f"COMMENT ON COLUMN {name}.count IS '{known}'")
        connection.execute(f"COMMENT ON COLUMN {name}.vector IS 'Its vector, of length 1: inner product = cosine'")
        connection.execute(f"COMMENT ON COLUMN {name}.weight IS 'SIF weight {SIF_A} / ({SIF_A} + p), p = {basis}'")


def _row_blocks(content: ReleaseContent, first: int = 0, end: int | None = None) -> Iterator[pa.Table]:
    """The published rows in rank order, as Arrow tables of at most BLOCK_ROWS rows."""
    for start, vectors in _unit_blocks(content, first, end):
        stop = start + len(vectors)
        yield ranked_rows(start, content.words[start:stop], content.counts[start:stop], vectors)


def _unit_blocks(
    content: ReleaseContent, first: int = 0, end: int | None = None
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """The unit vectors in blocks of at most BLOCK_ROWS rows, each with the number of its first row."""
    for offset, block in row_blocks(content.vectors[first:end], release_block_rows(content.vectors.shape[1])):
        start = first + offset
        yield start, _scaled(block, content.lengths[start : start + len(block)])


def _insert(connection: duckdb.DuckDBPyConnection, table: str, rows: Sequence[Row]) -> None:
    model, _ = TABLES[table]
    marks = ", ".join("?" * len(model.model_fields))
    if rows:
        connection.executemany(f"INSERT INTO {table} VALUES ({marks})", [sql_values(row) for row in rows])


def _write_tokenizer(connection: duckdb.DuckDBPyConnection, content: str) -> None:
    """The table `tokenizer`, in releases whose tokenizer was trained. Readers that do not know it ignore it."""
    connection.execute("CREATE TABLE tokenizer (format VARCHAR NOT NULL, content VARCHAR NOT NULL)")
    connection.execute("COMMENT ON TABLE tokenizer IS 'The trained model that splits words into pieces'")
    connection.execute("COMMENT ON COLUMN tokenizer.format IS 'huggingface: content is read by tokenizers.Tokenizer'")
    connection.execute("COMMENT ON COLUMN tokenizer.content IS 'The model as JSON'")
    connection.execute("INSERT INTO tokenizer VALUES ('huggingface', ?)", [content])


def word_bytes(words: Sequence[str]) -> bytes:
    """The bytes of some words that go into the checksum."""
    return b"".join(word.encode() + b"\0" for word in words)
