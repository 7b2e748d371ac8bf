"""Common type of all word vector readers and writers, and helpers to open their files."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from storage.disk import sha256_of
from storage.files.compressed import open_decompressed


def _row_number(row: int) -> str:
    return f"row {row + 1:,}"


@dataclass(frozen=True)
class Ngrams:
    """What unknown words are composed of: n-grams of these lengths in characters, (B, D) float32 vectors of buckets."""

    minimum: int
    maximum: int
    vectors: NDArray[np.float32]


@dataclass(frozen=True)
class WordVectors:
    """Words and their vectors, in the order of their file.

    words: R words; invalid UTF-8 is kept as unpaired surrogates (PEP 383).
    vectors: (R, D) float32.  counts: (R,) int64, 0 if the file has none.
    location: index of a row -> its position in the file, for messages.
    unclear: index of a row whose word may be damaged -> reason; callers decide whether to drop it.
    ngrams: those of fastText's models.
    """

    words: list[str]
    vectors: NDArray[np.float32]
    counts: NDArray[np.int64]
    location: Callable[[int], str] = field(default=_row_number, compare=False)
    unclear: Mapping[int, str] = field(default_factory=dict, compare=False)
    ngrams: Ngrams | None = field(default=None, compare=False)


def unknown_counts(rows: int) -> NDArray[np.int64]:
    """The (rows,) counts of a file without counts."""
    return np.zeros(rows, dtype=np.int64)


def decoded(words: list[bytes]) -> list[str]:
    """Decode words, keeping invalid UTF-8 as unpaired surrogates."""
    return [word.decode("utf-8", "surrogateescape") for word in words]


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file, decompressed if it is compressed. Raises like `open_decompressed`."""
    with open_decompressed(path) as file:
        yield file


def sha256_of_files(files: Sequence[Path]) -> str:
    """Hex sha256 of the bytes of one file, or of the digests of several."""
    digests = [sha256_of(file) for file in files]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
