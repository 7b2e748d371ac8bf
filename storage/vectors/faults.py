"""Rows that a table cannot hold: a zero or non-finite vector, an invalid word, or a duplicate word."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from storage.files.large_arrays import row_blocks
from storage.vectors.formats import WordVectors

# Rows checked at a time, so that a large table isn't copied as a whole.
CHECKED_ROWS = 1 << 14
# Below DuckDB's limit for index keys; no real word comes close.
LONGEST_WORD_BYTES = 1 << 16


@dataclass(frozen=True)
class RowFault:
    """Index of an unusable row, and the reason."""

    row: int
    reason: str


def vector_faults(vectors: NDArray[np.float32]) -> Iterator[RowFault]:
    """The rows of an (R, D) table that are all zeros or not finite, in order."""
    for start, block in row_blocks(vectors, CHECKED_ROWS):
        for row in np.flatnonzero(~np.isfinite(block).all(axis=1) | ~block.any(axis=1)):
            reason = "NaN or infinite values" if block[row].any() else "only zeros"
            yield RowFault(start + int(row), f"its vector contains {reason}")


def row_faults(found: WordVectors) -> list[RowFault]:
    """The rows that a release cannot hold, in order; of rows with the same word, all but the first."""
    faults = {row: RowFault(row, reason) for row, reason in found.unclear.items()}
    for fault in vector_faults(found.vectors):
        faults.setdefault(fault.row, fault)
    first_rows: dict[str, int] = {}
    for row, word in enumerate(found.words):
        reason = _word_fault(word)
        first = first_rows.setdefault(word, row)
        if first != row:
            reason = f"{found.location(first)} has the same word"
        if reason:
            faults.setdefault(row, RowFault(row, reason))
    return [faults[row] for row in sorted(faults)]


def _word_fault(word: str) -> str | None:
    try:
        length = len(word.encode())
    except UnicodeEncodeError:
        return "its word is not UTF-8"
    if not word:
        return "its word is empty"
    if "\0" in word:
        return "its word contains a NUL byte"
    return "its word is longer than 64 KiB" if length > LONGEST_WORD_BYTES else None
