"""Tokens come back as they were written, and DuckDB reads them as they are."""

from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage.corpus.known_rows import KnownRows, write_rows
from storage.corpus.segments import Batch
from storage.corpus.tokens import TOKENS, read_counts, read_tokens, write_counts
from storage.errors import WorkspaceError

Row = tuple[int, int, list[str]]
FIRST: list[Row] = [(0, 0, ["the", "cat"]), (0, 1, ["the"]), (2, 0, [])]
SECOND: list[Row] = [(0, 0, ["고양이", "don't", "the"])]


def write_tokens(folder: Path) -> None:
    def batch(file: int, rows: list[Row]) -> Batch:
        ids, parts, tokens = zip(*rows, strict=True)
        return Batch(
            np.full(len(rows), file),
            [pa.array(ids, pa.int64()), pa.array(parts, pa.int32()), pa.array(tokens, pa.list_(pa.string()))],
        )

    files = [("a.txt", "a"), ("b.txt", "b")]
    write_rows(folder, TOKENS, "abc", files, KnownRows({}, {}), [batch(0, FIRST), batch(1, SECOND)])


def rows_of(folder: Path, only: list[int] | None = None) -> list[Row]:
    return [
        row
        for batch in read_tokens(folder, only)
        for row in zip(batch.document_ids.to_pylist(), batch.parts.to_pylist(), batch.tokens.to_pylist(), strict=True)
    ]


def test_batches_come_back_with_the_documents_of_all_files_numbered_throughout(tmp_path: Path) -> None:
    write_tokens(tmp_path)
    assert rows_of(tmp_path) == [*FIRST, (3, 0, SECOND[0][2])]
    assert rows_of(tmp_path, only=[1]) == [(3, 0, SECOND[0][2])]
    assert all(pa.types.is_dictionary(batch.tokens.type.value_type) for batch in read_tokens(tmp_path))


def test_parquet_keeps_the_dictionary_of_each_row_group(tmp_path: Path) -> None:
    write_tokens(tmp_path)
    (path,) = tmp_path.glob("tokens-*.parquet")
    column = pq.ParquetFile(path).metadata.row_group(0).column(2)
    assert column.has_dictionary_page
    assert not column.is_stats_set
    assert pq.read_table(path)["tokens"].to_pylist() == [row[2] for row in FIRST + SECOND]


def test_duckdb_reads_the_shards_as_they_are(tmp_path: Path) -> None:
    write_tokens(tmp_path)
    with duckdb.connect() as connection:
        counts = connection.execute(
            "select word, count(*) from (select unnest(tokens) as word from read_parquet(?)) group by word "
            "order by count(*) desc, word limit 2",
            [str(tmp_path / "tokens-*.parquet")],
        ).fetchall()
    assert counts == [("the", 3), ("cat", 1)]


def test_the_counts_of_a_segment_come_back(tmp_path: Path) -> None:
    write_tokens(tmp_path)
    write_counts(tmp_path, "abc", pa.array(["the", "cat"]), np.array([3, 1]))
    ((words, counts),) = read_counts(tmp_path)
    assert (words.to_pylist(), counts.tolist()) == (["the", "cat"], [3, 1])


def test_counts_that_are_missing_are_named(tmp_path: Path) -> None:
    write_tokens(tmp_path)
    with pytest.raises(WorkspaceError, match=r"counts-abc-00000\.parquet is missing"):
        read_counts(tmp_path)
