"""The documents of a source file in each supported format: lines, csv, JSON, Parquet, Arrow, Wikipedia dumps.

Documents are split into pieces of about a million characters, so that one of 100 MB on a single line needs little
memory. The format is detected from the content, then the name. Markup, archives and other encodings are rejected.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

from storage.corpus.source_arrow import ANY_TYPE, TEXTS_ONLY, arrow_rows, parquet_rows
from storage.corpus.source_csv import AUTOMATIC, TableForm, csv_rows
from storage.corpus.source_files import SourceFile, recognized
from storage.corpus.source_json import json_array_rows, json_line_rows
from storage.corpus.source_lines import Piece, line_pieces, split_documents, split_texts, whole_lines
from storage.corpus.source_mediawiki import article_texts
from storage.corpus.source_rows import RowOptions, Rows, row_documents, row_texts
from storage.corpus.source_sequences import grouped_pieces, line_items, list_pieces
from storage.corpus.source_wikiextractor import wikiextractor_pieces
from storage.errors import CorpusError
from storage.files.signatures import (
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

SourceFormat = Literal[
    "auto", "text", "csv", "jsonl", "json", "parquet", "arrow", "wikiextractor", "mediawiki", "sequences"
]

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
    FileKind.JSON_ARRAY: "json",
    FileKind.PARQUET: "parquet",
    FileKind.ARROW: "arrow",
    FileKind.WIKIEXTRACTOR: "wikiextractor",
    FileKind.MEDIAWIKI: "mediawiki",
}
# Kinds that corpus.format=text reads as they are.
READABLE_AS_LINES = TEXTS | {FileKind.NOT_UTF8, FileKind.BINARY, FileKind.EMPTY}


def read_pieces(
    file: SourceFile,
    source_format: SourceFormat,
    text_column: str,
    errors: str,
    form: TableForm = AUTOMATIC,
    options: RowOptions | None = None,
) -> Iterator[Piece]:
    """The documents of a file, in order.

    source_format: `auto` goes by content, then by extension; `sequences` does too, and yields items (source_sequences).
    text_column: column (csv, Parquet, Arrow) or key (JSON) with the text or list; rows without text are skipped.
    form: csv dialect.  options: missing columns, and the columns that form sequences.
    Raises CorpusError with the problem, the position and the remedy.
    """
    options = options or RowOptions()
    if source_format == "sequences":
        return _sequences(file, text_column, errors, form, options)
    found = _format(file, source_format, text_column)
    if options.keep_columns:
        columns = [text_column, *options.keep_columns]
        rows = _rows(file, found, columns, errors, form, options, ANY_TYPE)
        if rows is None:
            raise CorpusError(
                f"{file.shown} has no columns ({found}), so corpus.keep_columns cannot be read from it; leave it out"
            )
        return split_documents(row_documents(rows, columns, errors, options))
    rows = _rows(file, found, [text_column], errors, form, options, TEXTS_ONLY)
    if rows is not None:
        return split_texts(row_texts(rows, text_column, errors, options))
    match found:
        case "wikiextractor":
            return wikiextractor_pieces(file, errors)
        case "mediawiki":
            return split_texts(article_texts(file, options.left_out))
        case _:
            return line_pieces(file, errors)


def _sequences(file: SourceFile, column: str, errors: str, form: TableForm, options: RowOptions) -> Iterator[Piece]:
    found = _format(file, "auto", column)
    columns = [name for name in (column, options.group_column, options.order_column) if name]
    rows = _rows(file, found, columns, errors, form, options, ANY_TYPE)
    if rows is None:
        if found != "text" or options.group_column:
            raise CorpusError(f"{file.shown} has no columns ({found}); corpus.format=sequences cannot read it")
        return line_items(whole_lines(file, errors))
    if options.group_column:
        return grouped_pieces(rows, columns, errors, options)
    return list_pieces(rows, column, errors, options)


def _rows(
    file: SourceFile,
    source_format: SourceFormat,
    columns: Sequence[str],
    errors: str,
    form: TableForm,
    options: RowOptions,
    texts: bool,
) -> Rows | None:
    """The rows of a file in a format with columns, else None. texts: refuse columns without text at once."""
    match source_format:
        case "csv":
            return csv_rows(file, columns, errors, form, options)
        case "jsonl":
            return json_line_rows(file, columns, errors, options)
        case "json":
            return json_array_rows(file, columns, errors, options)
        case "parquet":
            return parquet_rows(file, columns, options, texts)
        case "arrow":
            return arrow_rows(file, columns, options, texts)
        case _:
            return None


def _format(file: SourceFile, source_format: SourceFormat, text_column: str) -> SourceFormat:
    """The format to read a file as. Raises CorpusError if it is not text, or in another encoding."""
    kind, _, head = recognized(file)
    if kind in ENCODINGS or kind is FileKind.GIT_LFS:
        raise _refused(file, kind)
    if file.suffix in UNSUPPORTED_SUFFIXES:
        raise CorpusError(f"{file.shown} is an archive, not text; unpack it and set corpus.path to its files")
    if source_format != "auto":
        meant = BY_CONTENT.get(kind)
        if source_format in ("parquet", "arrow") or meant == source_format:
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
    other = ""
    if kind in MARKUP:
        other = ", or set corpus.format=text to train on the markup too"
    elif kind in ENCODINGS:
        other = f", or set corpus.encoding={kind}"
    return CorpusError(f"{file.shown} is {describe(kind)}, not text to train on; {remedy(kind)}{other}")
