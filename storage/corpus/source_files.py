"""The text files of a corpus, read in blocks of bounded size.

Every problem with a file is a CorpusError with the file, the position and the remedy.
"""

import codecs
import hashlib
import io
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from os.path import commonpath
from pathlib import Path

from storage.corpus.source_encodings import ANY_ENCODING, check_plausible, encoded_content
from storage.disk import sha256_of
from storage.errors import CorpusError
from storage.files.compressed import (
    DamagedFileError,
    FileContent,
    UnreadableFileError,
    open_decompressed,
    recognize_file,
)
from storage.files.signatures import COMPRESSION_SUFFIXES

logger = logging.getLogger(__name__)

UTF8 = "utf-8"
BLOCK_BYTES = 1 << 20
# Text is split only at whitespace, so a run without any is held in memory as a whole.
LONGEST_RUN = 64 << 20
# With errors=replace: a larger share means another encoding. French in Latin-1 has 4 %, Polish 10 %.
MOST_REPLACED = 0.3
REPLACEMENT = "\ufffd"


@dataclass(frozen=True)
class SourceFile:
    """One file of a corpus as listed.

    name: path relative to the common folder of all files, with `/`.  size (bytes), modified_ns: to detect changes.
    encoding: of its text, unless the format prescribes one.  shown_as: in messages, if not by its path.
    """

    name: str
    path: Path
    size: int
    modified_ns: int
    encoding: str = UTF8
    shown_as: str = ""

    @property
    def suffix(self) -> str:
        """The extension of the format, such as `.csv` for `a.csv.gz`, in lower case."""
        bare = Path(self.name.lower())
        return (bare.with_suffix("") if bare.suffix in COMPRESSION_SUFFIXES else bare).suffix

    @property
    def extensions(self) -> str:
        """All extensions that affect reading, such as `.csv.gz`."""
        compression = Path(self.name.lower()).suffix
        return self.suffix + (compression if compression in COMPRESSION_SUFFIXES else "")

    @property
    def shown(self) -> str:
        """Its path for messages, with invalid UTF-8 escaped, or what it is shown as."""
        return self.shown_as or printable(self.path)

    def sha256(self) -> str:
        """Hex sha256 of the bytes on disk. Raises CorpusError if they cannot be read."""
        if not self.size:
            return hashlib.sha256().hexdigest()
        try:
            return _sha256(self.path, self.size, self.modified_ns)
        except OSError as error:
            raise _unreadable(self, error) from error


@lru_cache(maxsize=1 << 16)
def _sha256(path: Path, size: int, modified_ns: int) -> str:
    """Cached per run and state of a file: several steps need it, and large corpora are slow to read."""
    return sha256_of(path)


def check_unchanged(files: Sequence[SourceFile]) -> None:
    """Raise CorpusError if a file was modified since it was listed; its digest would be wrong."""
    for file in files:
        try:
            now = file.path.stat()
        except OSError as error:
            raise _unreadable(file, error) from error
        if (now.st_size, now.st_mtime_ns) != (file.size, file.modified_ns):
            raise CorpusError(f"{file.shown} changed while it was being read; run again when nothing writes to it")


def recognized(file: SourceFile) -> FileContent:
    """Recognise a file by content, then by name. Its head is in UTF-8.

    Raises CorpusError if it is unreadable, damaged, or evidently not in the encoding that the settings name.
    """
    try:
        content = recognize_file(file.path)
    except (UnreadableFileError, DamagedFileError) as error:
        raise CorpusError(f"{file.shown}: {error}") from error
    except OSError as error:
        raise _unreadable(file, error) from error
    if file.encoding == UTF8 or content.kind not in ANY_ENCODING:
        return content
    return encoded_content(file.shown, file.path.name, file.encoding, content)


def read_blocks(file: SourceFile, errors: str) -> Iterator[bytes]:
    r"""The text of a file, decompressed and in UTF-8, in blocks of about a MiB that end at whitespace.

    errors: "strict" raises CorpusError at the first invalid byte, "replace" substitutes U+FFFD.
    A byte order mark is dropped, and every line ends in "\n". Also raises CorpusError if a compressed file is
    truncated, and for more than 64 MiB without whitespace.
    """
    held: list[bytes] = []
    size = 0
    for text, position in _utf8_text(file, errors):
        held.append(text)
        size += len(text)
        if size < BLOCK_BYTES:
            continue
        cut = _end_of_last_whitespace(text)
        if cut:
            held[-1] = text[:cut]
            yield b"".join(held)
            held = [text[cut:]]
            size = len(held[0])
        elif size > LONGEST_RUN:
            run = b"".join(held)
            start = position - len(run) + _end_of_last_whitespace(run)
            raise CorpusError(
                f"{file.shown}: the {LONGEST_RUN >> 20} MiB of text from byte {start:,} on contain no whitespace; "
                "put each document on its own line, or separate words with spaces"
            )
    if size:
        yield b"".join(held)


def _utf8_text(file: SourceFile, errors: str) -> Iterator[tuple[bytes, int]]:
    """As decoded_text, in UTF-8. Text that is UTF-8 already is checked and not converted."""
    if file.encoding != UTF8 or errors != "strict":
        for text, position in decoded_text(file, errors):
            yield text.encode(), position
        return
    # Bytes at the end of a block whose character or line end continues in the next one.
    held = b""
    position = 0
    at_start = True
    for block, final in _with_end(raw_blocks(file)):
        _check_no_nul(file, block, position)
        position += len(block)
        data = held + block
        try:
            whole = codecs.utf_8_decode(data, errors, final)[1]
        except UnicodeDecodeError as error:
            raise _undecodable(file, error, position - len(data)) from error
        if not final and data.endswith(b"\r", 0, whole):
            whole -= 1
        data, held = (data, b"") if whole == len(data) else (data[:whole], data[whole:])
        if at_start and data:
            data = data.removeprefix(codecs.BOM_UTF8)
            at_start = False
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        yield data, position - len(held)


def decoded_text(file: SourceFile, errors: str) -> Iterator[tuple[str, int]]:
    """Pieces of text, each with its end position in bytes of (decompressed) text. Raises as read_blocks."""
    decoder = codecs.getincrementaldecoder(file.encoding)(errors)
    lines = io.IncrementalNewlineDecoder(decoder, translate=True)
    position = 0
    letters = replaced = 0
    at_start = True
    for data, final in _with_end(raw_blocks(file)):
        waiting = len(decoder.getstate()[0])
        if file.encoding == UTF8:
            _check_no_nul(file, data, position)
        try:
            text = lines.decode(data, final)
        except UnicodeError as error:
            raise _undecodable(file, error, position - waiting) from error
        if file.encoding != UTF8:
            check_plausible(file.shown, file.encoding, text)
        if errors == "replace":
            letters += len(text) - sum(map(text.count, " \n\t"))
            replaced += text.count(REPLACEMENT)
            if replaced > MOST_REPLACED * letters:
                raise CorpusError(
                    f"{file.shown} is not {file.encoding.upper()}: corpus.errors=replace would replace {replaced:,} of "
                    f"{letters:,} characters up to byte {position + len(data):,}; set corpus.encoding to its encoding"
                )
        position += len(data)
        if at_start and text:
            text = text.removeprefix("\ufeff")
            at_start = False
        yield text, position
    if replaced:
        logger.warning(
            "%s: %s invalid %s sequences were replaced by U+FFFD", file.shown, f"{replaced:,}", file.encoding.upper()
        )


def _undecodable(file: SourceFile, error: UnicodeError, start: int) -> CorpusError:
    """start: position in the file of the bytes in `error`."""
    remedy = "set corpus.encoding to its encoding, or set corpus.errors=replace to read such bytes as U+FFFD"
    if not isinstance(error, UnicodeDecodeError):
        return CorpusError(f"{file.shown} is not {file.encoding.upper()} ({error}); {remedy}")
    found = error.object[error.start]
    return CorpusError(
        f"{file.shown} is not {file.encoding.upper()}: byte {start + error.start:,} of its text is 0x{found:02x} "
        f"({error.reason}); {remedy}"
    )


def _check_no_nul(file: SourceFile, data: bytes, position: int) -> None:
    found = data.find(0)
    if found < 0:
        return
    if not data[found : found + 4096].strip(b"\x00"):
        what = "NUL padding, as after an interrupted copy or download: copy the file again"
    else:
        what = "not allowed in text. Is the file UTF-16? Set corpus.encoding=utf-16, or remove the byte"
    raise CorpusError(f"{file.shown}: byte {position + found:,} of its text is NUL (0x00); {what}")


def raw_blocks(file: SourceFile) -> Iterator[bytes]:
    """The decompressed bytes of a file. Raises CorpusError if it is unreadable or damaged."""
    if not file.size:
        return
    try:
        with open_decompressed(file.path) as stream:
            while data := stream.read(BLOCK_BYTES):
                yield data
    except (UnreadableFileError, DamagedFileError) as error:
        raise CorpusError(f"{file.shown}: {error}") from error
    except OSError as error:
        raise _unreadable(file, error) from error


def _with_end(pieces: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """All pieces, then an empty final one that makes a decoder report truncated input."""
    for piece in pieces:
        yield piece, False
    yield b"", True


def _end_of_last_whitespace(text: bytes) -> int:
    """Position after the last space or newline of a text in UTF-8, else after other whitespace, 0 without any."""
    if end := max(text.rfind(b" "), text.rfind(b"\n")) + 1:
        return end
    letters = text.decode()
    words = letters.rsplit(None, 1)
    after = "" if letters[-1:].isspace() else words[-1] if words else ""
    return len(text) - len(after.encode()) if len(after) < len(letters) else 0


def described_files(paths: Iterable[Path]) -> list[SourceFile]:
    """Stat existing files and sort them by name."""
    absolute = {path.absolute() for path in paths}
    shared = Path(commonpath([path.parent for path in absolute]))
    files = []
    for path in absolute:
        state = path.stat()
        name = printable(path.relative_to(shared).as_posix())
        files.append(SourceFile(name, path, state.st_size, state.st_mtime_ns))
    return sorted(files, key=lambda file: file.name)


def printable(path: Path | str) -> str:
    r"""A path as text; invalid UTF-8, which Python keeps as unpaired surrogates, becomes `\xff`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _unreadable(file: SourceFile, error: OSError) -> CorpusError:
    return CorpusError(f"{file.shown} cannot be read: {error.strerror or error}; fix the file or corpus.path")
