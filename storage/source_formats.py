"""The documents of a source file in each form a corpus can have: lines, csv, JSON lines, Parquet, WikiExtractor.

Documents come as pieces of about a million letters, so that one of 100 MB on a single line needs little memory.
"""

import csv
import html
import json
import re
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from storage.errors import CorpusError
from storage.source_files import SourceFile, read_blocks

SourceFormat = Literal["auto", "text", "csv", "jsonl", "parquet", "wikiextractor"]

PIECE_LETTERS = 1 << 20
FORMATS: dict[str, SourceFormat] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "jsonl",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
DOCUMENT_START = "<doc "
DOCUMENT_END = "</doc>"
# One million letters and the rest of a word.
PIECE = re.compile(rf".{{1,{PIECE_LETTERS}}}\S*\s?", re.DOTALL)


class Piece(NamedTuple):
    """Text of one document; the next piece belongs to it too unless `ends_document`. Cut at whitespace only."""

    text: str
    ends_document: bool


def read_pieces(file: SourceFile, source_format: SourceFormat, text_column: str, errors: str) -> Iterator[Piece]:
    """The documents of a file, in order.

    source_format: `auto` goes by the file's extension, and by its first line for WikiExtractor.
    text_column: the column (csv, Parquet) or key (JSON lines) that holds the text; rows with none are passed over.
    Raises CorpusError that says what is wrong, where, and what to do.
    """
    match _recognized(file, errors) if source_format == "auto" else source_format:
        case "csv":
            return _split(_csv_texts(file, text_column, errors))
        case "jsonl":
            return _split(_json_texts(file, text_column, errors))
        case "parquet":
            return _split(_parquet_texts(file, text_column, errors))
        case "wikiextractor":
            return _wikiextractor_pieces(file, errors)
        case _:
            return _line_pieces(file, errors)


def _recognized(file: SourceFile, errors: str) -> SourceFormat:
    by_name = FORMATS.get(file.suffix)
    if by_name:
        return by_name
    first_text = next((block for block in read_blocks(file, errors) if not block.isspace()), "")
    return "wikiextractor" if first_text.lstrip().startswith(DOCUMENT_START) else "text"


def _line_pieces(file: SourceFile, errors: str) -> Iterator[Piece]:
    """Every line; one that is longer than a block comes in several pieces."""
    pending = ""
    for block in read_blocks(file, errors):
        *lines, pending = (pending + block).split("\n")
        for line in lines:
            yield Piece(line, True)
        if len(pending) >= PIECE_LETTERS:
            yield Piece(pending, False)
            pending = ""
    if pending:
        yield Piece(pending, True)


def _lines(file: SourceFile, errors: str) -> Iterator[str]:
    """Every line whole, without its end."""
    parts: list[str] = []
    for text, ends_line in _line_pieces(file, errors):
        if ends_line and not parts:
            yield text
            continue
        parts.append(text)
        if ends_line:
            yield "".join(parts)
            parts = []
    if parts:
        yield "".join(parts)


def _split(texts: Iterable[str]) -> Iterator[Piece]:
    for text in texts:
        if len(text) <= PIECE_LETTERS:
            yield Piece(text, True)
            continue
        for piece in PIECE.finditer(text):
            yield Piece(piece[0], piece.end() == len(text))


def _csv_texts(file: SourceFile, column: str, errors: str) -> Iterator[str]:
    # The limit is meant for fields of 128 kB, and a whole document may stand in one.
    csv.field_size_limit(2**31 - 1)
    # With strict, a quote that is never closed is an error instead of swallowing the rest of the file.
    rows = csv.reader(
        (line + "\n" for line in _lines(file, errors)), delimiter="\t" if file.suffix == ".tsv" else ",", strict=True
    )
    try:
        header = next(rows, [])
        if column not in header:
            raise _missing_column(file, column, header)
        position = header.index(column)
        for row in rows:
            if not row:
                continue
            if len(row) != len(header):
                raise CorpusError(
                    f"{file.path}, line {rows.line_num}: the row has {len(row)} fields and the header {len(header)}; "
                    "correct the row, or quote fields that hold commas"
                )
            yield row[position]
    except csv.Error as error:
        raise CorpusError(
            f"{file.path}, line {rows.line_num}: this is not csv ({error}); "
            "correct the line, or name the form of the file with corpus.format"
        ) from error


def _json_texts(file: SourceFile, key: str, errors: str) -> Iterator[str]:
    for number, line in enumerate(_lines(file, errors), 1):
        if not line.strip():
            continue
        where = f"{file.path}, line {number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise CorpusError(
                f"{where}: this is not JSON ({error.msg} at letter {error.pos + 1:,}); "
                "each line must be one JSON object: correct it, or name the form of the file with corpus.format"
            ) from error
        if not isinstance(row, dict):
            raise CorpusError(f"{where}: found {type(row).__name__}, expected an object with the key {key!r}")
        if key not in row:
            raise _missing_column(file, key, row, where)
        text = row[key]
        if text is None:
            continue
        if not isinstance(text, str):
            raise CorpusError(f"{where}: {key!r} holds {type(text).__name__}, not text; correct corpus.text_column")
        yield _without_surrogates(text, where, errors)


def _without_surrogates(text: str, where: str, errors: str) -> str:
    r"""JSON can spell half a character (\ud83d alone), which no UTF-8 file can hold."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        if errors != "replace":
            raise CorpusError(
                f"{where}: the text holds half a character (\\u{ord(text[error.start]):04x} alone); "
                "correct the line, or set corpus.errors=replace to read it as U+FFFD"
            ) from error
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _parquet_texts(file: SourceFile, column: str, errors: str) -> Iterator[str]:
    try:
        with pq.ParquetFile(file.path) as parquet:
            names = parquet.schema_arrow.names
            if column not in names:
                raise _missing_column(file, column, names)
            found = parquet.schema_arrow.field(column).type
            if not _is_text(found):
                raise CorpusError(f"{file.path}: column {column!r} holds {found}, not text; correct corpus.text_column")
            row = 0
            for batch in parquet.iter_batches(batch_size=1024, columns=[column]):
                # As bytes, because Arrow itself does not check what a file calls UTF-8.
                for text in batch.column(0).cast(pa.large_string()).cast(pa.large_binary()).to_pylist():
                    row += 1
                    if text is not None:
                        yield _utf8(text, f"{file.path}, row {row:,}", errors)
    except (pa.ArrowInvalid, OSError) as error:
        raise CorpusError(
            f"{file.path} cannot be read as Parquet: {error}; copy it again or correct corpus.format"
        ) from error


def _is_text(found: pa.DataType) -> bool:
    value = found.value_type if pa.types.is_dictionary(found) else found
    return bool(pa.types.is_string(value) or pa.types.is_large_string(value) or pa.types.is_string_view(value))


def _utf8(text: bytes, where: str, errors: str) -> str:
    try:
        return text.decode("utf-8", errors)
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{where}: byte {error.start:,} of the text is not UTF-8 ({error.reason}); "
            "correct the file, or set corpus.errors=replace to read such bytes as U+FFFD"
        ) from error


def _wikiextractor_pieces(file: SourceFile, errors: str) -> Iterator[Piece]:
    """What stands between `<doc id=… url=… title=…>` and `</doc>`, its HTML entities resolved."""
    lines: list[str] = []
    size = 0
    opened = 0
    for number, line in enumerate(_lines(file, errors), 1):
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
            f"{file.path}: the document that begins in line {opened:,} has no {DOCUMENT_END}; "
            "the file is cut off: copy it again"
        )


def _missing_column(file: SourceFile, column: str, found: Iterable[str], where: str = "") -> CorpusError:
    names = ", ".join(repr(name) for name in found) or "none"
    return CorpusError(
        f"{where or file.path}: there is no column {column!r}; found {names}; name one of them with corpus.text_column"
    )
