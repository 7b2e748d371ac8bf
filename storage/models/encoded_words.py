"""What an encoder answers for each word of a vocabulary: one `.npy` matrix, filled from the first row on.

While it is being filled, `progress.json` in the same folder has the number of finished rows. Rows are flushed before
that file is replaced, so after a kill every row that it counts is complete.
"""

import json
import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from storage.disk import replaced_file

logger = logging.getLogger(__name__)

FILE = "encodings.npy"
PROGRESS = "progress.json"


class EncodingWriter:
    """An (V, E) float32 matrix on disk that an interrupted run continues to fill. finished: its complete rows."""

    def __init__(self, folder: Path, words: int, dimension: int) -> None:
        self._progress, self._file = folder / PROGRESS, folder / FILE
        shape = (words, dimension)
        self.finished = self._restored(folder / FILE, shape)
        mode = "r+" if self.finished else "w+"
        self._matrix = np.lib.format.open_memmap(folder / FILE, mode=mode, dtype=np.float32, shape=shape)
        if self.finished:
            logger.info("resuming at word %s of %s", f"{self.finished:,}", f"{words:,}")

    def append(self, vectors: NDArray[np.float32]) -> None:
        """Add the (N, E) next rows and make them survive a kill."""
        self._matrix[self.finished : self.finished + len(vectors)] = vectors
        self._matrix.flush()
        self.finished += len(vectors)
        with replaced_file(self._progress) as written:
            written.write_text(json.dumps({"rows": self.finished}), encoding="utf-8")

    def rows(self, first: int, last: int) -> NDArray[np.float32]:
        """A copy of finished rows."""
        return np.array(self._matrix[first:last])

    def close(self) -> None:
        """Remove the progress of a complete matrix."""
        self._progress.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the matrix and its progress, once its rows are stored elsewhere."""
        self.close()
        self._file.unlink(missing_ok=True)

    def _restored(self, path: Path, shape: tuple[int, int]) -> int:
        """The rows that an interrupted run has finished, 0 if there are none or the files do not fit."""
        try:
            rows = json.loads(self._progress.read_text(encoding="utf-8"))["rows"]
            fits = np.load(path, mmap_mode="r", allow_pickle=False).shape == shape
            return int(rows) if fits and 0 <= rows <= shape[0] else 0
        except (OSError, ValueError, KeyError, TypeError):
            return 0


def read_encodings(folder: Path) -> NDArray[np.float32]:
    """The (V, E) float32 vectors of a finished stage, in the order of the vocabulary."""
    vectors: NDArray[np.float32] = np.load(folder / FILE, allow_pickle=False)
    return vectors
