"""A vocabulary comes back in its order, and another table in its place is refused."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage.corpus.vocabularies import WordTable, read_vocabulary, write_vocabulary
from storage.errors import WorkspaceError


def test_a_vocabulary_comes_back_as_it_was_written(tmp_path: Path) -> None:
    table = WordTable(
        words=["the", "naïve", "'", "한국어"],
        counts=np.array([4, 3, 2, 1]),
        frequency=np.array([0.4, 0.3, 0.2, 0.1]),
        keep_probability=np.array([0.1, 0.5, 1.0, 1.0]),
        noise_probability=np.array([0.25] * 4),
    )
    write_vocabulary(tmp_path, table)
    found = read_vocabulary(tmp_path)
    assert found.words == table.words
    for name in ("counts", "frequency", "keep_probability", "noise_probability"):
        np.testing.assert_array_equal(getattr(found, name), getattr(table, name))
    stored = pq.read_table(tmp_path / "vocabulary.parquet")
    assert stored["token_id"].to_pylist() == [0, 1, 2, 3]
    assert stored.schema.names == [
        "token_id", "word", "count", "frequency", "keep_probability", "noise_probability",
    ]  # fmt: skip


def test_a_file_with_other_columns_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"word": ["the"]}), tmp_path / "vocabulary.parquet")
    with pytest.raises(WorkspaceError, match="does not have the columns of a vocabulary"):
        read_vocabulary(tmp_path)
