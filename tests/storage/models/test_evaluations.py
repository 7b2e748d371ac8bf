"""Scores survive the way to the disk and back."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage.errors import WorkspaceError
from storage.models.evaluations import FILE, read_compared_words, read_evaluation, write_evaluation
from storage.models.rows import WHOLE, ComparedWordRow, EvaluationRow

ROWS = [
    EvaluationRow(metric="wordsim353", section=WHOLE, value=0.5, coverage=0.9, gold_digest="abc", low=0.4, covered=9),
    EvaluationRow(metric="google_analogies", section="family", value=None, coverage=0.0, gold_digest="def;max_rank=9"),
    EvaluationRow(metric="neighbor_overlap", section=WHOLE, value=None, coverage=None, gold_digest=None),
]


WORDS = [
    ComparedWordRow(
        compared_with="GloVe", word="사랑", rank=3, overlap=0.1, rank_overlap=0.2, only_here=["a b", ""], only_there=[]
    )
]


def test_scores_come_back_as_they_were_written(tmp_path: Path) -> None:
    write_evaluation(tmp_path, ROWS, WORDS)
    assert read_evaluation(tmp_path) == ROWS
    assert read_compared_words(tmp_path) == WORDS


def test_without_a_reference_no_word_is_compared(tmp_path: Path) -> None:
    write_evaluation(tmp_path, ROWS)
    assert read_compared_words(tmp_path) == []


def test_a_file_with_other_columns_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"metric": ["wordsim353"]}), tmp_path / FILE)
    with pytest.raises(WorkspaceError, match=r"evaluation\.parquet does not have the columns"):
        read_evaluation(tmp_path)
