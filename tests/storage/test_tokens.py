"""Tokens come back as they were written, and DuckDB reads them as they are."""

from pathlib import Path

import duckdb
import pyarrow as pa

from storage.tokens import TokenBatch, read_tokens, write_tokens

ROWS = [(0, 0, ["the", "cat"]), (0, 1, ["the"]), (2, 0, []), (3, 0, ["고양이", "don't", "the"])]


def batches() -> list[TokenBatch]:
    def batch(rows: list[tuple[int, int, list[str]]]) -> TokenBatch:
        ids, parts, tokens = zip(*rows, strict=True)
        return TokenBatch(pa.array(ids), pa.array(parts), pa.array(tokens, pa.list_(pa.string())))

    return [batch(ROWS[:2]), batch(ROWS[2:])]


def test_batches_come_back_as_they_were_written(tmp_path: Path) -> None:
    assert write_tokens(tmp_path, batches()) == 6
    found = [
        row
        for batch in read_tokens(tmp_path)
        for row in zip(batch.document_ids.to_pylist(), batch.parts.to_pylist(), batch.tokens.to_pylist(), strict=True)
    ]
    assert found == ROWS
    assert all(pa.types.is_dictionary(batch.tokens.type.value_type) for batch in read_tokens(tmp_path))


def test_duckdb_reads_the_shards_as_they_are(tmp_path: Path) -> None:
    write_tokens(tmp_path, batches())
    with duckdb.connect() as connection:
        counts = connection.execute(
            "select word, count(*) from (select unnest(tokens) as word from read_parquet(?)) group by word "
            "order by count(*) desc, word limit 2",
            [str(tmp_path / "tokens-*.parquet")],
        ).fetchall()
    assert counts == [("the", 3), ("cat", 1)]
