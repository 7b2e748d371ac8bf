"""Word vectors in word2vec's binary format: a header line, then each word, a space and its float32 values.

The original tool ends rows with a newline, gensim doesn't. The second row decides, and all rows must agree: after a
word with a space, or a lost byte, letters would be read as numbers and numbers as words.
"""

import re
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from storage.files.large_arrays import RowBuffer, row_blocks
from storage.vectors.formats import WordVectors, decoded, opened, unknown_counts
from storage.vectors.text import parse_header

CHUNK_BYTES = 1 << 24
LONGEST_WORD = 1 << 16
# DuckDB's longest array; a larger number in a header is damage.
LARGEST_DIMENSION = 100_000
FLOAT_BYTES = 4
ENDS_A_WORD = re.compile(r"[ \n]")
# Bounds of the largest value in a plausible row, for files without a header.
PLAUSIBLE_LARGEST = (1e-3, 1e3)
# Invalid UTF-8, kept as unpaired surrogates, and NUL, which is frequent in floats.
NO_TEXT = re.compile("[\0\ud800-\udfff]")
WILD = 1e3
CONTROL_CHARACTER = re.compile(r"[\x00-\x1f]")
# Less than callers read of a large file, to distinguish a truncated head from a small file.
GUESSED_BYTES = 1 << 19
LARGEST_GUESS = 4096


def read_binary(path: Path) -> WordVectors:
    """Read a binary file, with or without a header line.

    Raises ValueError if it is truncated, longer than declared, or its dimension is neither declared nor detectable.
    """
    with opened(path) as file:
        head = file.read(CHUNK_BYTES)
        line = head.partition(b"\n")[0]
        if re.fullmatch(rb"\d+ +\d+\s*", line):
            rows, dimension = parse_header(line)
            buffer, read_bytes = head[len(line) + 1 :], len(line) + 1
        else:
            rows, dimension = None, guess_dimension(head)
            buffer, read_bytes = head, 0
        if dimension > LARGEST_DIMENSION:
            raise ValueError(f"its first line declares {dimension} dimensions, more than {LARGEST_DIMENSION:,}")
        return _read_rows(file, buffer, read_bytes, rows, dimension)


def write_binary(file: IO[bytes], words: Sequence[str], vectors: NDArray[np.float32]) -> None:
    """Write (V, D) vectors in word2vec's binary format, as gensim does: no newline after a row."""
    file.write(b"%d %d\n" % vectors.shape)
    for start, block in row_blocks(vectors):
        for word, vector in zip(words[start : start + len(block)], block.astype("<f4", copy=False), strict=True):
            file.write(word.encode() + b" " + vector.tobytes())


def guess_dimension(data: bytes) -> int:
    """The dimension that splits the head of a file without a header into at least two plausible rows.

    Raises ValueError if there is none.
    """
    head = data[:GUESSED_BYTES]
    for dimension in range(2, min(LARGEST_GUESS, len(head) // (2 * FLOAT_BYTES)) + 1):
        position = rows = 0
        while (after := _after_plausible_row(head, position, dimension)) is not None:
            position, rows = after, rows + 1
        rest = head[position:]
        # A truncated head may end within a row; a whole file may not.
        ended = len(rest) < LONGEST_WORD if len(head) < len(data) else not rest.strip(b"\n")
        if rows >= 2 and ended:
            return dimension
    raise ValueError("its first line is not a header with rows and dimension, and no dimension fits the data")


def _after_plausible_row(head: bytes, position: int, dimension: int) -> int | None:
    """End of the row at `position`; None if it is not a complete plausible row."""
    end = head.find(b" ", position)
    after = end + 1 + dimension * FLOAT_BYTES
    if end < 0 or after > len(head) or not _is_plausible_word(head[position:end].lstrip(b"\n")):
        return None
    largest = float(np.abs(np.frombuffer(head, "<f4", dimension, end + 1)).max())
    return after if PLAUSIBLE_LARGEST[0] <= largest <= PLAUSIBLE_LARGEST[1] else None


def _is_plausible_word(word: bytes) -> bool:
    try:
        text = word.decode()
    except UnicodeDecodeError:
        return False
    return 0 < len(text) <= LONGEST_WORD and not CONTROL_CHARACTER.search(text)


def _read_rows(file: IO[bytes], buffer: bytes, read_bytes: int, rows: int | None, dimension: int) -> WordVectors:
    """Read all rows. buffer: data that follows the first `read_bytes` bytes of the file."""
    size = dimension * FLOAT_BYTES
    words: list[bytes] = []
    offsets = array("q")
    numbers = RowBuffer(dimension)
    position = 0
    has_newlines = False
    while rows is None or len(words) < rows:
        end = buffer.find(b" ", position, position + LONGEST_WORD)
        if end < 0 or end + 1 + size > len(buffer):
            if end < 0 and len(buffer) - position > LONGEST_WORD:
                break
            chunk = file.read(CHUNK_BYTES)
            if not chunk:
                break
            read_bytes += position
            buffer, position = buffer[position:] + chunk, 0
            continue
        word = buffer[position:end]
        if len(words) == 1:
            has_newlines = word.startswith(b"\n")
        if words and word.startswith(b"\n") is not has_newlines:
            raise _misaligned(len(words), read_bytes + position)
        word = word.lstrip(b"\n") if not words else word[has_newlines:]
        if b"\n" in word:
            raise _misaligned(len(words), read_bytes + position)
        words.append(word)
        offsets.append(read_bytes + position)
        numbers.append(buffer[end + 1 : end + 1 + size])
        position = end + 1 + size
    if rows is not None and len(words) < rows:
        raise ValueError(
            f"its first line declares {rows} rows of {dimension} numbers, but it ends after {len(words)} complete "
            "rows; it is truncated, or the line is wrong"
        )
    if (buffer[position:] + file.read(CHUNK_BYTES)).strip(b"\n"):
        raise ValueError(f"unexpected data follows row {len(words)}, at byte {read_bytes + position}")
    vectors = numbers.finish()
    texts = decoded(words)
    garbage = _first_garbage(texts, vectors)
    if garbage is not None:
        raise _misaligned(garbage, offsets[garbage])
    return WordVectors(
        texts, vectors, unknown_counts(len(words)), lambda row: f"row {row + 1:,} at byte {offsets[row]}"
    )


def _misaligned(row: int, byte: int) -> ValueError:
    return ValueError(
        f"row {row + 1:,} at byte {byte:,} does not start where the previous row ends: a word contains a space, or "
        "bytes are missing or added; write the file again, without spaces in words"
    )


def _first_garbage(words: Sequence[str], vectors: NDArray[np.float32]) -> int | None:
    """The first row whose word is not text and whose values, or those of the row before, are implausible.

    Some valid files contain a few words in invalid UTF-8, with values like those of the other rows.
    """
    if not NO_TEXT.search("".join(words)):
        return None
    no_text = [row for row, word in enumerate(words) if NO_TEXT.search(word)]
    largest, smallest = np.empty(len(words), np.float32), np.empty(len(words), np.float32)
    finite = np.empty(len(words), np.bool_)
    for start, block in row_blocks(vectors):
        rows = slice(start, start + len(block))
        finite[rows] = np.isfinite(block).all(axis=1)
        sizes = np.abs(np.nan_to_num(block, posinf=np.inf, neginf=np.inf))
        largest[rows] = sizes.max(axis=1)
        smallest[rows] = np.where(sizes == 0, np.inf, sizes).min(axis=1)
    clean = np.ones(len(words), dtype=np.bool_)
    clean[no_text] = False
    usual = np.median(largest[clean]) if clean.any() else 1.0
    wild = ~finite | ~(largest <= WILD * usual) | (smallest < usual / WILD / WILD)
    return next((row for row in no_text if wild[row] or (row and wild[row - 1])), None)
