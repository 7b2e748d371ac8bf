"""Text in other encodings than UTF-8: what a file contains, and whether the named encoding can be right."""

import codecs
import re
import unicodedata

from storage.errors import CorpusError
from storage.files.compressed import FileContent
from storage.files.signatures import ENCODINGS, TEXTS, FileKind, recognize

# Kinds whose bytes an encoding explains; others have a signature.
ANY_ENCODING = TEXTS | ENCODINGS | {FileKind.NOT_UTF8, FileKind.BINARY}
WIDE = ("utf-16", "utf-32")
LATIN_1 = "iso8859-1"
# Controls that Latin-1 has instead of Windows' quotation marks; text doesn't use them.
C1_CONTROLS = re.compile("[\x80-\x9f]")
# Few characters of another encoding are valid UTF-8 by accident.
LEAST_UTF8 = 4
# Characters of the head that are checked for being assigned.
CHECKED = 1 << 12
MOST_UNASSIGNED = 0.01


def encoded_content(shown: str, name: str, encoding: str, content: FileContent) -> FileContent:
    """The content of a file in an encoding, with its head in UTF-8.

    shown, name: the file in messages, and its name.  Raises CorpusError if the encoding is evidently wrong.
    """
    if _is_utf8(content.head, encoding):
        raise CorpusError(f"{shown} is UTF-8, not {encoding.upper()}; leave corpus.encoding at its default")
    text = codecs.getincrementaldecoder(encoding)("replace").decode(content.head)
    check_plausible(shown, encoding, text)
    checked = text[:CHECKED]
    unassigned = sum(unicodedata.category(char) in ("Cn", "Co") for char in checked)
    if unassigned > MOST_UNASSIGNED * len(checked):
        raise CorpusError(
            f"{shown} is not {encoding.upper()}: read so, {unassigned:,} of its first {len(checked):,} characters do "
            "not exist; set corpus.encoding to its encoding"
        )
    head = text.removeprefix("\ufeff").encode("utf-8", "replace")
    return FileContent(recognize(head, name), content.compression, head)


def check_plausible(shown: str, encoding: str, text: str) -> None:
    """Raise CorpusError for decoded text that shows that its encoding is another one."""
    if "\x00" in text:
        raise CorpusError(
            f"{shown} is not {encoding.upper()}: read so, it contains NUL (0x00); set corpus.encoding to its encoding"
        )
    if encoding == LATIN_1 and (found := C1_CONTROLS.search(text)):
        raise CorpusError(
            f"{shown} is not Latin-1: byte 0x{ord(found[0]):02x} is undefined there; set corpus.encoding=cp1252, "
            "or another encoding"
        )


def _is_utf8(head: bytes, encoding: str) -> bool:
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    if encoding.startswith(WIDE):
        return "\x00" not in text
    return len(text) - len(text.encode("ascii", "ignore")) >= LEAST_UTF8
