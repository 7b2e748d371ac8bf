"""Lines of a text file, and documents in pieces."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from storage.corpus.source_files import SourceFile, read_blocks

PIECE_LETTERS = 1 << 20
# About a million characters, up to the end of a word.
PIECE = re.compile(rf".{{1,{PIECE_LETTERS}}}\S*\s?", re.DOTALL)


class Piece(NamedTuple):
    """Text of one document in UTF-8; unless `ends_document`, the next piece continues it. Split only at whitespace.

    values: of the columns that are kept, the same in all pieces of a document.
    """

    text: bytes
    ends_document: bool
    values: tuple[str | None, ...] = ()


def line_pieces(file: SourceFile, errors: str) -> Iterator[Piece]:
    """Every line; lines longer than a block come in several pieces."""
    pending = b""
    for block in read_blocks(file, errors):
        *lines, pending = (pending + block).split(b"\n")
        for line in lines:
            yield Piece(line, True)
        if len(pending) >= PIECE_LETTERS:
            yield Piece(pending, False)
            pending = b""
    if pending:
        yield Piece(pending, True)


def whole_lines(file: SourceFile, errors: str) -> Iterator[str]:
    """Every line, unsplit, without its newline."""
    parts: list[bytes] = []
    for text, ends_line, _ in line_pieces(file, errors):
        if ends_line and not parts:
            yield text.decode()
            continue
        parts.append(text)
        if ends_line:
            yield b"".join(parts).decode()
            parts = []
    if parts:
        yield b"".join(parts).decode()


def split_texts(texts: Iterable[str]) -> Iterator[Piece]:
    """Split documents into pieces."""
    return split_documents((text, ()) for text in texts)


def split_documents(documents: Iterable[tuple[str, tuple[str | None, ...]]]) -> Iterator[Piece]:
    """Split texts into pieces, each with the values of its document."""
    for text, values in documents:
        if len(text) <= PIECE_LETTERS:
            yield Piece(text.encode(), True, values)
            continue
        for piece in PIECE.finditer(text):
            yield Piece(piece[0].encode(), piece.end() == len(text), values)
