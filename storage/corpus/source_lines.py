"""Lines of a text file, and documents in pieces."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from storage.corpus.source_files import SourceFile, read_blocks

PIECE_LETTERS = 1 << 20
# About a million characters, up to the end of a word.
PIECE = re.compile(rf".{{1,{PIECE_LETTERS}}}\S*\s?", re.DOTALL)


class Piece(NamedTuple):
    """Text of one document; unless `ends_document`, the next piece continues it. Split only at whitespace.

    values: of the columns that are kept, the same in all pieces of a document.
    """

    text: str
    ends_document: bool
    values: tuple[str | None, ...] = ()


def line_pieces(file: SourceFile, errors: str) -> Iterator[Piece]:
    """Every line; lines longer than a block come in several pieces."""
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


def whole_lines(file: SourceFile, errors: str) -> Iterator[str]:
    """Every line, unsplit, without its newline."""
    parts: list[str] = []
    for text, ends_line, _ in line_pieces(file, errors):
        if ends_line and not parts:
            yield text
            continue
        parts.append(text)
        if ends_line:
            yield "".join(parts)
            parts = []
    if parts:
        yield "".join(parts)


def split_texts(texts: Iterable[str]) -> Iterator[Piece]:
    """Split documents into pieces."""
    return split_pieces(Piece(text, True) for text in texts)


def split_pieces(documents: Iterable[Piece]) -> Iterator[Piece]:
    """Split whole documents into pieces."""
    for document in documents:
        text = document.text
        if len(text) <= PIECE_LETTERS:
            yield document
            continue
        for piece in PIECE.finditer(text):
            yield Piece(piece[0], piece.end() == len(text), document.values)
