"""Word vectors as text: word2vec's and fastText's form with a first line of sizes, GloVe's without one.

A row is a word and its numbers, with a blank between them. Rows end at a newline and at nothing else.
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

from storage.vectors.formats import WordVectors, decoded, opened, unknown_counts

BLOCK_BYTES = 1 << 22
BLOCK_NUMBERS = 1 << 20
# Lines after the first that show which dimension a file has.
ROWS_COMPARED = 8
LONGEST_PHRASE = 32
TAB_AND_NUMBER = re.compile(rb"\t[+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?\Z")
NOT_A_NUMBER = re.compile(rb"[+-]?(?:1\.#(?:IND|QNAN|SNAN)0*|nan\([a-z]*\))", re.IGNORECASE)
INFINITE = re.compile(rb"[+-]?1\.#INF0*", re.IGNORECASE)
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
        pending = [] if has_header else [line, *(file.readline() for _ in range(ROWS_COMPARED))]
        rows, dimension = parse_header(line) if has_header else (None, _dimension(pending))
        first = 2 if has_header else 1
        unclear: dict[int, str] = {}
        while lines := pending + file.readlines(BLOCK_BYTES):
            pending = []
            # Blank lines at the end of a file are no rows; they are before another row.
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
            numbers += block.tobytes()
    if rows is not None and len(words) != rows:
        raise ValueError(
            f"its first line declares {rows} rows and it holds {len(words)}; it may be cut off, or the line is wrong"
        )
    vectors = np.frombuffer(numbers, dtype=np.float32).reshape(len(words), dimension)
    return WordVectors(words, vectors, unknown_counts(len(words)), lambda row: f"line {first + row}", unclear)


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


def _parse_rows(
    lines: Sequence[bytes], dimension: int, first: int
) -> tuple[list[str], NDArray[np.float32], dict[int, str]]:
    """Words and (N, dimension) numbers of some lines, and why a row's word is not clear, by index of the row.

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
                f"line {number} is {_shown(line)}: a tab and a number in the word; separate all fields by blanks"
            )
        words.append(word)
        rests.append(rest)
    if len(unclear) * 2 > len(lines):
        place = next(iter(unclear))
        raise ValueError(f"line {first + place} is {_shown(lines[place])}: not a word and {dimension} numbers")
    try:
        block = _parse_numbers(b"\n".join(rests), dimension)
    except pa.ArrowInvalid:
        # As C libraries of Windows write what is no number.
        rests = [INFINITE.sub(b"inf", NOT_A_NUMBER.sub(b"nan", rest)) for rest in rests]
        try:
            block = _parse_numbers(b"\n".join(rests), dimension)
        except pa.ArrowInvalid as error:
            raise ValueError(_first_wrong_number(rests, first) or f"lines from {first}: {error}") from error
    return decoded(words), block, unclear


def _parse_numbers(text: bytes, dimension: int) -> NDArray[np.float32]:
    """Rows of numbers with a blank between two of them. Raises ArrowInvalid where one is no number."""
    names = [str(column) for column in range(dimension)]
    # Arrow reads a number in a third of the time that NumPy needs, and rounds it to float32 once.
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
    """Word and numbers of a line whose word holds blanks or nothing, and why the word is not clear.

    Clear is a word whose pieces are not empty and whose last piece is no number, as one of too many numbers would be.
    """
    fields = _fields(line)
    pieces, numbers = fields[:-dimension], fields[-dimension:]
    if not pieces or not all(map(_is_number, numbers)):
        raise ValueError(
            f"line {number} is {_shown(line)}: not a word and {dimension} numbers with one blank between them; "
            "the file may be cut off"
        )
    reason = None
    word = b" ".join(pieces)
    if not word.strip():
        reason = "its word is empty"
    elif _is_number(pieces[-1]):
        # More numbers than words: another dimension rather than a word of blanks.
        if sum(map(_is_number, pieces[1:])) > 1 or len(pieces) > LONGEST_PHRASE:
            raise ValueError(f"line {number} is {_shown(line)}: not a word and {dimension} numbers")
        reason = "its word ends in a number, or the row has too many numbers"
    elif b"" in fields:
        reason = "its word holds several blanks in a row"
    return word, b" ".join(numbers), reason


def _first_wrong_number(rests: Sequence[bytes], first: int) -> str | None:
    for number, rest in enumerate(rests, first):
        for field in rest.split(b" "):
            if not _is_number(field):
                return f"line {number} has {_shown(field)} where a number should be"
    return None


def _dimension(lines: Sequence[bytes]) -> int:
    """The dimension that most of the first lines have; one of them may have a word of blanks."""
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
