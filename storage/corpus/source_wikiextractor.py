"""Articles in WikiExtractor's form: the lines between `<doc id=… url=… title=…>` and `</doc>`.

Searches whole blocks of bytes: a Python object for each line takes three times as long, and one for each letter twice.
"""

import html
import re
from collections.abc import Iterator

from storage.corpus.source_files import SourceFile, read_blocks
from storage.corpus.source_lines import PIECE_LETTERS, Piece
from storage.errors import CorpusError

DOCUMENT_START = b"<doc "
DOCUMENT_END = b"</doc>"
# As in `html.unescape`. All names of entities are ASCII.
ENTITY = re.compile(rb"&(?:#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\f <&#;\x80-\xff]{1,32};?)")


def wikiextractor_pieces(file: SourceFile, errors: str) -> Iterator[Piece]:
    """The text of each article, with HTML entities resolved. Raises CorpusError if the last one has no end."""
    is_open = False
    # Bytes before the open document's first line, and before the text in memory.
    opened = before = 0
    rest = b""
    for lines in _whole_lines(file, errors):
        text, rest = rest + lines if rest else lines, b""
        at = 0
        while at < len(text):
            if not is_open:
                at = _line_that_starts(text, DOCUMENT_START, at)
                if at < len(text):
                    is_open, opened = True, before + at
                    at = _line_end(text, at)
                continue
            end = _document_end(text, at)
            if end == len(text) and end - at < PIECE_LETTERS:
                rest = text[at:]
                break
            if end < len(text):
                yield Piece(_unescaped(text[at : max(at, end - 1)]), True)
                is_open = False
                at = _line_end(text, end)
            else:
                yield Piece(_unescaped(text[at:]), False)
                at = end
        before += len(text) - len(rest)
    if is_open:
        raise CorpusError(
            f"{file.shown}: the document that starts in line {_line_number(file, errors, opened):,} has no "
            f"{DOCUMENT_END.decode()}; the file is truncated: copy it again"
        )


def _unescaped(text: bytes) -> bytes:
    return ENTITY.sub(_character, text) if b"&" in text else text


def _character(entity: re.Match[bytes]) -> bytes:
    return html.unescape(entity[0].decode()).encode()


def _line_number(file: SourceFile, errors: str, position: int) -> int:
    """The number of the line at a position of the text."""
    number = 1
    for block in read_blocks(file, errors):
        number += block.count(b"\n", 0, position)
        position -= len(block)
        if position <= 0:
            break
    return number


def _whole_lines(file: SourceFile, errors: str) -> Iterator[bytes]:
    """The text in parts of whole lines; each part but the last has more than PIECE_LETTERS bytes."""
    held: list[bytes] = []
    size = 0
    for block in read_blocks(file, errors):
        held.append(block)
        size += len(block)
        if size >= PIECE_LETTERS and b"\n" in block:
            text = b"".join(held)
            cut = text.rfind(b"\n") + 1
            yield text[:cut]
            held = [text[cut:]]
            size = len(held[0])
    if size:
        yield b"".join(held)


def _line_that_starts(text: bytes, start: bytes, at: int) -> int:
    """Position of the first line from `at` on, itself the start of a line, with this start; the end if none has."""
    if text.startswith(start, at):
        return at
    found = text.find(b"\n" + start, at)
    return len(text) if found < 0 else found + 1


def _document_end(text: bytes, at: int) -> int:
    """Position of the first line that is DOCUMENT_END but for whitespace after it; the end if there is none."""
    while at < len(text):
        at = _line_that_starts(text, DOCUMENT_END, at)
        if text[at : _line_end(text, at)].decode().rstrip() == DOCUMENT_END.decode():
            return at
        at = _line_end(text, at)
    return at


def _line_end(text: bytes, at: int) -> int:
    """Position after the newline of the line at `at`."""
    found = text.find(b"\n", at)
    return len(text) if found < 0 else found + 1
