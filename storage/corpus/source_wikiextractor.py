"""Articles in WikiExtractor's form: the lines between `<doc id=… url=… title=…>` and `</doc>`.

Searches whole blocks: a Python object for each line takes three times as long.
"""

import html
from collections.abc import Iterator

from storage.corpus.source_files import SourceFile, read_blocks
from storage.corpus.source_lines import PIECE_LETTERS, Piece
from storage.errors import CorpusError

DOCUMENT_START = "<doc "
DOCUMENT_END = "</doc>"


def wikiextractor_pieces(file: SourceFile, errors: str) -> Iterator[Piece]:
    """The text of each article, with HTML entities resolved. Raises CorpusError if the last one has no end."""
    opened = 0
    lines_before = 0
    rest = ""
    for lines in _whole_lines(file, errors):
        text, rest = rest + lines, ""
        at = 0
        while at < len(text):
            if not opened:
                start = _line_that_starts(text, DOCUMENT_START, at)
                lines_before += text.count("\n", at, start)
                at = start
                if start < len(text):
                    lines_before += 1
                    opened = lines_before
                    at = _line_end(text, start)
                continue
            end = _document_end(text, at)
            if end == len(text) and end - at < PIECE_LETTERS:
                rest = text[at:]
                break
            lines_before += text.count("\n", at, end)
            if end < len(text):
                lines_before += 1
                yield Piece(html.unescape(text[at : max(at, end - 1)]), True)
                opened = 0
                at = _line_end(text, end)
            else:
                yield Piece(html.unescape(text[at:]), False)
                at = end
    if opened:
        raise CorpusError(
            f"{file.shown}: the document that starts in line {opened:,} has no {DOCUMENT_END}; "
            "the file is truncated: copy it again"
        )


def _whole_lines(file: SourceFile, errors: str) -> Iterator[str]:
    """The text in parts of whole lines; each part but the last has more than PIECE_LETTERS."""
    held: list[str] = []
    size = 0
    for block in read_blocks(file, errors):
        held.append(block)
        size += len(block)
        if size >= PIECE_LETTERS and "\n" in block:
            text = "".join(held)
            cut = text.rfind("\n") + 1
            yield text[:cut]
            held = [text[cut:]]
            size = len(held[0])
    if size:
        yield "".join(held)


def _line_that_starts(text: str, start: str, at: int) -> int:
    """Position of the first line from `at` on, itself the start of a line, with this start; the end if none has."""
    if text.startswith(start, at):
        return at
    found = text.find(f"\n{start}", at)
    return len(text) if found < 0 else found + 1


def _document_end(text: str, at: int) -> int:
    """Position of the first line that is DOCUMENT_END but for whitespace after it; the end if there is none."""
    while at < len(text):
        at = _line_that_starts(text, DOCUMENT_END, at)
        if text[at : _line_end(text, at)].rstrip() == DOCUMENT_END:
            return at
        at = _line_end(text, at)
    return at


def _line_end(text: str, at: int) -> int:
    """Position after the newline of the line at `at`."""
    found = text.find("\n", at)
    return len(text) if found < 0 else found + 1
