"""The text files of a corpus: which there are, and their text in blocks of bounded size.

Whatever is wrong with a file is raised as CorpusError that names the file, the place in it and the remedy.
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

from storage.compressed_files import (
    DamagedFileError,
    FileContent,
    UnreadableFileError,
    open_decompressed,
    recognize_file,
)
from storage.disk import sha256_of
from storage.errors import CorpusError
from storage.file_signatures import COMPRESSION_SUFFIXES

logger = logging.getLogger(__name__)

BLOCK_BYTES = 1 << 20
# Text is cut into blocks and parts at whitespace only, so one run without any is held in memory whole.
LONGEST_RUN = 64 << 20
# With errors=replace: more replaced characters than this are another encoding. French in Latin-1 has 4 %, Polish 10 %.
MOST_REPLACED = 0.3
REPLACEMENT = "\ufffd"


@dataclass(frozen=True)
class SourceFile:
    """One file of a corpus as it was found.

    name: its path below the folder that all files share, with `/`.  size in bytes, modified_ns: to notice changes.
    """

    name: str
    path: Path
    size: int
    modified_ns: int

    @property
    def suffix(self) -> str:
        """The extension that tells the format, such as `.csv` of `a.csv.gz`, in lower case."""
        bare = Path(self.name.lower())
        return (bare.with_suffix("") if bare.suffix in COMPRESSION_SUFFIXES else bare).suffix

    @property
    def extensions(self) -> str:
        """All that tells how to read the file, such as `.csv.gz`."""
        compression = Path(self.name.lower()).suffix
        return self.suffix + (compression if compression in COMPRESSION_SUFFIXES else "")

    @property
    def shown(self) -> str:
        """Its path for messages: bytes that are not UTF-8 are escaped."""
        return printable(self.path)

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
    """Once a run for each state of a file: several steps ask for it, and large corpora take a while to read."""
    return sha256_of(path)


def check_unchanged(files: Sequence[SourceFile]) -> None:
    """Raise CorpusError if a file is no longer the one that was found, as its digest would then be another's."""
    for file in files:
        try:
            now = file.path.stat()
        except OSError as error:
            raise _unreadable(file, error) from error
        if (now.st_size, now.st_mtime_ns) != (file.size, file.modified_ns):
            raise CorpusError(f"{file.shown} changed while it was read; run again when nothing writes to it")


def recognized(file: SourceFile) -> FileContent:
    """What a file is, by content and then by name. Raises CorpusError if it cannot be read or is damaged."""
    try:
        return recognize_file(file.path)
    except (UnreadableFileError, DamagedFileError) as error:
        raise CorpusError(f"{file.shown}: {error}") from error
    except OSError as error:
        raise _unreadable(file, error) from error


def read_blocks(file: SourceFile, errors: str) -> Iterator[str]:
    r"""The text of a file, decompressed and decoded, in blocks of about a MiB that end at whitespace.

    errors: "strict" raises CorpusError at the first byte that is not UTF-8, "replace" puts U+FFFD in its place.
    A byte order mark is dropped, and every line ends in "\n". Raises CorpusError also where a compressed file is cut
    off and where more than 64 MiB hold no whitespace.
    """
    held: list[str] = []
    size = 0
    for text, position in _decoded(file, errors):
        held.append(text)
        size += len(text)
        if size < BLOCK_BYTES:
            continue
        cut = _end_of_last_whitespace(text)
        if cut:
            held[-1] = text[:cut]
            yield "".join(held)
            held = [text[cut:]]
            size = len(held[0])
        elif size > LONGEST_RUN:
            run = "".join(held)
            start = position - len(run[_end_of_last_whitespace(run) :].encode())
            raise CorpusError(
                f"{file.shown}: the {LONGEST_RUN >> 20} MiB of text from byte {start:,} on hold no whitespace; "
                "give each document its own line, or put spaces between the words"
            )
    if size:
        yield "".join(held)


def _decoded(file: SourceFile, errors: str) -> Iterator[tuple[str, int]]:
    """Pieces of text, each with the number of bytes of (decompressed) text up to its end."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors)
    lines = io.IncrementalNewlineDecoder(decoder, translate=True)
    position = 0
    letters = replaced = 0
    at_start = True
    for data, final in _with_end(_raw(file)):
        waiting = len(decoder.getstate()[0])
        _check_no_nul(file, data, position)
        try:
            text = lines.decode(data, final)
        except UnicodeDecodeError as error:
            found = error.object[error.start]
            raise CorpusError(
                f"{file.shown} is not UTF-8: byte {position - waiting + error.start:,} of its text is 0x{found:02x} "
                f"({error.reason}); convert the file, or set corpus.errors=replace to read such bytes as U+FFFD"
            ) from error
        if errors == "replace":
            letters += len(text) - sum(map(text.count, " \n\t"))
            replaced += text.count(REPLACEMENT)
            if replaced > MOST_REPLACED * letters:
                raise CorpusError(
                    f"{file.shown} is not UTF-8: corpus.errors=replace would replace {replaced:,} of {letters:,} "
                    f"characters up to byte {position + len(data):,}; convert the file from its encoding with iconv"
                )
        position += len(data)
        if at_start and text:
            text = text.removeprefix("\ufeff")
            at_start = False
        yield text, position
    if replaced:
        logger.warning("%s: %s bytes or characters that are not UTF-8 are read as U+FFFD", file.shown, f"{replaced:,}")


def _check_no_nul(file: SourceFile, data: bytes, position: int) -> None:
    found = data.find(0)
    if found < 0:
        return
    if not data[found : found + 4096].strip(b"\x00"):
        what = "padding of NUL bytes, as an unfinished copy or download leaves it: copy the file again"
    else:
        what = "no text holds it. Is the file UTF-16? Convert it with iconv -f UTF-16 -t UTF-8, or remove the byte"
    raise CorpusError(f"{file.shown}: byte {position + found:,} of its text is NUL (0x00); {what}")


def _raw(file: SourceFile) -> Iterator[bytes]:
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
    """Every piece, then an empty last one that lets a decoder say what is missing."""
    for piece in pieces:
        yield piece, False
    yield b"", True


def _end_of_last_whitespace(text: str) -> int:
    """Letters up to and including the last whitespace, 0 if there is none."""
    if text and text[-1].isspace():
        return len(text)
    words = text.rsplit(None, 1)
    return len(text) - len(words[-1]) if words else 0


def described_files(paths: Iterable[Path]) -> list[SourceFile]:
    """Files that are there, by name."""
    absolute = {path.absolute() for path in paths}
    shared = Path(commonpath([path.parent for path in absolute]))
    files = []
    for path in absolute:
        state = path.stat()
        name = printable(path.relative_to(shared).as_posix())
        files.append(SourceFile(name, path, state.st_size, state.st_mtime_ns))
    return sorted(files, key=lambda file: file.name)


def printable(path: Path | str) -> str:
    r"""A path as text; bytes that are not UTF-8, which Python keeps as lone surrogates, become `\xff`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _unreadable(file: SourceFile, error: OSError) -> CorpusError:
    return CorpusError(f"{file.shown} cannot be read: {error.strerror or error}; correct the file or corpus.path")
