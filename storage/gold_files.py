"""The rows of a gold file, whatever separates them: word pairs with a score, or analogy questions.

A byte order mark, empty lines, comments and one heading are passed over. A row that is not of the expected form is
left out and its line remembered, so that one slip in a long list does not cost the whole of it.
"""

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

# What tags the words of some lists, such as `sun-n` in the lemmatised form of MEN.
PART_OF_SPEECH = re.compile(r"(.+)[-_#/](?:[nvjar]|NN|VB|JJ|RB|NOUN|VERB|ADJ|ADV)")
SECTION = ":"
# Characters. csv has a limit too, but it is one for the whole process, and readers of long texts raise it.
LONGEST_ROW = 1 << 16
SECTION_HEADINGS = {"type", "category", "section", "relation"}


class Pair(NamedTuple):
    """Two words and how like each other people find them."""

    first: str
    second: str
    score: float


class Question(NamedTuple):
    """a is to b as c is to d."""

    a: str
    b: str
    c: str
    d: str


def parse_pairs(text: str) -> tuple[list[Pair], list[int]]:
    """The pairs of a text and the numbers of the lines that are none.

    The score stands in the column where most rows have their first number after two words, so that headings and
    files with further columns (SimLex-999 and SimVerb as published, RW, the parts of WordSim-353) are read too.
    Part-of-speech tags are removed where every word of the text has one.
    """
    lines = [(number, _fields(line)) for number, line in _content_lines(text, comments=("#",))]
    columns = Counter(column for _, fields in lines if (column := _first_number(fields)) is not None)
    score_column = columns.most_common(1)[0][0] if columns else 2
    pairs: list[Pair] = []
    bad: list[int] = []
    for place, (number, fields) in enumerate(lines):
        score = _number(fields[score_column]) if len(fields) > score_column else None
        if score is not None and fields[0] and fields[1]:
            pairs.append(Pair(fields[0], fields[1], score))
        elif place or len(fields) < 3:
            bad.append(number)
    return _without_parts_of_speech(pairs), bad


def parse_questions(text: str, first_section: str) -> tuple[dict[str, list[Question]], list[int]]:
    """The questions of a text by section, and the numbers of the lines that are none.

    Rows are four words below a line `: section` (Google's form), or the section and four words, separated by tabs or
    commas. first_section: of questions that name none.
    """
    sections: dict[str, list[Question]] = {}
    bad: list[int] = []
    section = first_section
    for place, (number, line) in enumerate(_content_lines(text, comments=("#", "//"))):
        fields = _fields(line)
        if line.startswith(SECTION):
            section = line.lstrip(f"{SECTION} ").strip()
        elif place == 0 and fields and fields[0].casefold() in SECTION_HEADINGS:
            continue
        elif len(fields) == 4 and all(fields):
            sections.setdefault(section, []).append(Question(*fields))
        elif len(fields) == 5 and all(fields):
            sections.setdefault(fields[0], []).append(Question(*fields[1:]))
        else:
            bad.append(number)
    return sections, bad


def holds_questions(text: str) -> bool:
    """Whether most rows of a text are analogy questions rather than pairs with a score."""
    questions = pairs = 0
    for _, line in _content_lines(text, comments=("#", "//")):
        if line.startswith(SECTION):
            return True
        fields = _fields(line)
        if _first_number(fields) is not None:
            pairs += 1
        elif len(fields) in (4, 5):
            questions += 1
    return questions > pairs


def _content_lines(text: str, comments: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """Line number from 1 and stripped line, for the lines that say something."""
    # str.splitlines would also split at characters that words may hold, such as a line separator.
    for number, raw in enumerate(io.StringIO(text, newline=None), start=1):
        line = raw.strip()
        if line and not line.startswith(comments):
            yield number, line


def _fields(line: str) -> list[str]:
    if len(line) > LONGEST_ROW:
        return []
    if "\t" in line:
        fields = line.split("\t")
    elif "," in line:
        fields = next(csv.reader([line]))
    else:
        fields = line.split()
    return [field.strip() for field in fields]


def _first_number(fields: Sequence[str]) -> int | None:
    """The first column after the two words that holds a number."""
    return next((column for column, field in enumerate(fields) if column > 1 and _number(field) is not None), None)


def _number(field: str) -> float | None:
    try:
        number = float(field)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _without_parts_of_speech(pairs: list[Pair]) -> list[Pair]:
    tagged = [(PART_OF_SPEECH.fullmatch(pair.first), PART_OF_SPEECH.fullmatch(pair.second)) for pair in pairs]
    bare = [Pair(a[1], b[1], pair.score) for pair, (a, b) in zip(pairs, tagged, strict=True) if a and b]
    return bare if len(bare) == len(pairs) else pairs
