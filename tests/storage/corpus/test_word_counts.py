"""Counts added up by DuckDB, against a Counter."""

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.corpus.segments import FileRows, write_index
from storage.corpus.tokens import read_counts
from storage.corpus.word_counts import SpilledCounts, read_frequent_words
from storage.errors import WorkspaceError

PART = st.dictionaries(st.text("abcé가\U00010330", min_size=1, max_size=2), st.integers(1, 5), max_size=20)


def write_parts(folder: Path, parts: list[dict[str, int]]) -> None:
    """A segment for each half of the parts."""
    half = len(parts) // 2
    for segment, some in (("s1", parts[:half]), ("s2", parts[half:])):
        spilled = SpilledCounts(folder, segment)
        for part in some:
            spilled.add(pa.array(list(part), pa.string()), np.array(list(part.values()), np.int64))
        spilled.write_sum()
    write_index(folder, [FileRows(name, name, name, 0, 0, 0, 0) for name in ("s1", "s2")])


def in_order(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


@settings(deadline=None, max_examples=15)
@given(parts=st.lists(PART, min_size=2, max_size=6), min_count=st.integers(1, 6), size=st.none() | st.integers(2, 9))
def test_sums_are_those_of_a_counter(parts: list[dict[str, int]], min_count: int, size: int | None) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_parts(folder, parts)
        halves = [sum(map(Counter, some), Counter()) for some in (parts[: len(parts) // 2], parts[len(parts) // 2 :])]
        found = [list(zip(words.to_pylist(), counts.tolist(), strict=True)) for words, counts in read_counts(folder)]
        assert found == [in_order(half) for half in halves]
        every = sum(halves, Counter[str]())
        kept = read_frequent_words(folder, min_count, size, folder)
        frequent = [item for item in in_order(every) if item[1] >= min_count][:size]
        assert list(zip(kept.words.to_pylist(), kept.counts.tolist(), strict=True)) == frequent
        assert (kept.distinct, kept.total) == (len(every), every.total())
        assert kept.highest == max(every.values(), default=0)
        assert sorted(path.name.split("-")[0] for path in folder.iterdir()) == ["counts", "counts", "files.parquet"]


def test_missing_counts_are_named(tmp_path: Path) -> None:
    write_index(tmp_path, [FileRows("a", "a", "s1", 0, 0, 0, 0)])
    with pytest.raises(WorkspaceError, match=r"counts-s1-00000\.parquet is missing"):
        read_frequent_words(tmp_path, 1, None, tmp_path)
