"""The scores of a model, one row per metric and section, as in the release's `evaluation` table.

The same folder has the words that agree most and least with each reference, as in its `compared_words` table.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from storage.files.parquet import read_table, write_table
from storage.models.rows import ComparedWordRow, EvaluationRow

FILE = "evaluation.parquet"
SCHEMA = pa.schema(
    [
        pa.field("metric", pa.string(), nullable=False),
        pa.field("section", pa.string(), nullable=False),  # part of the gold set, or all of it
        pa.field("value", pa.float64()),  # null: could not be measured
        pa.field("coverage", pa.float64()),  # share of test pairs, questions or words that are known, in 0..1
        pa.field("gold_digest", pa.string()),  # sha256 of the reference data, then the relevant settings
        pa.field("low", pa.float64()),  # ends of the 95 % interval; null: none
        pa.field("high", pa.float64()),
        pa.field("covered", pa.int64()),  # pairs, questions or words that the value is based on
        pa.field("lost", pa.int64()),  # those skipped because of an unknown word
    ]
)
WORDS_FILE = "compared_words.parquet"
WORDS_SCHEMA = pa.schema(
    [
        pa.field("compared_with", pa.string(), nullable=False),  # name of the reference, or the version of a release
        pa.field("word", pa.string(), nullable=False),
        pa.field("rank", pa.int64(), nullable=False),  # 1 = most frequent
        pa.field("overlap", pa.float64(), nullable=False),  # share of neighbours in both, in 0..1
        pa.field("rank_overlap", pa.float64(), nullable=False),  # the same, weighted by rank, in 0..1
        pa.field("only_here", pa.list_(pa.string()), nullable=False),  # neighbours, nearest first
        pa.field("only_there", pa.list_(pa.string()), nullable=False),
    ]
)


def write_evaluation(
    folder: Path, rows: Sequence[EvaluationRow], compared_words: Sequence[ComparedWordRow] = ()
) -> None:
    """Write the scores and the compared words."""
    for name, schema, content in ((FILE, SCHEMA, rows), (WORDS_FILE, WORDS_SCHEMA, compared_words)):
        table = pa.Table.from_pylist([row.model_dump() for row in content], schema=schema)
        write_table(table, folder / name)


def read_evaluation(folder: Path) -> list[EvaluationRow]:
    """The scores in a folder. Raises WorkspaceError if the file is missing or has other columns."""
    return [EvaluationRow(**row) for row in _rows(folder / FILE, SCHEMA)]


def read_compared_words(folder: Path) -> list[ComparedWordRow]:
    """The compared words in a folder. Raises WorkspaceError if the file is missing or has other columns."""
    return [ComparedWordRow(**row) for row in _rows(folder / WORDS_FILE, WORDS_SCHEMA)]


def _rows(path: Path, schema: pa.Schema) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read_table(path, schema, "an evaluation").to_pylist()
    return rows
