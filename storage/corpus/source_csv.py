"""The documents of csv and tsv files. A stray quote never merges rows silently."""

import csv
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from storage.corpus.source_files import SourceFile
from storage.corpus.source_lines import whole_lines
from storage.corpus.source_rows import MISSING, RowOptions, Rows, missing_column
from storage.errors import CorpusError
from storage.files.signatures import DELIMITERS

Quoting = Literal["auto", "none", "standard", "backslash"]

QUOTE = '"'
# Arguments of csv.reader. auto is standard, with a check that no quoted field swallows rows.
DIALECTS: dict[str, dict[str, object]] = {
    "none": {"quoting": csv.QUOTE_NONE},
    "standard": {},
    "auto": {},
    "backslash": {"doublequote": False, "escapechar": "\\"},
}
# Longer fields don't count as keys of a row, even without spaces.
LONGEST_KEY = 64


class TableForm(NamedTuple):
    """delimiter: one character, "tab", or "auto": tab for .tsv, else the one that separates the column name.
    quoting: "none" treats quotes as plain characters and each line as a row; "standard" doubles quotes inside quoted
    fields, which may span lines; "backslash" escapes quotes with a backslash; "auto" is standard, but raises an error
    if a quoted field would swallow a row.
    """

    delimiter: str = "auto"
    quoting: Quoting = "auto"


AUTOMATIC = TableForm()


def csv_rows(
    file: SourceFile,
    columns: Sequence[str],
    errors: str,
    form: TableForm,
    options: RowOptions,
) -> Rows:
    """Fields of each row, numbered by row. Raises CorpusError with the line number of a malformed row."""
    return Rows(file, "row", _fields(file, columns, errors, form, options))


def _fields(
    file: SourceFile, columns: Sequence[str], errors: str, form: TableForm, options: RowOptions
) -> Iterator[tuple[int, Sequence[object]]]:
    # The default limit is 128 kB, but a field may be a whole document.
    csv.field_size_limit(2**31 - 1)
    lines = _RowLines(file, columns[0], errors, form)
    # strict: an unclosed quote is an error instead of swallowing the rest of the file.
    rows = csv.reader(lines, delimiter=lines.delimiter, strict=True, **DIALECTS[form.quoting])  # type: ignore[arg-type]
    try:
        header = next(rows, [])
        positions = [_position(file, header, column, lines.delimiter, options) for column in columns]
        lines.columns, lines.position = len(header), positions[0]
        for number, row in enumerate(filter(None, lines.numbered(rows)), 1):
            if len(row) != len(header):
                raise CorpusError(
                    f"{file.shown}, line {lines.row_line:,}: the row has {len(row)} fields, but the header "
                    f"has {len(header)}; fix the row, quote fields that contain {lines.delimiter!r}, "
                    "or set corpus.delimiter or corpus.quoting"
                )
            lines.last_row = row
            yield number, [row[position] if position >= 0 else MISSING for position in positions]
    except csv.Error as error:
        if lines.in_quotes(error):
            raise CorpusError(
                f"{file.shown}, line {lines.row_line:,}: the quoted field that opens here is never closed; "
                "close it, or set corpus.quoting=none if quotes are plain characters in this file"
            ) from error
        raise CorpusError(
            f"{file.shown}, line {rows.line_num:,}: this is not valid csv ({error}); "
            "fix the line, set corpus.quoting (none: quotes are plain characters; backslash: quotes are escaped with a "
            "backslash), or set the file's format with corpus.format"
        ) from error


def _position(file: SourceFile, header: Sequence[str], column: str, delimiter: str, options: RowOptions) -> int:
    """The index of a column; -1 without it, if such rows are skipped."""
    if column not in header:
        if options.on_missing == "skip":
            return -1
        remedy = "; a file whose first row does not name the columns needs such a row"
        raise missing_column(file.shown, column, header, _delimiter_hint(header, delimiter), remedy)
    if header.count(column) > 1:
        raise CorpusError(f"{file.shown}: two columns are named {column!r}; rename one of them")
    return header.index(column)


class _RowLines:
    """Lines for csv.reader, counted per row to detect quoted fields that span rows."""

    def __init__(self, file: SourceFile, column: str, errors: str, form: TableForm) -> None:
        self._file = file
        self._lines = whole_lines(file, errors)
        self._checked = form.quoting == "auto"
        self._first: str | None = next(self._lines, None)
        self._column = column
        self._read = 0
        self._lines_of_row = 0
        self.delimiter = _delimiter(file, self._first or "", column, form.delimiter)
        self.columns = self.position = 0
        self.last_row: Sequence[str] = ()
        self._opening = ""

    @property
    def row_line(self) -> int:
        """Number of the line where the current row starts."""
        return self._read - self._lines_of_row + 1

    def __iter__(self) -> Iterator[str]:
        if self._first is None:
            return
        yield from self._counted(self._first)
        for line in self._lines:
            if not self._lines_of_row:
                self._opening = line
            elif self._checked:
                self._check_no_row(line)
            yield from self._counted(line)

    def _counted(self, line: str) -> Iterator[str]:
        self._read += 1
        self._lines_of_row += 1
        yield line + "\n"

    def numbered(self, rows: Iterator[list[str]]) -> Iterator[list[str]]:
        """The rows after the header."""
        self._lines_of_row = 0
        for row in rows:
            yield row
            self._lines_of_row = 0

    def in_quotes(self, error: csv.Error) -> bool:
        """Whether csv reached the end of the file inside a quoted field."""
        return "unexpected end of data" in str(error)

    def _check_no_row(self, line: str) -> None:
        """Raise CorpusError if a line inside a quoted field looks like a row.

        Prose has no tabs, so with tabs the number of fields decides. With commas, a key field must also count on from
        the line where the field opens, or all key fields be of the same kind as in the previous row.
        """
        fields = line.split(self.delimiter)
        if self.columns < 2 or len(fields) != self.columns:
            return
        opening = self._opening.split(self.delimiter)
        if (
            self.delimiter == "\t"
            or _continues_count(fields, opening, self.position, self._lines_of_row)
            or _same_shape(fields, self.last_row or opening, self.position)
        ):
            raise CorpusError(
                f"{self._file.shown}, line {self.row_line:,}: the quoted field that opens here would swallow the row "
                f"in line {self._read + 1:,}; set corpus.quoting=none if quotes are plain characters in this file, or "
                "corpus.quoting=standard if its fields really span lines"
            )


def _delimiter(file: SourceFile, header: str, column: str, setting: str) -> str:
    if setting != "auto":
        return "\t" if setting in ("tab", "\\t") else setting
    usual = "\t" if file.suffix == ".tsv" else ","
    candidates: list[str] = [usual, *DELIMITERS]
    for delimiter in candidates:
        names = next(csv.reader([header], delimiter=delimiter), [])
        if column in names and (len(names) > 1 or delimiter == usual):
            return delimiter
    return usual


def _delimiter_hint(header: Sequence[str], delimiter: str) -> str:
    return f" (columns are separated by {delimiter!r}; set corpus.delimiter to change that)" if len(header) == 1 else ""


def _same_shape(fields: Sequence[str], row: Sequence[str], text_column: int) -> bool:
    """Whether the key fields, such as numbers, are of the same kind in both rows, and only both or neither have a space
    after a delimiter (prose does).
    """
    for number, (field, other) in enumerate(zip(fields, row, strict=False)):
        if field.startswith(" ") and not other.startswith(" "):
            return False
        if number != text_column and (shape := _shape(other)) != "prose" and _shape(field) != shape:
            return False
    return True


def _continues_count(fields: Sequence[str], opening: Sequence[str], text_column: int, lines: int) -> bool:
    """Whether a key field counts on from the line where the quoted field opens, as the numbers of rows do."""
    return any(
        number != text_column
        and _shape(field) == _shape(other) == "number"
        and float(field.strip(QUOTE)) - float(other.strip(QUOTE)) == lines
        for number, (field, other) in enumerate(zip(fields, opening, strict=False))
    )


def _shape(field: str) -> Literal["empty", "number", "key", "prose"]:
    bare = field.strip(QUOTE)
    if not bare:
        return "empty"
    try:
        float(bare)
    except ValueError:
        return "key" if len(bare) <= LONGEST_KEY and not any(map(str.isspace, bare)) else "prose"
    return "number"
