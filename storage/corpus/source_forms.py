"""The documents of a source file in each supported format: lines, csv, JSON lines, Parquet, WikiExtractor.

Documents are split into pieces of about a million characters, so that one of 100 MB on a single line needs little
memory. The format is detected from the content, then the name. Markup, archives and other encodings are rejected.
"""

import html
from collections.abc import Iterator
from typing import Literal

from storage.corpus.source_csv import AUTOMATIC, TableForm, csv_texts
from storage.corpus.source_files import SourceFile, recognized
from storage.corpus.source_lines import PIECE_LETTERS, Piece, line_pieces, split_texts, whole_lines
from storage.corpus.source_rows import json_texts, parquet_texts
from storage.errors import CorpusError
from storage.file_signatures import (
    ENCODINGS,
    MARKUP,
    TEXTS,
    UNDECIDED,
    UNSUPPORTED_SUFFIXES,
    UTF8_MARK,
    FileKind,
    csv_delimiter,
    describe,
    remedy,
)

SourceFormat = Literal["auto", "text", "csv", "jsonl", "parquet", "wikiextractor"]

# Format by suffix, for ambiguous content.
FORMATS: dict[str, SourceFormat] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "jsonl",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
BY_CONTENT: dict[FileKind, SourceFormat] = {
    FileKind.JSON_LINES: "jsonl",
    FileKind.PARQUET: "parquet",
    FileKind.WIKIEXTRACTOR: "wikiextractor",
}
# Kinds that corpus.format=text reads as they are.
READABLE_AS_LINES = TEXTS | {FileKind.NOT_UTF8, FileKind.BINARY, FileKind.EMPTY}
DOCUMENT_START = "<doc "
DOCUMENT_END = "</doc>"


def read_pieces(
    file: SourceFile, source_format: SourceFormat, text_column: str, errors: str, form: TableForm = AUTOMATIC
) -> Iterator[Piece]:
    """The documents of a file, in order.

    source_format: `auto` goes by content, then by extension.
    text_column: column (csv, Parquet) or key (JSON lines) with the text; rows without text are skipped.
    form: csv dialect.
    Raises CorpusError with the problem, the position and the remedy.
    """
    match _format(file, source_format, text_column):
        case "csv":
            return split_texts(csv_texts(file, text_column, errors, form))
        case "jsonl":
            return split_texts(json_texts(file, text_column, errors))
        case "parquet":
            return split_texts(parquet_texts(file, text_column, errors))
        case "wikiextractor":
            return _wikiextractor_pieces(file, errors)
        case _:
            return line_pieces(file, errors)


def _format(file: SourceFile, source_format: SourceFormat, text_column: str) -> SourceFormat:
    """The format to read a file as. Raises CorpusError if it is not text, or in another encoding."""
    kind, _, head = recognized(file)
    if kind in ENCODINGS or kind is FileKind.GIT_LFS:
        raise _refused(file, kind)
    if file.suffix in UNSUPPORTED_SUFFIXES:
        raise CorpusError(f"{file.shown} is an archive, not text; unpack it and set corpus.path to its files")
    if source_format != "auto":
        meant = BY_CONTENT.get(kind)
        if source_format == "parquet" or meant == source_format:
            return source_format
        if kind not in READABLE_AS_LINES or (source_format == "jsonl" and kind is FileKind.JSON_ARRAY):
            raise _refused(file, kind)
        return source_format
    if kind in BY_CONTENT:
        return BY_CONTENT[kind]
    if kind in UNDECIDED or kind is FileKind.EMPTY:
        if kind is FileKind.CSV and file.suffix not in FORMATS:
            return "csv" if _has_column(head, text_column) else "text"
        return FORMATS.get(file.suffix, "text")
    raise _refused(file, kind)


def _has_column(head: bytes, column: str) -> bool:
    """Whether a table's header contains a column."""
    text = head.removeprefix(UTF8_MARK).decode("utf-8", "replace").lstrip()
    names = text.partition("\n")[0].rstrip("\r").split(csv_delimiter(text))
    return column in [name.strip('"') for name in names]


def _refused(file: SourceFile, kind: FileKind) -> CorpusError:
    as_it_is = ", or set corpus.format=text to train on the markup too" if kind in MARKUP else ""
    return CorpusError(f"{file.shown} is {describe(kind)}, not text to train on; {remedy(kind)}{as_it_is}")


def _wikiextractor_pieces(file: SourceFile, errors: str) -> Iterator[Piece]:
    """The text between `<doc id=… url=… title=…>` and `</doc>`, with HTML entities resolved."""
    lines: list[str] = []
    size = 0
    opened = 0
    for number, line in enumerate(whole_lines(file, errors), 1):
        if not opened:
            if line.startswith(DOCUMENT_START):
                opened = number
        elif line.rstrip() == DOCUMENT_END:
            yield Piece("\n".join(lines), True)
            lines, size, opened = [], 0, 0
        else:
            text = html.unescape(line)
            lines.append(text)
            size += len(text)
            if size >= PIECE_LETTERS:
                yield Piece("\n".join(lines) + "\n", False)
                lines, size = [], 0
    if opened:
        raise CorpusError(
            f"{file.shown}: the document that starts in line {opened:,} has no {DOCUMENT_END}; "
            "the file is truncated: copy it again"
        )
