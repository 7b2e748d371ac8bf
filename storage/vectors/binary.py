"""Word vectors in word2vec's binary form: after the first line of sizes, each word, a blank and its float32 numbers.

word2vec's own tool ends a row with a newline, gensim does not. The second row shows which, and all rows are held to
it: a word with a blank, or a lost byte, would make numbers of letters and words of numbers from there on.
"""

import re
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from storage.vectors.formats import WordVectors, decoded, opened, unknown_counts
from storage.vectors.text import parse_header

CHUNK_BYTES = 1 << 24
LONGEST_WORD = 1 << 16
# DuckDB's longest array; a larger number in a first line is damage.
LARGEST_DIMENSION = 100_000
FLOAT_BYTES = 4
ENDS_A_WORD = re.compile(r"[ \n]")
# What a real row looks like, for files that do not tell their dimension: the bounds of its largest number.
PLAUSIBLE_LARGEST = (1e-3, 1e3)
# Bytes that are not UTF-8, kept as lone surrogates, and the zero byte, which floats are full of.
NO_TEXT = re.compile("[\0\ud800-\udfff]")
WILD = 1e3
CONTROL_CHARACTER = re.compile(r"[\x00-\x1f]")
# Less than who asks has read of a large file, so that a head that was cut is told from a small file.
GUESSED_BYTES = 1 << 19
LARGEST_GUESS = 4096


def read_binary(path: Path) -> WordVectors:
    """The rows of a binary file, with or without a first line of sizes.

    Raises ValueError if it is cut off, longer than it declares, or its dimension is neither told nor to be seen.
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
            raise ValueError(f"its first line declares {dimension} numbers a word, more than {LARGEST_DIMENSION:,}")
        return _read_rows(file, buffer, read_bytes, rows, dimension)


def write_binary(file: IO[bytes], words: Sequence[str], vectors: NDArray[np.float32]) -> None:
    """Write word2vec's binary form of (V, D) vectors, as gensim does: no newline after a row."""
    file.write(b"%d %d\n" % vectors.shape)
    for word, vector in zip(words, vectors.astype("<f4", copy=False), strict=True):
        file.write(word.encode() + b" " + vector.tobytes())


def guess_dimension(data: bytes) -> int:
    """The dimension with which the beginning of a file without a first line falls into at least two plausible rows.

    Raises ValueError if there is none.
    """
    head = data[:GUESSED_BYTES]
    for dimension in range(2, min(LARGEST_GUESS, len(head) // (2 * FLOAT_BYTES)) + 1):
        position = rows = 0
        while (after := _after_plausible_row(head, position, dimension)) is not None:
            position, rows = after, rows + 1
        rest = head[position:]
        # A head that was cut may end within a row; a whole file may not.
        ended = len(rest) < LONGEST_WORD if len(head) < len(data) else not rest.strip(b"\n")
        if rows >= 2 and ended:
            return dimension
    raise ValueError("its first line does not tell rows and dimension, and no dimension fits what follows")


def _after_plausible_row(head: bytes, position: int, dimension: int) -> int | None:
    """Where the row at `position` ends; None if no whole row is there."""
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
    """All rows. buffer: what was read after the first `read_bytes` bytes of the file."""
    size = dimension * FLOAT_BYTES
    words: list[bytes] = []
    offsets = array("q")
    # Grows in place, so that a large file needs no second table.
    numbers = bytearray()
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
        numbers += buffer[end + 1 : end + 1 + size]
        position = end + 1 + size
    if rows is not None and len(words) < rows:
        raise ValueError(
            f"its first line declares {rows} rows of {dimension} numbers and it ends after {len(words)} whole ones; "
            "it is cut off, or the line is wrong"
        )
    if (buffer[position:] + file.read(CHUNK_BYTES)).strip(b"\n"):
        raise ValueError(f"it goes on after row {len(words)}, at byte {read_bytes + position}, with what is no row")
    vectors = np.frombuffer(numbers, dtype="<f4").astype(np.float32, copy=False).reshape(len(words), dimension)
    texts = decoded(words)
    garbage = _first_garbage(texts, vectors)
    if garbage is not None:
        raise _misaligned(garbage, offsets[garbage])
    return WordVectors(
        texts, vectors, unknown_counts(len(words)), lambda row: f"row {row + 1:,} at byte {offsets[row]}"
    )


def _misaligned(row: int, byte: int) -> ValueError:
    return ValueError(
        f"row {row + 1:,} at byte {byte:,} does not begin where the row before it ends: a word holds a blank, or bytes "
        "are lost or added; write the file again, with words that hold no blanks"
    )


def _first_garbage(words: Sequence[str], vectors: NDArray[np.float32]) -> int | None:
    """The first row whose word is no text and whose numbers, or those of the row before, are no vector.

    Some good files hold a few words that are not UTF-8, and their numbers are like those of the other rows.
    """
    if not NO_TEXT.search("".join(words)):
        return None
    no_text = [row for row, word in enumerate(words) if NO_TEXT.search(word)]
    sizes = np.abs(np.nan_to_num(vectors, posinf=np.inf, neginf=np.inf))
    largest = sizes.max(axis=1)
    smallest = np.where(sizes == 0, np.inf, sizes).min(axis=1)
    clean = np.ones(len(words), dtype=np.bool_)
    clean[no_text] = False
    usual = np.median(largest[clean]) if clean.any() else 1.0
    wild = ~np.isfinite(vectors).all(axis=1) | ~(largest <= WILD * usual) | (smallest < usual / WILD / WILD)
    return next((row for row in no_text if wild[row] or (row and wild[row - 1])), None)
