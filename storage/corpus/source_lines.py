"""The lines of a text file, and the pieces that documents are handed on in."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from storage.corpus.source_files import SourceFile, read_blocks

PIECE_LETTERS = 1 << 20
# One million letters and the rest of a word.
PIECE = re.compile(rf".{{1,{PIECE_LETTERS}}}\S*\s?", re.DOTALL)


class Piece(NamedTuple):
    """Text of one document; the next piece belongs to it too unless `ends_document`. Cut at whitespace only."""

    text: str
    ends_document: bool


def line_pieces(file: SourceFile, errors: str) -> Iterator[Piece]:
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


def whole_lines(file: SourceFile, errors: str) -> Iterator[str]:
    """Every line whole, without its end."""
    parts: list[str] = []
    for text, ends_line in line_pieces(file, errors):
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
    """Whole documents as pieces."""
    for text in texts:
        if len(text) <= PIECE_LETTERS:
            yield Piece(text, True)
            continue
        for piece in PIECE.finditer(text):
            yield Piece(piece[0], piece.end() == len(text))
