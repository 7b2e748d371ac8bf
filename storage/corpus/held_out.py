"""Sequences whose last item was held out of the encoded corpus, for the hit rate of the items' vectors."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from storage.files.parquet import read_table, write_table

FILE = "held_out.parquet"
SCHEMA = pa.schema(
    [
        # Rows of the vocabulary, in order. The encoded corpus has all but the last one of them.
        pa.field("token_ids", pa.list_(pa.int32()), nullable=False),
    ]
)


def write_held_out(folder: Path, sequences: Sequence[NDArray[np.int32]]) -> None:
    """Write the whole sequences, each with its last item."""
    write_table(pa.table([pa.array(sequences, pa.list_(pa.int32()))], schema=SCHEMA), folder / FILE)


def read_held_out(folder: Path) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The items (N,) of S sequences and their offsets (S + 1,). Raises WorkspaceError if the file is missing."""
    lists = read_table(folder / FILE, SCHEMA, "held-out sequences")["token_ids"].combine_chunks()
    offsets = np.concatenate([[0], np.cumsum(lists.value_lengths().to_numpy(), dtype=np.int64)])
    return lists.flatten().to_numpy(), offsets
