"""The rows of a gold file as one table, whatever separates its columns.

The delimiter and the number of columns are those with which most lines form a usable row. A line with another number
of fields is left out and its number remembered, so a decimal comma in a file of commas never shifts a score.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from storage.gold.written_numbers import looks_numeric

SECTION = ":"
COMMENTS = ("#", "//")
# In the order of preference where two fit equally.
DELIMITERS = ("\t", ";", "|", ",", " ")
DELIMITER_NAMES = {"\t": "tabs", ";": "semicolons", ",": "commas", "|": "vertical bars", " ": "blanks"}
# Characters. csv has a limit too, but it is one for the whole process, and readers of long texts raise it.
LONGEST_ROW = 1 << 16
LEADING_WORD = re.compile(r"#\w")
BLANKS = re.compile(r"\s+")


@dataclass(frozen=True)
class Row:
    """A line of a gold file. line: its number, from 1.  section: the one that it is in, None before any."""

    line: int
    fields: tuple[str, ...]
    section: str | None


@dataclass(frozen=True)
class GoldTable:
    """Rows of one width, and the numbers of the lines that have another.

    comments: the fields of comment lines, where a heading may be.
    """

    delimiter: str
    width: int
    rows: tuple[Row, ...]
    others: tuple[Row, ...]
    comments: tuple[tuple[str, ...], ...]
    has_sections: bool

    def column(self, number: int) -> list[str]:
        """The cells of a column, counted from 0."""
        return [row.fields[number] for row in self.rows]


def read_table(text: str, *, pairs: bool = True, questions: bool = True) -> GoldTable:
    """The table of a text. pairs, questions: which of the two kinds of rows are looked for.

    A table without columns (width 0) if no line is such a row.
    """
    lines = list(_content_lines(text, pairs_only=not questions))
    best: tuple[int, str, int] = (0, " ", 0)
    for delimiter in (mark for mark in DELIMITERS if mark == " " or any(mark in line for _, line, _ in lines)):
        widths: Counter[int] = Counter()
        for _, line, _ in lines:
            parts = split_line(line, delimiter)
            if _is_candidate(parts, pairs, questions):
                widths[len(parts)] += 1
        for width, count in widths.items():
            if count > best[0]:
                best = (count, delimiter, width)
    _, delimiter, width = best
    everything = [Row(number, tuple(split_line(line, delimiter)), section) for number, line, section in lines]
    usable = [row for row in everything if len(row.fields) == width and width]
    comments, hidden = [], []
    for number, line in _comment_lines(text):
        comments.append(tuple(split_line(line.lstrip("#/ \t"), delimiter)))
        values = tuple(split_line(line, delimiter))
        # `#word` begins a row as well as a comment: such a line is named, not passed over.
        if LEADING_WORD.match(line) and len(values) == width and pairs and looks_numeric(values[-1]):
            hidden.append(Row(number, values, None))
    others = [row for row in everything if len(row.fields) != width or not width]
    return GoldTable(
        delimiter,
        width,
        tuple(usable),
        tuple(sorted([*others, *hidden], key=lambda row: row.line)),
        tuple(comments),
        any(section is not None for _, _, section in lines),
    )


def split_line(line: str, delimiter: str) -> list[str]:
    """The fields of a line without the blanks around them; quotes around a field are removed."""
    if len(line) > LONGEST_ROW:
        return []
    if delimiter == " ":
        line = BLANKS.sub(" ", line)
    if '"' in line:
        try:
            fields = next(csv.reader([line], delimiter=delimiter, strict=True, skipinitialspace=True), [])
            return [field.strip() for field in fields]
        except csv.Error:  # a quotation mark that is part of a word
            pass
    return [field.strip() for field in line.split(delimiter)]


def _comment_lines(text: str) -> Iterator[tuple[int, str]]:
    for number, raw in enumerate(io.StringIO(text, newline=None), start=1):
        if raw.strip().startswith(COMMENTS):
            yield number, raw.strip()


def _content_lines(text: str, *, pairs_only: bool) -> Iterator[tuple[int, str, str | None]]:
    """Number from 1, content and section of the lines that say something."""
    section = None
    # str.splitlines would also split at characters that words may hold, such as a line separator.
    for number, raw in enumerate(io.StringIO(text, newline=None), start=1):
        line = raw.strip(" \r\n")
        if not line.strip() or line.strip().startswith(COMMENTS):
            continue
        if line.startswith(SECTION) and not pairs_only:
            section = line.lstrip(f"{SECTION} ").strip()
            continue
        yield number, line, section


def _is_candidate(fields: Sequence[str], pairs: bool, questions: bool) -> bool:
    numbers = sum(map(looks_numeric, fields))
    # `gem jewel 3` in front of `,94` is a row of blanks and decimal commas, split at the wrong mark.
    texts = sum(bool(field) and not any(map(looks_numeric, field.split())) for field in fields)
    return (pairs and numbers >= 1 and texts >= 2) or (questions and texts >= 4)
