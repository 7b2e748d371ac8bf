"""The scores of a model, one row for each metric and section, as the release's `evaluation` table takes them."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from storage.errors import WorkspaceError
from storage.release_schema import EvaluationRow

FILE = "evaluation.parquet"
SCHEMA = pa.schema(
    [
        pa.field("metric", pa.string(), nullable=False),
        pa.field("section", pa.string(), nullable=False),  # part of the gold set, or the whole
        pa.field("value", pa.float64()),  # null: it could not be measured
        pa.field("coverage", pa.float64()),  # share of test pairs, questions or words that are known, in 0..1
        pa.field("gold_digest", pa.string()),  # sha256 of what was compared with, then the settings that count
    ]
)


def write_evaluation(folder: Path, rows: Sequence[EvaluationRow]) -> None:
    """Write the scores."""
    table = pa.Table.from_pylist([row.model_dump() for row in rows], schema=SCHEMA)
    pq.write_table(table, folder / FILE, compression="zstd")


def read_evaluation(folder: Path) -> list[EvaluationRow]:
    """The scores in a folder. Raises WorkspaceError if the file has other columns."""
    path = folder / FILE
    table = pq.read_table(path)
    if not table.schema.equals(SCHEMA):
        raise WorkspaceError(f"{path} does not have the columns of an evaluation; delete its folder and run again")
    return [EvaluationRow(**row) for row in table.to_pylist()]
