"""Read a release file back: its content, and the checks that nothing in it has changed."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from storage.errors import ReleaseError
from storage.files.large_arrays import RowBuffer
from storage.models.rows import ComparedWordRow, EvaluationRow
from storage.releases.documents import check_documents, stored_documents
from storage.releases.file import (
    BLOCK_ROWS,
    UNIT_TOLERANCE,
    WEIGHTS_SINCE,
    ReleaseContent,
    release_block_rows,
    vectors_table,
    word_bytes,
    word_weight,
)
from storage.releases.macros import MACROS
from storage.releases.ngrams import NgramContent, read_ngrams
from storage.releases.opening import open_release, read_release_row, read_rows
from storage.releases.schema import GateRow, Provenance, ReleaseRow, SettingRow, TrainingRow, quoted
from storage.vectors.formats import WordVectors

WEIGHT_TOLERANCE = 1e-6


def stored_sha256(connection: duckdb.DuckDBPyConnection, row: ReleaseRow) -> str:
    """`content_sha256` of what a file holds, read back block by block."""
    digest = hashlib.sha256()
    for words in _column_blocks(connection, row, "word"):
        digest.update(word_bytes(words.to_pylist()))
    for counts in _column_blocks(connection, row, "count"):
        digest.update(counts.to_numpy().astype("<i8").tobytes())
    for vectors in _column_blocks(connection, row, "vector"):
        for chunk in vectors.chunks:
            digest.update(chunk.flatten().to_numpy().astype("<f4", copy=False).data)
    return digest.hexdigest()


def setting_values(rows: Iterable[SettingRow]) -> dict[str, Any]:
    """Dotted name -> value of each setting."""
    return {row.name: json.loads(row.value) for row in rows}


def read_words(
    connection: duckdb.DuckDBPyConnection, condition: str = "true", parameters: Sequence[object] = ()
) -> WordVectors:
    """The words that meet an SQL condition, with counts and unit vectors, most frequent first.

    condition: SQL of our own, never data. With bound parameters DuckDB 1.5 converts each row to Python objects, about
    60 times slower.
    """
    query = f"SELECT word, count, vector FROM word_vectors WHERE {condition} ORDER BY rank"
    found = connection.execute(query, list(parameters)) if parameters else connection.sql(query)
    rows = found.to_arrow_table()
    dimension = rows.schema.field("vector").type.list_size
    vectors = rows["vector"].combine_chunks().flatten().to_numpy().reshape(rows.num_rows, dimension)
    return WordVectors(rows["word"].to_pylist(), vectors, rows["count"].to_numpy())


def read_all_words(connection: duckdb.DuckDBPyConnection, row: ReleaseRow) -> WordVectors:
    """All words of a release with counts and unit vectors, most frequent first, read block by block."""
    words: list[str] = []
    counts = [np.empty(0, np.int64)]
    for block in _column_blocks(connection, row, "word"):
        words += block.to_pylist()
    counts += [block.to_numpy() for block in _column_blocks(connection, row, "count")]
    return WordVectors(words, read_all_vectors(connection, row), np.concatenate(counts))


def read_all_vectors(connection: duckdb.DuckDBPyConnection, row: ReleaseRow) -> NDArray[np.float32]:
    """The (V, D) unit vectors of a release, most frequent word first, read block by block."""
    vectors = RowBuffer(row.dimension)
    for block in _column_blocks(connection, row, "vector"):
        for chunk in block.chunks:
            vectors.append(chunk.flatten().to_numpy())
    return vectors.finish()


def read_content(path: Path) -> ReleaseContent:
    """Everything that went into a release file. Written again, it has the same checksum."""
    with open_release(path, scan=True) as connection:
        row = read_release_row(connection, path)
        settings = read_rows(connection, "settings", SettingRow)
        values = setting_values(settings)
        stored = read_all_words(connection, row)
        return ReleaseContent(
            words=stored.words,
            counts=stored.counts,
            vectors=stored.vectors,
            provenance=Provenance(**row.model_dump(include=set(Provenance.model_fields))),
            training=read_rows(connection, "training", TrainingRow),
            evaluation=read_rows(connection, "evaluation", EvaluationRow),
            gates=read_rows(connection, "gates", GateRow),
            compared_words=(
                read_rows(connection, "compared_words", ComparedWordRow) if row.format_version >= 3 else []
            ),
            settings=values,
            tokenizer=_trained_tokenizer(connection),
            documents=stored_documents(connection, path),
            ngrams=_ngrams(connection, values),
        )


def read_release_ngrams(path: Path) -> NgramContent | None:
    """The n-grams that a release composes unknown words of, None if it has none."""
    with open_release(path) as connection:
        return _ngrams(connection, setting_values(read_rows(connection, "settings", SettingRow)))


def _ngrams(connection: duckdb.DuckDBPyConnection, settings: Mapping[str, Any]) -> NgramContent | None:
    lengths = (settings.get("training.minimum_ngram", 0), settings.get("training.maximum_ngram", 0))
    return read_ngrams(connection, *lengths)


def read_trained_tokenizer(path: Path) -> str | None:
    """The JSON of a tokenizer that was trained on the corpus of a release, None if it needed no training."""
    with open_release(path) as connection:
        return _trained_tokenizer(connection)


def _trained_tokenizer(connection: duckdb.DuckDBPyConnection) -> str | None:
    present = connection.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE database_name = current_database() AND table_name = 'tokenizer'"
    ).fetchall()
    if not present[0][0]:
        return None
    ((content,),) = connection.execute("SELECT content FROM tokenizer").fetchall()
    return str(content)


def check_release_file(path: Path) -> ReleaseRow:
    """Read a whole file back: row count, checksum, unit lengths, and an answer from every macro.

    Returns its `release` row. Raises ReleaseError naming the first problem.
    """
    with open_release(path, scan=True) as connection:
        row = read_release_row(connection, path)
        table = vectors_table(row)
        ((count, lowest, highest, off_unit),) = connection.execute(
            f"""SELECT count(*), min(rank), max(rank), max(abs(array_inner_product(vector, vector) - 1))
                FROM {table}"""
        ).fetchall()
        if (count, lowest, highest) != (row.rows, 1, row.rows):
            raise ReleaseError(f"{path} is damaged: {row.rows} rows were written, but it holds {count}")
        if not off_unit < UNIT_TOLERANCE:
            raise ReleaseError(f"{path} is damaged: a vector does not have length 1")
        if stored_sha256(connection, row) != row.sha256:
            raise ReleaseError(f"{path} is damaged: the checksum of its vectors is not the one in its release table")
        if row.format_version >= WEIGHTS_SINCE:
            _check_weights(connection, table, path)
        _check_macros(connection, row, path)
        check_documents(connection, path)
    return row


def _check_weights(connection: duckdb.DuckDBPyConnection, table: str, path: Path) -> None:
    counts = connection.sql(f"SELECT count FROM {table} ORDER BY rank").to_arrow_table()["count"].to_numpy()
    ((off,),) = connection.execute(f"SELECT max(abs(weight - {word_weight(counts)})) FROM {table}").fetchall()
    if not off < WEIGHT_TOLERANCE:
        raise ReleaseError(f"{path} is damaged: a weight does not match its word's count")


def _check_macros(connection: duckdb.DuckDBPyConnection, row: ReleaseRow, path: Path) -> None:
    words = [word for (word,) in connection.execute("SELECT word FROM word_vectors ORDER BY rank LIMIT 3").fetchall()]
    first, second, third = (words * 3)[:3]
    ((catalog,),) = connection.execute("""SELECT '"' || replace(current_database(), '"', '""') || '"'""").fetchall()
    for macro in MACROS:
        if macro.since > row.format_version:
            continue
        statement = macro.check.format(catalog=quoted(catalog))
        values = [word for place, word in enumerate((first, second, third), start=1) if f"${place}" in statement]
        ((found,),) = connection.execute(statement, values).fetchall()
        answer = macro.answer(row.rows)
        if found != answer:
            raise ReleaseError(f"{path} is damaged: {statement} returns {found}, not {answer}")


def _column_blocks(connection: duckdb.DuckDBPyConnection, row: ReleaseRow, column: str) -> Iterator[pa.ChunkedArray]:
    # Words and counts are short.
    step = release_block_rows(row.dimension) if column == "vector" else BLOCK_ROWS
    for start in range(1, row.rows + 1, step):
        # Numbers of our own in the text: with bound ones DuckDB 1.5 builds Python objects on the way, 60 times slower.
        yield connection.sql(
            f"SELECT {column} FROM {vectors_table(row)} WHERE rank BETWEEN {start} AND {start + step - 1} ORDER BY rank"
        ).to_arrow_table()[column]
