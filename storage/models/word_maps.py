"""Where the words of a release lie on a map: made once for each release, found again by its vectors."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from storage.parquet_files import read_table, write_table

FILE = "map.parquet"
SCHEMA = pa.schema(
    [
        pa.field("x", pa.float32(), nullable=False),  # -1 to 1, from left to right; one row for each word, by rank
        pa.field("y", pa.float32(), nullable=False),  # -1 to 1, from the top down
        pa.field("group", pa.int64(), nullable=False),  # 0 = the largest group
    ]
)


def write_word_map(folder: Path, places: NDArray[np.float32], groups: NDArray[np.int64]) -> None:
    """Write the places (N, 2) and groups (N,) of the N most frequent words."""
    table = pa.table([places[:, 0], places[:, 1], groups], schema=SCHEMA)
    write_table(table, folder / FILE)


def read_word_map(folder: Path) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Places (N, 2) float32 and groups (N,) int64. Raises WorkspaceError if the file has other columns."""
    table = read_table(folder / FILE, SCHEMA, "a map")
    places = np.stack([table["x"].to_numpy(), table["y"].to_numpy()], axis=1)
    return places, table["group"].to_numpy()
