"""Sequences of items, such as sessions or baskets: each is a document, each item one token.

Items are ids, not words: they may contain anything but the separator, and no tokenizer sees them.
"""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby, islice
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from storage.corpus.source_lines import PIECE_LETTERS, Piece
from storage.corpus.source_rows import MISSING, WITHOUT_COLUMN, RowOptions, Rows, checked_text
from storage.errors import CorpusError

# Ends every item in the documents' text: ASCII's unit separator.
SEPARATOR = "\x1f"
WITHOUT_GROUP = "rows without a group or an item"
# Rows sorted in memory at once; the rest spills to disk.
MEMORY_LIMIT = "1GB"
INSERTED_ROWS = 1 << 16
# Numbers sort by value, where all are numbers; csv has no types. Ties keep the order of the file.
GROUPED = """
    FROM events ORDER BY "group", {order} NULLS LAST, row
"""
NUMBER = "TRY_CAST(position AS DECIMAL(38, 9))"


def split_items(texts: pa.Array) -> pa.Array:
    """The items of documents that this module wrote. texts: (N,) strings.  Returns (N,) lists of strings."""
    return pc.split_pattern(pc.utf8_rtrim(texts, SEPARATOR), SEPARATOR)


def list_pieces(rows: Rows, column: str, errors: str, options: RowOptions) -> Iterator[Piece]:
    """Each row's list is a sequence; nulls are skipped. Raises CorpusError for other values than lists of ids."""
    for number, (value,) in rows.values:
        if value is MISSING:
            options.left_out[WITHOUT_COLUMN] += 1
        elif isinstance(value, list):
            yield from _pieces(_item(item, rows, number, column, errors) for item in value if item is not None)
        elif value is not None:
            raise CorpusError(
                f"{rows.location(number)}: {column!r} contains {_type(value)}, not a list of ids; fix "
                "corpus.text_column, or set corpus.group_column to the column that identifies a row's sequence"
            )


def grouped_pieces(rows: Rows, columns: Sequence[str], errors: str, options: RowOptions) -> Iterator[Piece]:
    """Rows with the same group form a sequence, sorted by the order column, else as in the file.

    columns: of the item and the group, and of the order if there is one.  Sequences come sorted by group. Memory is
    bounded: DuckDB sorts on disk.
    """
    with (
        tempfile.TemporaryDirectory(prefix="vecmill-sequences-", dir=options.scratch) as folder,
        duckdb.connect(
            str(Path(folder) / "events.duckdb"),
            config={"memory_limit": MEMORY_LIMIT, "temp_directory": folder, "threads": 2},
        ) as connection,
    ):
        connection.execute("SET enable_progress_bar = false")
        connection.execute('CREATE TABLE events (row BIGINT, item VARCHAR, "group" VARCHAR, position VARCHAR)')
        events = _events(rows, columns, errors, options)
        while block := list(islice(events, INSERTED_ROWS)):
            names = ["row", "item", "group", "position"]
            connection.register("block", pa.table([pa.array(values) for values in zip(*block, strict=True)], names))
            connection.execute("INSERT INTO events FROM block")
            connection.unregister("block")
        odd = connection.execute(f"SELECT count(*) FROM events WHERE position IS NOT NULL AND {NUMBER} IS NULL")
        order = "position" if (odd.fetchone() or (0,))[0] else NUMBER
        found = connection.execute(f'SELECT "group", item {GROUPED.format(order=order)}')
        batches = iter(lambda: found.fetchmany(INSERTED_ROWS), [])
        for _, group in groupby(chain.from_iterable(batches), key=lambda event: event[0]):
            yield from _pieces(item for _, item in group)


def line_items(lines: Iterable[str]) -> Iterator[Piece]:
    """Each line is a sequence of ids separated by whitespace."""
    for line in lines:
        yield from _pieces(line.split())


def _events(
    rows: Rows, columns: Sequence[str], errors: str, options: RowOptions
) -> Iterator[tuple[int, str, str, str | None]]:
    for number, values in rows.values:
        if MISSING in values:
            options.left_out[WITHOUT_COLUMN] += 1
            continue
        item, group = values[:2]
        if item in (None, "", b"") or group in (None, "", b""):
            options.left_out[WITHOUT_GROUP] += 1
            continue
        position = values[2] if len(values) > 2 else None
        yield (
            number,
            _item(item, rows, number, columns[0], errors),
            _plain(group, rows, number, errors),
            None if position in (None, "", b"") else _plain(position, rows, number, errors),
        )


def _pieces(items: Iterable[str]) -> Iterator[Piece]:
    """One document, split between items. Blank items are dropped."""
    held: list[str] = []
    size = 0
    for item in items:
        if not item or item.isspace():
            continue
        held.append(item + SEPARATOR)
        size += len(item) + 1
        if size >= PIECE_LETTERS:
            yield Piece("".join(held).encode(), False)
            held, size = [], 0
    yield Piece("".join(held).encode(), True)


def _item(value: object, rows: Rows, number: int, column: str, errors: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | bytes | int):
        raise CorpusError(
            f"{rows.location(number)}: {column!r} contains {_type(value)}; ids of items are text or whole numbers"
        )
    item = _plain(value, rows, number, errors)
    if SEPARATOR in item:
        raise CorpusError(
            f"{rows.location(number)}: an id contains the control character U+001F, which separates items; remove it"
        )
    return item


def _plain(value: object, rows: Rows, number: int, errors: str) -> str:
    return checked_text(value, rows.location(number), errors) if isinstance(value, str | bytes) else str(value)


def _type(value: object) -> str:
    return "text" if isinstance(value, str | bytes) else type(value).__name__
