"""The vocabulary table: one row per word, most frequent first."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from storage.files.parquet import read_table, write_table
from storage.stages import Manifest

FILE = "vocabulary.parquet"
SCHEMA = pa.schema(
    [
        pa.field("token_id", pa.int32(), nullable=False),  # 0 = most frequent, ties by word; row of the matrices
        pa.field("word", pa.string(), nullable=False),
        pa.field("count", pa.int64(), nullable=False),  # occurrences in the corpus
        pa.field("frequency", pa.float64(), nullable=False),  # count over all tokens of the corpus, in 0..1
        pa.field("keep_probability", pa.float64(), nullable=False),  # that an occurrence survives subsampling
        pa.field("noise_probability", pa.float64(), nullable=False),  # of being drawn as noise; sums to 1
    ]
)


@dataclass(frozen=True)
class WordTable:
    """A vocabulary: V words and, in the same order, four (V,) arrays, as in SCHEMA."""

    words: list[str]
    counts: NDArray[np.int64]
    frequency: NDArray[np.float64]
    keep_probability: NDArray[np.float64]
    noise_probability: NDArray[np.float64]


def write_vocabulary(folder: Path, table: WordTable) -> None:
    """Write the table; token_id is the position."""
    columns = [
        pa.array(np.arange(len(table.words), dtype=np.int32)),
        pa.array(table.words, pa.string()),
        pa.array(table.counts, pa.int64()),
        pa.array(table.frequency, pa.float64()),
        pa.array(table.keep_probability, pa.float64()),
        pa.array(table.noise_probability, pa.float64()),
    ]
    write_table(pa.table(columns, schema=SCHEMA), folder / FILE)


def read_vocabulary(vocabulary: Manifest[Any] | Path) -> WordTable:
    """The vocabulary of a stage or in a folder. Raises WorkspaceError if the file is missing or has other columns."""
    path = (vocabulary.path if isinstance(vocabulary, Manifest) else vocabulary) / FILE
    table = read_table(path, SCHEMA, "a vocabulary")
    return WordTable(
        words=table["word"].to_pylist(),
        counts=table["count"].to_numpy(),
        frequency=table["frequency"].to_numpy(),
        keep_probability=table["keep_probability"].to_numpy(),
        noise_probability=table["noise_probability"].to_numpy(),
    )
