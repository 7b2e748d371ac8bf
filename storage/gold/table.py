"""The rows of a gold file as a table, with any separator.

The delimiter and the number of columns are chosen to maximise the number of usable rows. Lines with a different number
of fields are skipped and recorded, so a decimal comma in a comma-separated file never shifts a score.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from storage.gold.written_numbers import looks_numeric

SECTION = ":"
COMMENTS = ("#", "//")
# In order of preference, for ties.
DELIMITERS = ("\t", ";", "|", ",", " ")
DELIMITER_NAMES = {"\t": "tabs", ";": "semicolons", ",": "commas", "|": "vertical bars", " ": "spaces"}
# Characters. csv's own limit is global to the process, and readers of long texts raise it.
LONGEST_ROW = 1 << 16
LEADING_WORD = re.compile(r"#\w")
BLANKS = re.compile(r"\s+")


@dataclass(frozen=True)
class Row:
    """A line of a gold file. line: number, from 1.  section: current section; None before the first."""

    line: int
    fields: tuple[str, ...]
    section: str | None


@dataclass(frozen=True)
class GoldTable:
    """Rows of equal width, and the other rows.

    comments: fields of comment lines, which may contain a heading.
    """

    delimiter: str
    width: int
    rows: tuple[Row, ...]
    others: tuple[Row, ...]
    comments: tuple[tuple[str, ...], ...]
    has_sections: bool

    def column(self, number: int) -> list[str]:
        """The cells of a column; number counts from 0."""
        return [row.fields[number] for row in self.rows]


def read_table(text: str, *, pairs: bool = True, questions: bool = True) -> GoldTable:
    """Parse a text into a table. pairs, questions: the kinds of rows to look for.

    The width is 0 if there are no such rows.
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
        # `#word` may start a row or a comment, so such a line is reported rather than skipped.
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
    """The fields of a line, stripped of surrounding spaces and quotes."""
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
    """Number (from 1), content and section of the non-empty lines."""
    section = None
    # str.splitlines would also split at characters that words may contain, such as U+2028.
    for number, raw in enumerate(io.StringIO(text, newline=None), start=1):
        line = raw.strip(" \r\n")
        if not line.strip() or line.strip().startswith(COMMENTS):
            continue
        if line.startswith(SECTION) and not pairs_only:
            section = line.lstrip(f"{SECTION} ").strip()
            continue
        yield number, line, section


def _is_candidate(fields: Sequence[str], pairs: bool, questions: bool) -> bool:
    numbers, texts = map(sum, zip(*map(_number_and_text, fields), strict=True)) if fields else (0, 0)
    return (pairs and numbers >= 1 and texts >= 2) or (questions and texts >= 4)


# A list of 20,000 questions has a thousand distinct words.
@lru_cache(maxsize=1 << 14)
def _number_and_text(field: str) -> tuple[bool, bool]:
    """Whether a field is a number, and whether it is text."""
    # `gem jewel 3` before `,94` is a space-separated row with a decimal comma, split at the comma.
    return looks_numeric(field), bool(field) and not any(map(looks_numeric, field.split()))
