"""Rows of a source file, whatever its format, and the text in them.

A reader yields numbered rows with the values of the wanted columns: str, bytes that should be UTF-8, numbers, lists of
these, None, or MISSING. A column is a name, or a path of nested keys such as `article.body`.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, NamedTuple

from storage.corpus.source_files import REPLACEMENT, SourceFile
from storage.errors import CorpusError

OnMissing = Literal["stop", "skip"]
WITHOUT_COLUMN = "rows without the column"


class Missing:
    """The type of MISSING."""

    def __repr__(self) -> str:
        return "MISSING"


# Value of a column that a row lacks; null is None.
MISSING: Final = Missing()


@dataclass(frozen=True)
class RowOptions:
    """How rows become documents.

    on_missing: a row or file without a column: "stop" with an error, or "skip" it.
    group_column, order_column: of sequences; empty for none.  keep_columns: those whose values documents keep.
    scratch: folder for temporary files, None for the system's.
    left_out: reason -> number of rows or pages that are not documents; readers add to it.
    """

    on_missing: OnMissing = "stop"
    group_column: str = ""
    order_column: str = ""
    keep_columns: Sequence[str] = ()
    scratch: Path | None = None
    left_out: Counter[str] = field(default_factory=Counter)


class Rows(NamedTuple):
    """Rows of a file. unit: what the numbers count.  values: number of a row, and its value of each wanted column."""

    file: SourceFile
    unit: Literal["line", "row", "item"]
    values: Iterator[tuple[int, Sequence[object]]]

    def location(self, number: int) -> str:
        """A row in messages."""
        return f"{self.file.shown}, {self.unit} {number:,}"


def row_texts(rows: Rows, column: str, errors: str, options: RowOptions) -> Iterator[str]:
    """The text of each row; the tokens of a list are joined by spaces. Nulls are skipped.

    Raises CorpusError with the row of a value that is not text.
    """
    for number, (value,) in rows.values:
        if value is MISSING:
            options.left_out[WITHOUT_COLUMN] += 1
        elif value is not None:
            yield _text(value, rows, number, column, errors)


def row_documents(
    rows: Rows, columns: Sequence[str], errors: str, options: RowOptions
) -> Iterator[tuple[str, tuple[str | None, ...]]]:
    """The documents of `row_texts`, each with the values of the columns after the first as text, None if missing.

    Raises CorpusError as `row_texts`.
    """
    for number, (value, *others) in rows.values:
        if value is MISSING:
            options.left_out[WITHOUT_COLUMN] += 1
        elif value is not None:
            text = _text(value, rows, number, columns[0], errors)
            yield text, tuple(_kept(other, rows.location(number), errors) for other in others)


def _kept(value: object, where: str, errors: str) -> str | None:
    """Any value as text: lists and objects as JSON."""
    if value is None or value is MISSING:
        return None
    if isinstance(value, str | bytes):
        return checked_text(value, where, errors)
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=_plain_value)
    return str(value)


def _plain_value(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def checked_text(value: str | bytes, where: str, errors: str) -> str:
    """Valid Unicode without NUL. Raises CorpusError, or replaces what is invalid if errors="replace"."""
    text = _utf8(value, where, errors) if isinstance(value, bytes) else _without_surrogates(value, where, errors)
    return _without_nul(text, where, errors)


def value_at(row: Mapping[str, object], column: str) -> object:
    """The value of a key or path of keys; a key that contains the dots has priority. MISSING without it."""
    if column in row:
        return row[column]
    value: object = row
    for part in column.split("."):
        if value is None:
            return None
        if not isinstance(value, Mapping) or part not in value:
            return MISSING
        value = value[part]
    return value


def missing_column(where: str, column: str, found: Iterable[str], hint: str = "", remedy: str = "") -> CorpusError:
    """The error for a missing column or key."""
    names = ", ".join(repr(name) for name in found) or "none"
    return CorpusError(
        f"{where}: no column {column!r}; found {names}{hint}; choose one with corpus.text_column, or skip such rows "
        f"with corpus.on_missing=skip{remedy}"
    )


def _text(value: object, rows: Rows, number: int, column: str, errors: str) -> str:
    if isinstance(value, str | bytes):
        return checked_text(value, rows.location(number), errors)
    if not isinstance(value, list):
        raise CorpusError(
            f"{rows.location(number)}: {column!r} contains {type(value).__name__}, not text; fix corpus.text_column"
        )
    tokens = [token for token in value if token is not None]
    for token in tokens:
        if not isinstance(token, str | bytes):
            raise CorpusError(
                f"{rows.location(number)}: {column!r} contains a list of {type(token).__name__}, not of text; fix "
                "corpus.text_column, or set corpus.format=sequences for lists of ids"
            )
    return " ".join(checked_text(token, rows.location(number), errors) for token in tokens)


def _utf8(text: bytes, where: str, errors: str) -> str:
    try:
        return text.decode("utf-8", errors)
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{where}: byte {error.start:,} of the text is not UTF-8 ({error.reason}); "
            "fix the file, or set corpus.errors=replace to read such bytes as U+FFFD"
        ) from error


def _without_nul(text: str, where: str, errors: str) -> str:
    found = text.find("\x00")
    if found < 0:
        return text
    if errors == "replace":
        return text.replace("\x00", REPLACEMENT)
    raise CorpusError(
        f"{where}: character {found + 1:,} of the text is NUL (0x00), which text cannot contain; "
        "fix the file, or set corpus.errors=replace to read it as U+FFFD"
    )


def _without_surrogates(text: str, where: str, errors: str) -> str:
    r"""Reject or replace unpaired surrogates (\ud83d alone): JSON can express them, UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        if errors != "replace":
            raise CorpusError(
                f"{where}: the text contains an unpaired surrogate (\\u{ord(text[error.start]):04x}); "
                "fix the line, or set corpus.errors=replace to read it as U+FFFD"
            ) from error
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
