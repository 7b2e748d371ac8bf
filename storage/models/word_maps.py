"""Positions of the words of a release on a map: computed once per release, reused by its vectors' digest."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from storage.files.parquet import read_table, write_table

FILE = "map.parquet"
SCHEMA = pa.schema(
    [
        pa.field("x", pa.float32(), nullable=False),  # -1 to 1, left to right; one row per word, by rank
        pa.field("y", pa.float32(), nullable=False),  # -1 to 1, top to bottom
        pa.field("group", pa.int64(), nullable=False),  # 0 = the largest group
    ]
)


def write_word_map(folder: Path, positions: NDArray[np.float32], groups: NDArray[np.int64]) -> None:
    """Write the positions (N, 2) and groups (N,) of the N most frequent words."""
    table = pa.table([positions[:, 0], positions[:, 1], groups], schema=SCHEMA)
    write_table(table, folder / FILE)


def read_word_map(folder: Path) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Positions (N, 2) float32 and groups (N,) int64. Raises WorkspaceError if missing or malformed."""
    table = read_table(folder / FILE, SCHEMA, "a map")
    positions = np.stack([table["x"].to_numpy(), table["y"].to_numpy()], axis=1)
    return positions, table["group"].to_numpy()
