"""Detect the columns of a gold file: two words and a score, or the four words of a question and their section.

Known names in the heading decide; otherwise the content does. Ambiguous files are rejected.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from storage.gold.table import DELIMITER_NAMES, GoldTable, Row
from storage.gold.written_numbers import AmbiguousNumbersError, column_numbers, looks_numeric, whole_number

# Heading names, compared in lower case with only letters and digits.
_WORD = "(?:the)?(?:word|w|term|token|item|lemma|verb|noun|concept|phrase|entity|wort|mot|palabra|parola|단어|target)"
FIRST = re.compile(f"{_WORD}(?:1|a|i|one|x)|first(?:word)?|(?:1st)word|word|target")
SECOND = re.compile(f"{_WORD}(?:2|b|ii|two|y)|second(?:word)?|(?:2nd)word|context")
QUESTION_WORDS = re.compile(f"{_WORD}(?:[1-4]|[a-d])|[abcd]|target|expected|answer")
BEST_SCORE = re.compile(
    r"(?:human|gold|mean|average|avg|kor|word|pair)?(?:score|similarity|relatedness|rating)s?|sim|rel|mean|average|avg|gold"
    r"|human(?:mean|rating|score|judge?ment)?|averagescore|meanscore|simlex999|simlex|simverb3500|simverb|ähnlichkeit"
    r"|bewertung|mittelwert|점수"
)
SCORE = re.compile(r".*(?:score|similarity|relatedness|rating|mean|human|gold).*")
# Numeric columns other than the score.
AUXILIARY = re.compile(
    r"(?:sd|std|stdev|stddev|var|variance|stderr|sem|conc|assoc|simassoc|freq|count|min|max|median|rank|num).*|.*(?:std|stdev|deviation)"
    r"|n|k|(?:r|rater|annotator|subject|judge|worker|s|a)?\d+"
)
INDEX = re.compile(
    r"(?:unnamed.*|index|idx|id|no|nr|number|row|line|rownames?|(?:pair|row|item|question)(?:id|no|nr)|)"
)
SECTION_NAMES = re.compile(r"type|category|section|relation|subtype|subcategory|class")
LABEL = re.compile(
    r"pos\d?|partofspeech|tag|relation|reltype|type|category|class|group|dataset|source|split|lang|language|id"
)
PARTS_OF_SPEECH = re.compile(
    r"[nvajrs]|nn[ps]?|vb[dgnz]?|jjr?|rb|noun|verb|adj|adv|adjective|adverb|propn|det", re.IGNORECASE
)
RUNNING_NAME = re.compile(r"[^\W\d_]*[-_]?\d+")
NOT_COMPARED = re.compile(r"[\W_]+")
LABELS_OF_ALL_ROWS = 20
ROWS_PER_LABEL = 8
WORDS_OF_A_SENTENCE = 4
FEWEST_RATERS = 3


class ColumnsError(ValueError):
    """The columns of a gold file are ambiguous. The message doesn't name the file and ends with the columns."""


class NoRowsError(ValueError):
    """There are no usable rows."""


@dataclass(frozen=True)
class Columns:
    """Columns to read, counted from 0. score: None for questions.  section: None for pairs, and if section lines exist.

    heading: the row with the column names, if any; it is not data.
    """

    words: tuple[int, ...]
    score: int | None
    section: int | None
    heading: Row | None
    names: tuple[str, ...]

    def describe(self, table: GoldTable) -> str:
        """Description for people: `words in columns 2 (word1) and 3 (word2), score in column 4 (score)`."""
        numbered = [self._name(column) for column in self.words]
        text = f"words in columns {', '.join(numbered[:-1])} and {numbered[-1]}"
        text += "" if self.score is None else f", score in column {self._name(self.score)}"
        text += "" if self.section is None else f", section in column {self._name(self.section)}"
        heading = f"; heading in line {self.heading.line}" if self.heading else ""
        return f"{text}; separated by {DELIMITER_NAMES[table.delimiter]}{heading}"

    def _name(self, column: int) -> str:
        name = self.names[column] if self.names else ""
        return f"{column + 1} ({name[:40]})" if name else str(column + 1)


def choose_columns(table: GoldTable, named: Sequence[str], *, pairs: bool, questions: bool) -> Columns:
    """The columns of a table. named: selected by the user, by name or by number from 1; empty to detect them.

    Raises NoRowsError if no line is usable, ColumnsError if the columns are ambiguous.
    """
    if not table.rows:
        raise NoRowsError
    heading = _heading(table, named)
    body = [row for row in table.rows if row is not heading]
    if not body:
        raise NoRowsError
    names = _names(table, heading)
    found = _Finder(table.width, [[row.fields[column] for row in body] for column in range(table.width)], names)
    if named:
        return _named_columns(found, named, heading)
    if questions and found.are_questions(table.has_sections, pairs):
        return Columns(*found.question_columns(table.has_sections), heading, names)
    if not pairs:
        raise NoRowsError
    return Columns(found.word_columns(), found.score_column(), None, heading, names)


def plain_name(name: str) -> str:
    """A heading name, normalised for comparison."""
    return NOT_COMPARED.sub("", name.casefold())


class _Finder:
    """Columns of the data rows, classified as numbers, index, labels and words."""

    def __init__(self, width: int, cells: list[list[str]], names: tuple[str, ...]) -> None:
        self.cells = cells
        self.names = names
        self.plain = [plain_name(name) for name in names]
        kept = [column for column in range(width) if sum(map(bool, cells[column])) * 2 > len(cells[column])]
        self.numeric = [column for column in kept if _is_numeric(cells[column])]
        self.texts = [column for column in kept if column not in self.numeric]
        self.index = [column for column in self.numeric if self._is_index(column)]
        self.numbers = [column for column in self.numeric if column not in self.index]

    def are_questions(self, has_sections: bool, may_be_pairs: bool) -> bool:
        if len(self.texts) < 4:
            return False
        return has_sections or not may_be_pairs or not self.numbers or self._lone_number_is_an_index()

    def question_columns(self, has_sections: bool) -> tuple[tuple[int, ...], None, int | None]:
        """The four words, None, and the section."""
        texts = self.texts
        named = [column for column in texts if self.names and SECTION_NAMES.fullmatch(self.plain[column])]
        if len(texts) == 5 and len(named) == 1:
            return tuple(column for column in texts if column != named[0]), None, named[0]
        if len(texts) == 5 and not has_sections:
            # A section spans many rows; words change more often.
            section = min(
                (texts[0], texts[-1]), key=lambda column: sum(a != b for a, b in pairwise(self.cells[column]))
            )
            return tuple(column for column in texts if column != section), None, section
        if self.names:
            words = [column for column in texts if QUESTION_WORDS.fullmatch(self.plain[column])]
            if len(words) == 4 and len(named) <= 1:
                return tuple(words), None, named[0] if named else None
        if len(texts) != 4:
            raise ColumnsError(f"{len(texts)} columns contain text, but a question has 4 words and at most one section")
        return tuple(texts), None, None

    def word_columns(self) -> tuple[int, int]:
        texts = self.texts
        if self.names:
            first, second = (
                [column for column, name in enumerate(self.plain) if pattern.fullmatch(name)]
                for pattern in (FIRST, SECOND)
            )
            if len(first) == 1 and len(second) == 1:
                if first[0] in texts and second[0] in texts:
                    others = [
                        it for it in texts if it not in (*first, *second) and QUESTION_WORDS.fullmatch(self.plain[it])
                    ]
                    if others:
                        raise ColumnsError(f"{2 + len(others)} columns are named as words")
                    return first[0], second[0]
                wrong = first[0] if first[0] not in texts else second[0]
                raise ColumnsError(f"column {wrong + 1} ({self.names[wrong]}) is named as words but contains numbers")
        for is_label in (self._is_part_of_speech, self._is_named_label, self._is_sentence, self._is_label):
            if len(texts) > 2:
                texts = [column for column in texts if not is_label(column)]
        if len(texts) != 2:
            raise ColumnsError(f"{len(texts) or 'no'} columns can be the two words")
        return texts[0], texts[1]

    def score_column(self) -> int:
        numbers = self.numbers
        if self.names:
            for pattern in (BEST_SCORE, SCORE):
                fitting = [
                    column
                    for column in range(len(self.cells))
                    if pattern.fullmatch(self.plain[column]) and not AUXILIARY.fullmatch(self.plain[column])
                ]
                if len(fitting) == 1 and fitting[0] not in self.numeric:
                    raise ColumnsError(
                        f"column {fitting[0] + 1} ({self.names[fitting[0]]}) is named as the score but has no numbers"
                    )
                if len(fitting) == 1:
                    return fitting[0]
                if fitting:
                    break
            else:
                numbers = [column for column in numbers if not AUXILIARY.fullmatch(self.plain[column])] or numbers
        if not numbers or (not self.names and self._lone_number_is_an_index()):
            raise ColumnsError("its only numbers look like row numbers, so no column can be the score")
        if len(numbers) > 1 and not self._is_mean_of_others(numbers):
            raise ColumnsError(f"{len(numbers)} columns can be the score")
        return numbers[0]

    def _is_index(self, column: int) -> bool:
        values = [whole_number(cell) for cell in self.cells[column]]
        whole = [value for value in values if value is not None]
        if len(whole) != len(values):
            return False
        if self.names and INDEX.fullmatch(self.plain[column]):
            return True
        if (self.texts and column > self.texts[0]) or len(set(whole)) != len(whole):
            return False
        if sum(after - before == 1 for before, after in pairwise(whole)) * 10 >= 9 * (len(whole) - 1):
            return len(whole) > 1 or (len(self.numeric) > 1 and whole[0] in (0, 1))
        return min(whole) in (0, 1) and max(whole) - min(whole) == len(whole) - 1

    def _lone_number_is_an_index(self) -> bool:
        """Whether the only numbers are distinct integers in front of the words, such as row numbers of a sample."""
        if len(self.numbers) != 1 or self.index or (self.texts and self.numbers[0] > self.texts[0]):
            return False
        values = [whole_number(cell) for cell in self.cells[self.numbers[0]]]
        return None not in values and len(set(values)) == len(values)

    def _is_mean_of_others(self, numbers: Sequence[int]) -> bool:
        """Whether the first column is the mean of the others, which are then scores of single raters."""
        if len(numbers) <= FEWEST_RATERS:
            return False
        try:
            columns = [column_numbers(self.cells[column]) for column in numbers]
        except AmbiguousNumbersError:
            return False
        fitting = 0
        for mean, *others in zip(*columns, strict=True):
            raters = [value for value in others if value is not None]
            fitting += mean is not None and bool(raters) and abs(mean - sum(raters) / len(raters)) < 0.06
        return fitting * 20 >= 19 * len(columns[0])

    def _is_part_of_speech(self, column: int) -> bool:
        return all(PARTS_OF_SPEECH.fullmatch(cell) for cell in self.cells[column] if cell)

    def _is_named_label(self, column: int) -> bool:
        return bool(self.names) and LABEL.fullmatch(self.plain[column]) is not None

    def _is_sentence(self, column: int) -> bool:
        cells = self.cells[column]
        return sum(cell.count(" ") + 1 for cell in cells) >= WORDS_OF_A_SENTENCE * len(cells)

    def _is_label(self, column: int) -> bool:
        """Whether a column contains names of classes or rows rather than words."""
        cells = [cell for cell in self.cells[column] if cell]
        if all(len(cell) > 1 and cell.isupper() for cell in cells):
            return True
        if len(set(cells)) == len(cells) and all(map(RUNNING_NAME.fullmatch, cells)):
            return True
        return len(cells) >= LABELS_OF_ALL_ROWS and len(set(cells)) * ROWS_PER_LABEL <= len(cells)


def _is_numeric(cells: Sequence[str]) -> bool:
    filled = [cell for cell in cells if cell]
    return sum(map(looks_numeric, filled)) * 2 > len(filled)


def _heading(table: GoldTable, named: Sequence[str]) -> Row | None:
    """The first row of the file if it contains column names rather than data."""
    first = min((*table.rows[:1], *table.others[:1]), key=lambda row: row.line)
    plain = [plain_name(field) for field in first.fields]
    if named and {plain_name(name) for name in named if whole_number(name) is None} & set(plain):
        return first
    patterns = (FIRST, SECOND, QUESTION_WORDS, BEST_SCORE, SCORE, SECTION_NAMES, LABEL)
    known = sum(any(pattern.fullmatch(name) for pattern in patterns) for name in plain if name)
    if known < 2 or (len(table.rows) == 1 and all(len(name) == 1 for name in plain)):
        return None
    # A heading has no numbers in numeric columns.
    below = table.rows[1:] if first is table.rows[0] else table.rows
    for column in range(table.width if first is table.rows[0] else 0):
        if looks_numeric(first.fields[column]) and not whole_number(first.fields[column]):
            return None
        if not _is_numeric([row.fields[column] for row in below]) or not below:
            continue
        if SCORE.fullmatch(plain[column]) or BEST_SCORE.fullmatch(plain[column]):
            return first
    words = [
        name for name in plain if FIRST.fullmatch(name) or SECOND.fullmatch(name) or QUESTION_WORDS.fullmatch(name)
    ]
    return first if len(words) >= 2 or SECTION_NAMES.fullmatch(plain[0]) or first is not table.rows[0] else None


def _names(table: GoldTable, heading: Row | None) -> tuple[str, ...]:
    """The names of all columns; empty without a heading of the same width."""
    if heading is not None:
        if len(heading.fields) == table.width:
            return heading.fields
        # R writes row names without a heading for them.
        if len(heading.fields) == table.width - 1 and _is_row_names(table.column(0)):
            return ("", *heading.fields)
        return ()
    for fields in reversed(table.comments):
        plain = [plain_name(field) for field in fields]
        if len(fields) == table.width and sum(bool(FIRST.fullmatch(n) or SECOND.fullmatch(n)) for n in plain) >= 2:
            return fields
    return ()


def _is_row_names(cells: Sequence[str]) -> bool:
    return all(whole_number(cell) is not None for cell in cells) and len(set(cells)) == len(cells)


def _named_columns(found: _Finder, named: Sequence[str], heading: Row | None) -> Columns:
    columns = [_named_column(found, name) for name in named]
    if len(set(columns)) != len(columns):
        raise ColumnsError(f"the columns {', '.join(named)} are not all different")
    has_score = len(columns) == 3
    words = columns[:2] if has_score else columns[-4:]
    wrong = next((column for column in words if column in found.numeric), None)
    if wrong is not None:
        raise ColumnsError(f"column {wrong + 1} contains numbers and cannot be words")
    if not has_score:
        return Columns(tuple(words), None, columns[0] if len(columns) == 5 else None, heading, found.names)
    if columns[2] not in found.numeric:
        raise ColumnsError(f"column {columns[2] + 1} contains no numbers and cannot be the score")
    return Columns(tuple(words), columns[2], None, heading, found.names)


def _named_column(found: _Finder, name: str) -> int:
    for spelled, names in ((name, found.names), (plain_name(name), found.plain)):
        fitting = [column for column, known in enumerate(names) if known == spelled]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise ColumnsError(f"{len(fitting)} columns are named {name!r}; select one by its number, from 1")
    number = whole_number(name)
    if number is None or not 1 <= number <= len(found.cells):
        raise ColumnsError(f"no column {name!r}")
    return number - 1
