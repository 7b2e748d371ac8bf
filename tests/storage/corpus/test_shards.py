"""A table in shards comes back whole and in order, and one with other columns is refused."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage.corpus import shards
from storage.corpus.shards import ShardWriter, open_shards
from storage.errors import WorkspaceError

SCHEMA = pa.schema([pa.field("number", pa.int64(), nullable=False)])


def test_a_long_table_goes_on_in_further_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD_BYTES", 100)
    with ShardWriter(tmp_path, "numbers", SCHEMA) as writer:
        for start in range(0, 120, 10):
            writer.write([pa.array(range(start, start + 10), pa.int32())])
    assert [path.name for path in sorted(tmp_path.iterdir())] == [f"numbers-{n:05d}.parquet" for n in range(6)]
    groups = [
        shard.read_row_group(number)["number"].to_pylist()
        for shard in open_shards(tmp_path, "numbers", SCHEMA)
        for number in range(shard.num_row_groups)
    ]
    assert groups == [list(range(start, start + 10)) for start in range(0, 120, 10)]


def test_a_file_with_other_columns_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"number": ["one"]}), tmp_path / "numbers-00000.parquet")
    with pytest.raises(WorkspaceError, match="does not have the columns of numbers; delete its folder"):
        list(open_shards(tmp_path, "numbers", SCHEMA))
