"""The pairs or questions of a gold file, whatever its columns and separators.

A byte order mark, empty lines, comments and one heading are skipped. Malformed rows are skipped too and their line
numbers recorded, so that one mistake doesn't make a long list unusable.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from storage.gold.columns import Columns, ColumnsError, NoRowsError, choose_columns
from storage.gold.table import GoldTable, read_table
from storage.gold.written_numbers import AmbiguousNumbersError, column_numbers

# Part-of-speech tags of some lists, such as `sun-n` in the lemmatised form of MEN.
PART_OF_SPEECH = re.compile(r"(.+)[-_#/](?:[nvjar]|NN|VB|JJ|RB|NOUN|VERB|ADJ|ADV)")


class Pair(NamedTuple):
    """Two words and the similarity that people assigned."""

    first: str
    second: str
    score: float


class Question(NamedTuple):
    """a is to b as c is to d."""

    a: str
    b: str
    c: str
    d: str


@dataclass(frozen=True)
class GoldRows:
    """Content of a gold file: pairs, or questions by section; neither if no line is usable.

    bad: numbers of the malformed lines.  columns: description of the columns, for people.
    """

    pairs: list[Pair]
    sections: dict[str, list[Question]]
    bad: list[int]
    columns: str = ""


def parse_gold(
    text: str, first_section: str, columns: Sequence[str] = (), *, pairs: bool = True, questions: bool = True
) -> GoldRows:
    """Parse a text. pairs, questions: what it may contain; if both, the columns decide.

    first_section: section of questions without one.  columns: names, or numbers from 1, of the columns to read: two
    words and the score, four words, or the section and four words; empty to detect them.
    Raises ValueError if the columns or the number format are ambiguous.
    """
    pairs, questions = (pairs and len(columns) in (0, 3)), (questions and len(columns) in (0, 4, 5))
    table = read_table(text, pairs=pairs, questions=questions)
    try:
        chosen = choose_columns(table, columns, pairs=pairs, questions=questions)
    except NoRowsError:
        bad = [row.line for row in (*table.rows, *table.others)]
        return GoldRows([], {}, _without_heading(text, sorted(bad)))
    except ColumnsError as error:
        first = table.rows[0].fields
        shown = ", ".join(f"{number} ({field[:24]})" for number, field in enumerate(first[:12], 1))
        raise ValueError(f"{error}; its columns are {shown}") from error
    if chosen.score is None:
        return _questions(table, chosen, first_section)
    if table.has_sections:
        # Pairs have no sections: a line that starts with a colon is an ordinary row.
        return parse_gold(text, first_section, columns, questions=False)
    return _pairs(table, chosen)


def _pairs(table: GoldTable, columns: Columns) -> GoldRows:
    rows = [row for row in table.rows if row is not columns.heading]
    bad = [row.line for row in table.others if row is not columns.heading]
    first, second = columns.words
    assert columns.score is not None
    try:
        scores = column_numbers([row.fields[columns.score] for row in rows])
    except AmbiguousNumbersError as error:
        raise ValueError(f"the scores in column {columns.score + 1} are ambiguous: {error}") from error
    pairs = []
    for row, score in zip(rows, scores, strict=True):
        if score is not None and row.fields[first] and row.fields[second]:
            pairs.append(Pair(row.fields[first], row.fields[second], score))
        else:
            bad.append(row.line)
    return GoldRows(_without_parts_of_speech(pairs), {}, sorted(bad), columns.describe(table))


def _questions(table: GoldTable, columns: Columns, first_section: str) -> GoldRows:
    sections: dict[str, list[Question]] = {}
    bad = [row.line for row in table.others if row is not columns.heading]
    for row in table.rows:
        if row is columns.heading:
            continue
        words = [row.fields[column] for column in columns.words]
        section = row.section if columns.section is None else row.fields[columns.section]
        if all(words) and section != "":
            sections.setdefault(first_section if section is None else section, []).append(Question(*words))
        else:
            bad.append(row.line)
    return GoldRows([], sections, sorted(bad), columns.describe(table))


def _without_heading(text: str, bad: list[int]) -> list[int]:
    """The bad lines of a text without usable rows, except a heading in the first."""
    lines = text.splitlines()
    is_heading = bad and bad[0] <= len(lines) and re.match(r"\W*word ?_?1|type\b", lines[bad[0] - 1], re.IGNORECASE)
    return bad[1:] if is_heading else bad


def _without_parts_of_speech(pairs: list[Pair]) -> list[Pair]:
    tagged = [(PART_OF_SPEECH.fullmatch(pair.first), PART_OF_SPEECH.fullmatch(pair.second)) for pair in pairs]
    bare = [Pair(a[1], b[1], pair.score) for pair, (a, b) in zip(pairs, tagged, strict=True) if a and b]
    return bare if len(bare) == len(pairs) else pairs
