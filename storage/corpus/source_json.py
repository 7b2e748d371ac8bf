"""Rows of JSON lines and of JSON arrays, read as a stream."""

import json
from collections.abc import Iterator, Mapping, Sequence

import ijson

from storage.corpus.source_files import SourceFile, decoded_text
from storage.corpus.source_lines import whole_lines
from storage.corpus.source_rows import MISSING, RowOptions, Rows, missing_column, value_at
from storage.errors import CorpusError

# Python rejects integers of more than 4,300 digits, and only the text matters here.
MOST_DIGITS = 300


def json_line_rows(file: SourceFile, columns: Sequence[str], errors: str, options: RowOptions) -> Rows:
    """One row per line. Raises CorpusError with the number of a line that is not a JSON object or lacks a column."""
    return Rows(file, "line", _line_values(file, columns, errors, options))


def json_array_rows(file: SourceFile, columns: Sequence[str], errors: str, options: RowOptions) -> Rows:
    """One row per item of an array: an object, or the text or list itself. Memory is bounded by the largest item.

    Raises CorpusError with the number of an item of another type or without a column.
    """
    return Rows(file, "item", _item_values(file, columns, errors, options))


def _line_values(
    file: SourceFile, columns: Sequence[str], errors: str, options: RowOptions
) -> Iterator[tuple[int, Sequence[object]]]:
    decoder = json.JSONDecoder(parse_int=lambda digits: int(digits[:MOST_DIGITS]))
    for number, line in enumerate(whole_lines(file, errors), 1):
        stripped = line.strip()
        if not stripped:
            continue
        try:
            row = decoder.decode(stripped)
        except json.JSONDecodeError as error:
            raise CorpusError(
                f"{file.shown}, line {number:,}: invalid JSON ({error.msg} at character {error.pos + 1:,}); "
                "each line must be one JSON object: fix it, or set the file's format with corpus.format"
            ) from error
        except RecursionError as error:
            raise CorpusError(
                f"{file.shown}, line {number:,}: the JSON is nested too deeply; keep only the key {columns[0]!r}"
            ) from error
        if not isinstance(row, dict):
            raise _not_an_object(f"{file.shown}, line {number:,}", row, columns[0])
        yield number, _values(row, f"{file.shown}, line {number:,}", columns, options)


def _item_values(
    file: SourceFile, columns: Sequence[str], errors: str, options: RowOptions
) -> Iterator[tuple[int, Sequence[object]]]:
    for number, item in enumerate(_items(file, errors), 1):
        where = f"{file.shown}, item {number:,}"
        if isinstance(item, dict):
            yield number, _values(item, where, columns, options)
        elif isinstance(item, str | list) and len(columns) == 1:
            yield number, (item,)
        else:
            raise _not_an_object(where, item, columns[0])


def _items(file: SourceFile, errors: str) -> Iterator[object]:
    items = ijson.sendable_list()
    parser = ijson.items_coro(items, "item")
    done = 0
    try:
        for text, _ in decoded_text(file, errors):
            if not text:
                # To the parser, nothing means the end.
                continue
            parser.send(text.encode())
            yield from items
            done += len(items)
            items.clear()
        parser.close()
        yield from items
    except ijson.JSONError as error:
        reason = str(error).partition("\n")[0].removeprefix("parse error: ").strip()
        raise CorpusError(
            f"{file.shown}, after item {done + len(items):,}: invalid JSON ({reason}); fix the file, copy it again if "
            "it is truncated, or set its format with corpus.format"
        ) from error


def _values(row: Mapping[str, object], where: str, columns: Sequence[str], options: RowOptions) -> tuple[object, ...]:
    values = tuple(value_at(row, column) for column in columns)
    if MISSING in values and options.on_missing == "stop":
        raise missing_column(where, columns[values.index(MISSING)], row)
    return values


def _not_an_object(where: str, value: object, column: str) -> CorpusError:
    return CorpusError(f"{where}: found {type(value).__name__}, expected an object with the key {column!r}")
