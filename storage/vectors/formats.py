"""What every reader of word vectors gives and every writer takes, and how their files are opened."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from storage.compressed_files import open_decompressed
from storage.disk import sha256_of


def _row_number(row: int) -> str:
    return f"row {row + 1:,}"


@dataclass(frozen=True)
class WordVectors:
    """Words and their vectors, in the order of their file.

    words: R words; bytes that are not UTF-8 are kept as lone surrogates (PEP 383), so that nothing is lost.
    vectors: (R, D) float32.  counts: (R,) int64, 0 where the file tells none.
    place: index of a row -> where it stands in the file, for messages.
    unclear: index of a row whose word cannot be told from damage -> why; the row is kept for who leaves it out.
    """

    words: list[str]
    vectors: NDArray[np.float32]
    counts: NDArray[np.int64]
    place: Callable[[int], str] = field(default=_row_number, compare=False)
    unclear: Mapping[int, str] = field(default_factory=dict, compare=False)


def unknown_counts(rows: int) -> NDArray[np.int64]:
    """The (rows,) counts of a file that holds none."""
    return np.zeros(rows, dtype=np.int64)


def decoded(words: list[bytes]) -> list[str]:
    """Words as text, with every byte that is not UTF-8 kept as a lone surrogate."""
    return [word.decode("utf-8", "surrogateescape") for word in words]


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a file, decompressed by its signature, whatever its name. Raises as `open_decompressed`."""
    with open_decompressed(path) as file:
        yield file


def sha256_of_files(files: Sequence[Path]) -> str:
    """Hex sha256 of the bytes of one file, or of the digests of several."""
    digests = [sha256_of(file) for file in files]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
