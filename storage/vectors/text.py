"""Word vectors as text: word2vec and fastText have a header line, GloVe does not.

A row is a word and its numbers, separated by single spaces. Only a newline ends a row.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from numpy.typing import NDArray

from storage.files.large_arrays import RowBuffer, row_blocks
from storage.vectors.formats import WordVectors, decoded, opened, unknown_counts

BLOCK_BYTES = 1 << 22
BLOCK_NUMBERS = 1 << 20
# Lines after the first used to detect the dimension.
ROWS_COMPARED = 8
LONGEST_PHRASE = 32
TAB_AND_NUMBER = re.compile(rb"\t[+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?\Z")
NOT_A_NUMBER = re.compile(rb"[+-]?(?:1\.#(?:IND|QNAN|SNAN)0*|nan\([a-z]*\))", re.IGNORECASE)
INFINITE = re.compile(rb"[+-]?1\.#INF0*", re.IGNORECASE)
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# Word separators of C's scanf and Python's bytes.split; gensim splits only at spaces.
ENDS_A_WORD = re.compile(r"[ \t\n\v\f\r]")


def read_text(path: Path, *, has_header: bool) -> WordVectors:
    """Read a text file. Words may contain spaces (as in GloVe 840B): the dimension decides where the numbers start.

    has_header: whether the first line is the header with rows and dimension.
    Raises ValueError with the first malformed line, or with both numbers if the header disagrees.
    """
    words: list[str] = []
    with opened(path) as file:
        line = file.readline().removeprefix(BYTE_ORDER_MARK)
        pending = [] if has_header else [line, *(file.readline() for _ in range(ROWS_COMPARED))]
        rows, dimension = parse_header(line) if has_header else (None, _dimension(pending))
        first = 2 if has_header else 1
        unclear: dict[int, str] = {}
        numbers = RowBuffer(dimension)
        while lines := pending + file.readlines(BLOCK_BYTES):
            pending = []
            # Blank lines are ignored at the end of a file, but are errors before another row.
            while lines and not lines[-1].strip():
                pending.append(lines.pop())
            if not lines:
                more = file.readlines(BLOCK_BYTES)
                if not more:
                    break
                pending += more
                continue
            block_words, block, block_unclear = _parse_rows(lines, dimension, first + len(words))
            unclear |= {len(words) + row: reason for row, reason in block_unclear.items()}
            words += block_words
            numbers.append(block)
    if rows is not None and len(words) != rows:
        raise ValueError(
            f"its first line declares {rows} rows, but it has {len(words)}; it may be truncated, or the line is wrong"
        )
    return WordVectors(words, numbers.finish(), unknown_counts(len(words)), lambda row: f"line {first + row}", unclear)


def parse_header(line: bytes) -> tuple[int, int]:
    """Rows and dimension of a header line. Raises ValueError if it is not two positive integers."""
    fields = line.split()
    if len(fields) != 2 or not all(field.isdigit() for field in fields):
        raise ValueError(f"its first line is {_shown(line)}, not the number of rows and the dimension")
    rows, dimension = int(fields[0]), int(fields[1])
    if not rows or not dimension:
        raise ValueError(f"its first line declares {rows} rows of {dimension} numbers: nothing to read")
    return rows, dimension


def is_row(line: bytes) -> bool:
    """Whether a line is one word and at least one number."""
    _, *numbers = _fields(line.removeprefix(BYTE_ORDER_MARK))
    return bool(numbers) and all(_is_number(number) for number in numbers)


def write_word2vec(file: IO[bytes], words: Sequence[str], vectors: NDArray[np.float32]) -> None:
    """Write (V, D) vectors in word2vec's text format: a header line, then the rows."""
    file.write(b"%d %d\n" % vectors.shape)
    write_glove(file, words, vectors)


def write_glove(file: IO[bytes], words: Sequence[str], vectors: NDArray[np.float32]) -> None:
    """Write GloVe's text format. Numbers have the fewest digits that round-trip as float32."""
    for block_words, numbers in _blocks(words, vectors, " "):
        _write_lines(file, pc.binary_join_element_wise(pa.array(block_words, pa.string()), numbers, " "))


def write_tab_separated(file: IO[bytes], vectors: NDArray[np.float32]) -> None:
    """Write only the numbers of (V, D) vectors, separated by tabs."""
    for _, numbers in _blocks([""] * len(vectors), vectors, "\t"):
        _write_lines(file, numbers)


def _parse_rows(
    lines: Sequence[bytes], dimension: int, first: int
) -> tuple[list[str], NDArray[np.float32], dict[int, str]]:
    """Words and (N, dimension) numbers of N lines, and row index -> reason for ambiguous words.

    first: number of the first line, for messages.
    """
    words, rests = [], []
    unclear: dict[int, str] = {}
    for number, line in enumerate(lines, first):
        word, _, rest = line.rstrip(b" \r\n").partition(b" ")
        if not word or not rest or rest.count(b" ") != dimension - 1:
            word, rest, reason = _row_with_blanks(line, dimension, number)
            if reason:
                unclear[number - first] = reason
        elif b"\t" in word and TAB_AND_NUMBER.search(word):
            raise ValueError(
                f"line {number} is {_shown(line)}: a tab and a number in the word; separate all fields with spaces"
            )
        words.append(word)
        rests.append(rest)
    if len(unclear) * 2 > len(lines):
        position = next(iter(unclear))
        raise ValueError(f"line {first + position} is {_shown(lines[position])}: not a word and {dimension} numbers")
    try:
        block = _parse_numbers(b"\n".join(rests), dimension)
    except pa.ArrowInvalid:
        # Windows C runtimes write NaN and infinity like this.
        rests = [INFINITE.sub(b"inf", NOT_A_NUMBER.sub(b"nan", rest)) for rest in rests]
        try:
            block = _parse_numbers(b"\n".join(rests), dimension)
        except pa.ArrowInvalid as error:
            raise ValueError(_first_wrong_number(rests, first) or f"lines from {first}: {error}") from error
    return decoded(words), block, unclear


def _parse_numbers(text: bytes, dimension: int) -> NDArray[np.float32]:
    """Parse rows of space-separated numbers. Raises ArrowInvalid for anything else."""
    names = [str(column) for column in range(dimension)]
    # Arrow parses numbers three times as fast as NumPy, and rounds to float32 once.
    table = pa.csv.read_csv(
        pa.BufferReader(text),
        read_options=pa.csv.ReadOptions(column_names=names),
        parse_options=pa.csv.ParseOptions(delimiter=" ", quote_char=False),
        convert_options=pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.float32()), null_values=[]),
    )
    block = np.empty((table.num_rows, dimension), dtype=np.float32)
    for column in range(dimension):
        block[:, column] = table.column(column).to_numpy()
    return block


def _row_with_blanks(line: bytes, dimension: int, number: int) -> tuple[bytes, bytes, str | None]:
    """Word and numbers of a line whose word contains spaces or is empty, and the reason if it is ambiguous.

    A word is unambiguous if none of its parts is empty and the last is not a number (which may be a surplus value).
    """
    fields = _fields(line)
    pieces, numbers = fields[:-dimension], fields[-dimension:]
    if not pieces or not all(map(_is_number, numbers)):
        raise ValueError(
            f"line {number} is {_shown(line)}: not a word and {dimension} numbers separated by single spaces; "
            "the file may be truncated"
        )
    reason = None
    word = b" ".join(pieces)
    if not word.strip():
        reason = "its word is empty"
    elif _is_number(pieces[-1]):
        # More numbers than words: a wrong dimension rather than a word with spaces.
        if sum(map(_is_number, pieces[1:])) > 1 or len(pieces) > LONGEST_PHRASE:
            raise ValueError(f"line {number} is {_shown(line)}: not a word and {dimension} numbers")
        reason = "its word ends in a number, or the row has too many numbers"
    elif b"" in fields:
        reason = "its word contains consecutive spaces"
    return word, b" ".join(numbers), reason


def _first_wrong_number(rests: Sequence[bytes], first: int) -> str | None:
    for number, rest in enumerate(rests, first):
        for field in rest.split(b" "):
            if not _is_number(field):
                return f"line {number} has {_shown(field)} where a number should be"
    return None


def _dimension(lines: Sequence[bytes]) -> int:
    """The dimension of most of the first lines; single words may contain spaces."""
    found = Counter(len(_fields(line)) - 1 for line in lines if is_row(line))
    if not found:
        raise ValueError(f"its first line is {_shown(lines[0])}, not a word and its numbers")
    return found.most_common(1)[0][0]


def _fields(line: bytes) -> list[bytes]:
    return line.rstrip(b" \r\n").split(b" ")


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return bool(NOT_A_NUMBER.fullmatch(field) or INFINITE.fullmatch(field))
    return b"_" not in field


def _shown(line: bytes) -> str:
    text = line.rstrip(b"\r\n").decode(errors="replace")
    return repr(text if len(text) <= 60 else text[:60] + "…")


def _blocks(
    words: Sequence[str], vectors: NDArray[np.float32], delimiter: str
) -> Iterator[tuple[Sequence[str], pa.StringArray]]:
    """Words and their rows of numbers as text, in blocks far below Arrow's limit of 2 GiB."""
    dimension = vectors.shape[1]
    for start, block in row_blocks(vectors, max(1, BLOCK_NUMBERS // dimension)):
        numbers = pc.cast(pa.array(np.ascontiguousarray(block, dtype=np.float32).reshape(-1)), pa.string())
        rows = pa.FixedSizeListArray.from_arrays(numbers, dimension).cast(pa.list_(pa.string()))
        yield words[start : start + len(block)], pc.binary_join(rows, delimiter)


def _write_lines(file: IO[bytes], lines: pa.StringArray) -> None:
    file.write(pc.binary_join(pa.ListArray.from_arrays([0, len(lines)], lines), "\n")[0].as_buffer())
    file.write(b"\n")
