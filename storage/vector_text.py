"""Word vectors as text: word2vec's and fastText's form with a first line of sizes, GloVe's without one.

A row is a word and its numbers, with a blank between them. Rows end at a newline and at nothing else.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from numpy.typing import NDArray

from storage.vector_formats import WordVectors, decoded, opened, unknown_counts

BLOCK_BYTES = 1 << 22
BLOCK_NUMBERS = 1 << 20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# What C's scanf and Python's bytes.split end a word at; gensim ends it at a blank alone.
ENDS_A_WORD = re.compile(r"[ \t\n\v\f\r]")


def read_text(path: Path, *, has_header: bool) -> WordVectors:
    """The rows of a text file; one that has more fields than numbers has a word that holds blanks (GloVe 840B's do).

    has_header: whether the first line tells rows and dimension.
    Raises ValueError that names the first line which is no row, or both numbers where the header does not agree.
    """
    words: list[str] = []
    # Grows in place, so that a large file needs no second table.
    numbers = bytearray()
    with opened(path) as file:
        line = file.readline().removeprefix(BYTE_ORDER_MARK)
        rows, dimension = parse_header(line) if has_header else (None, _dimension(line))
        pending = [] if has_header else [line]
        first = 2 if has_header else 1
        while lines := pending + file.readlines(BLOCK_BYTES):
            pending = []
            block_words, block = _parse_rows(lines, dimension, first + len(words))
            words += block_words
            numbers += block.tobytes()
    if rows is not None and len(words) != rows:
        raise ValueError(
            f"its first line declares {rows} rows and it holds {len(words)}; it may be cut off, or the line is wrong"
        )
    vectors = np.frombuffer(numbers, dtype=np.float32).reshape(len(words), dimension)
    return WordVectors(words, vectors, unknown_counts(len(words)), lambda row: f"line {first + row}")


def parse_header(line: bytes) -> tuple[int, int]:
    """Rows and dimension of a first line. Raises ValueError if it is not two whole numbers above 0."""
    fields = line.split()
    if len(fields) != 2 or not all(field.isdigit() for field in fields):
        raise ValueError(f"its first line is {_shown(line)}, not the number of rows and the dimension")
    rows, dimension = int(fields[0]), int(fields[1])
    if not rows or not dimension:
        raise ValueError(f"its first line declares {rows} rows of {dimension} numbers: there is nothing to read")
    return rows, dimension


def is_row(line: bytes) -> bool:
    """Whether a line is one word and at least one number."""
    _, *numbers = _fields(line.removeprefix(BYTE_ORDER_MARK))
    return bool(numbers) and all(_is_number(number) for number in numbers)


def write_word2vec(file: IO[bytes], words: Sequence[str], vectors: NDArray[np.float32]) -> None:
    """Write word2vec's text form: a first line of sizes, then a row for each of the (V, D) vectors."""
    file.write(b"%d %d\n" % vectors.shape)
    write_glove(file, words, vectors)


def write_glove(file: IO[bytes], words: Sequence[str], vectors: NDArray[np.float32]) -> None:
    """Write GloVe's text form. Each number has the fewest digits that give the same float32 again."""
    for block_words, numbers in _blocks(words, vectors, " "):
        _write_lines(file, pc.binary_join_element_wise(pa.array(block_words, pa.string()), numbers, " "))


def write_tab_separated(file: IO[bytes], vectors: NDArray[np.float32]) -> None:
    """Write the numbers of (V, D) vectors alone, a tab between two of them."""
    for _, numbers in _blocks([""] * len(vectors), vectors, "\t"):
        _write_lines(file, numbers)


def _parse_rows(lines: Sequence[bytes], dimension: int, first: int) -> tuple[list[str], NDArray[np.float32]]:
    """Words and (N, dimension) numbers of some lines. first: number of the first of them, for messages."""
    words, rests = [], []
    for number, line in enumerate(lines, first):
        word, _, rest = line.rstrip(b" \r\n").partition(b" ")
        if not word or not rest or rest.count(b" ") != dimension - 1:
            word, rest = _row_with_blanks(line, dimension, number)
        words.append(word)
        rests.append(rest)
    names = [str(column) for column in range(dimension)]
    try:
        # Arrow reads a number in a third of the time that NumPy needs, and rounds it to float32 once.
        table = pa.csv.read_csv(
            pa.BufferReader(b"\n".join(rests)),
            read_options=pa.csv.ReadOptions(column_names=names),
            parse_options=pa.csv.ParseOptions(delimiter=" ", quote_char=False),
            convert_options=pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.float32()), null_values=[]),
        )
    except pa.ArrowInvalid as error:
        raise ValueError(_first_wrong_number(rests, first) or f"lines from {first}: {error}") from error
    block = np.empty((table.num_rows, dimension), dtype=np.float32)
    for column in range(dimension):
        block[:, column] = table.column(column).to_numpy()
    return decoded(words), block


def _row_with_blanks(line: bytes, dimension: int, number: int) -> tuple[bytes, bytes]:
    """Word and numbers of a line whose word holds blanks.

    Only where it can be told from a row with too many numbers: no piece of the word is empty, its last is no number.
    """
    fields = _fields(line)
    pieces, numbers = fields[:-dimension], fields[-dimension:]
    if len(pieces) < 2 or b"" in fields or _is_number(pieces[-1]) or not all(map(_is_number, numbers)):
        raise ValueError(
            f"line {number} is {_shown(line)}: not a word and {dimension} numbers with one blank between them; "
            "the file may be cut off"
        )
    return b" ".join(pieces), b" ".join(numbers)


def _first_wrong_number(rests: Sequence[bytes], first: int) -> str | None:
    for number, rest in enumerate(rests, first):
        for field in rest.split(b" "):
            if not _is_number(field):
                return f"line {number} has {_shown(field)} where a number should be"
    return None


def _dimension(line: bytes) -> int:
    if not is_row(line):
        raise ValueError(f"its first line is {_shown(line)}, not a word and its numbers")
    return len(_fields(line)) - 1


def _fields(line: bytes) -> list[bytes]:
    return line.rstrip(b" \r\n").split(b" ")


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _shown(line: bytes) -> str:
    text = line.rstrip(b"\r\n").decode(errors="replace")
    return repr(text if len(text) <= 60 else text[:60] + "…")


def _blocks(
    words: Sequence[str], vectors: NDArray[np.float32], delimiter: str
) -> Iterator[tuple[Sequence[str], pa.StringArray]]:
    """Words and their rows of numbers as text, in blocks whose text stays far below Arrow's 2 GiB."""
    dimension = vectors.shape[1]
    block_rows = max(1, BLOCK_NUMBERS // dimension)
    for start in range(0, len(words), block_rows):
        block = np.ascontiguousarray(vectors[start : start + block_rows], dtype=np.float32)
        numbers = pc.cast(pa.array(block.reshape(-1)), pa.string())
        rows = pa.FixedSizeListArray.from_arrays(numbers, dimension).cast(pa.list_(pa.string()))
        yield words[start : start + block_rows], pc.binary_join(rows, delimiter)


def _write_lines(file: IO[bytes], lines: pa.StringArray) -> None:
    file.write(pc.binary_join(pa.ListArray.from_arrays([0, len(lines)], lines), "\n")[0].as_buffer())
    file.write(b"\n")
