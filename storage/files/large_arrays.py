"""Tables of numbers that may be larger than memory: small ones in memory, large ones in a mapped file.

Linux counts the mapped pages that a program has touched as its memory until they are released, though it can drop them
at any time. Loops over whole tables therefore go through `row_blocks`, which releases them.
"""

import logging
import mmap
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from storage.disk import FULL
from storage.errors import WorkspaceError
from storage.layout import CACHE_VARIABLE, cache_folder

logger = logging.getLogger(__name__)

# Above this, a table goes to a file: a page cache that can be dropped instead of memory that cannot.
MOST_BYTES_IN_MEMORY = 1 << 27
# Numbers of a block: 32 MB of float32.
BLOCK_NUMBERS = 1 << 23
SPILL = "spill"


class RowBuffer:
    """Collects float32 rows in order: in memory up to a size, beyond it in an unnamed file of the cache folder.

    The file has no name, so nothing is left of it whatever ends the program.
    """

    def __init__(self, dimension: int) -> None:
        self._dimension = dimension
        self._memory = bytearray()
        self._file: IO[bytes] | None = None
        self._size = 0
        self._may_spill = True

    def append(self, numbers: bytes | memoryview | NDArray[np.float32]) -> None:
        """Add whole rows: little-endian float32 bytes, or an array of any shape.

        Raises WorkspaceError if the disk is full.
        """
        data = np.ascontiguousarray(numbers, "<f4").data.cast("B") if isinstance(numbers, np.ndarray) else numbers
        self._size += len(data)
        if self._file is None and self._may_spill and self._size > MOST_BYTES_IN_MEMORY:
            self._spill()
        if self._file is None:
            self._memory += data
            return
        try:
            self._file.write(data)
        except OSError as error:
            raise self._full(error) if error.errno in FULL else error from error

    def finish(self) -> NDArray[np.float32]:
        """The (R, D) table. One that was spilled is read-only."""
        if self._file is None:
            if not self._memory:
                return np.empty((0, self._dimension), np.float32)
            return np.frombuffer(self._memory, "<f4").astype(np.float32, copy=False).reshape(-1, self._dimension)
        try:
            self._file.flush()
        except OSError as error:
            raise self._full(error) if error.errno in FULL else error from error
        # The mapping keeps the file.
        with self._file:
            mapped = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        return np.frombuffer(mapped, "<f4").astype(np.float32, copy=False).reshape(-1, self._dimension)

    def _spill(self) -> None:
        """Continue in a file. Where none can be written, the rows stay in memory."""
        folder = cache_folder() / SPILL
        self._may_spill = False
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # An array of bytes cannot be written and grown at once, so the file takes over all of it.
            file = TemporaryFile(dir=folder)  # noqa: SIM115  # closed by `finish`
            file.write(self._memory)
        except OSError as error:
            logger.info("%s cannot be written (%s); the vectors stay in memory", folder, error)
            return
        self._file, self._memory = file, bytearray()

    def _full(self, error: OSError) -> WorkspaceError:
        folder = cache_folder() / SPILL
        free = shutil.disk_usage(folder).free
        return WorkspaceError(
            f"the disk of {folder} is full: {error}; vectors larger than memory need {self._size / 1e9:,.1f} GB there "
            f"or more, and {free / 1e9:,.1f} GB are left; free some space, or name a folder on a larger disk with "
            f"${CACHE_VARIABLE}"
        )


class MappedMemory:
    """Makes zeroed float32 arrays in unnamed files of a folder, which Linux writes back when memory is short."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, shape: int | tuple[int, ...], dtype: type[np.float32]) -> NDArray[np.float32]:
        """A writable array, as `numpy.zeros`. Its file is deleted with the last view of it."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if not size:
            return np.zeros(shape, dtype)
        with TemporaryFile(dir=self._folder) as file:
            file.truncate(size)
            mapped = mmap.mmap(file.fileno(), size)
        return np.frombuffer(mapped, dtype).reshape(shape)


def map_rows(path: Path, kind: str, offset: int, shape: tuple[int, ...], *, writable: bool = False) -> NDArray[Any]:
    """An array in a file, mapped. kind: NumPy type.  writable: changes stay in memory and do not reach the file."""
    if 0 in shape:
        return np.empty(shape, kind)
    return np.asarray(np.memmap(path, kind, "c" if writable else "r", offset, shape))


def as_float32(table: NDArray[Any]) -> NDArray[np.float32]:
    """An (R, D) table of numbers as float32: itself if it is one, else converted in blocks.

    Values out of range become infinite.
    """
    if table.dtype == np.float32 and table.flags.c_contiguous and table.flags.aligned:
        return table
    buffer = RowBuffer(table.shape[1])
    with np.errstate(over="ignore"):
        for _, block in row_blocks(table):
            buffer.append(block.astype(np.float32))
    return buffer.finish()


def block_rows(dimension: int) -> int:
    """Rows of a block of BLOCK_NUMBERS."""
    return max(1, BLOCK_NUMBERS // max(1, dimension))


def row_blocks(table: NDArray[Any], rows: int | None = None) -> Iterator[tuple[int, NDArray[Any]]]:
    """Blocks of at most `rows` rows with the number of their first row; pages of mapped files are released after each.

    rows none: about BLOCK_NUMBERS numbers.
    """
    step = rows or block_rows(table.shape[1])
    for start in range(0, len(table), step):
        yield start, table[start : start + step]
        release_pages(table)


def release_pages(table: NDArray[Any]) -> None:
    """Stop counting the pages of a mapped file as memory of this program; reading them again costs a page fault."""
    base: Any = table
    while base is not None and not isinstance(base, mmap.mmap):
        base = base.obj if isinstance(base, memoryview) else getattr(base, "base", None)
    # Pages of a private mapping that were changed exist nowhere else.
    if base is not None and not table.flags.writeable and hasattr(base, "madvise"):
        base.madvise(mmap.MADV_DONTNEED)


def write_array(file: IO[bytes], table: NDArray[np.float32]) -> None:
    """Write an (R, D) table in NumPy's `.npy` format."""
    header = {"descr": "<f4", "fortran_order": False, "shape": table.shape}
    np.lib.format.write_array_header_1_0(file, header)
    write_rows(file, table)


def write_rows(file: IO[bytes], table: NDArray[Any], kind: str = "<f4") -> None:
    """Write an (R, D) table in blocks, as numbers of this type."""
    for _, block in row_blocks(table):
        file.write(np.ascontiguousarray(block, kind).data)
