"""The text files of a corpus: which there are, and their text in blocks of bounded size.

Whatever is wrong with a file is raised as CorpusError that names the file, the place in it and the remedy.
"""

import bz2
import codecs
import glob
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from os.path import commonpath
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from storage.errors import CorpusError
from storage.named_paths import check_allowed, named_path
from storage.stages import sha256_of

BLOCK_BYTES = 1 << 20
# Text is cut into blocks and parts at whitespace only, so one run without any is held in memory whole.
LONGEST_RUN = 64 << 20
ARCHIVES = frozenset({".zip", ".tar", ".7z", ".rar"})
# What gzip, bz2, lzma and Arrow raise for a file that is cut off or damaged; OSError is told apart by its errno.
DAMAGED = (EOFError, zlib.error, lzma.LZMAError, OSError)


def _open_zst(path: Path) -> IO[bytes]:
    # Arrow's reader, because zstandard's takes the end of a truncated file for the end of the text.
    stream: IO[bytes] = pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")
    return stream


OPENERS: dict[str, Callable[[Path], Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": _open_zst,
}


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
        return (bare.with_suffix("") if bare.suffix in OPENERS else bare).suffix

    @property
    def extensions(self) -> str:
        """All that tells how to read the file, such as `.csv.gz`."""
        compression = Path(self.name.lower()).suffix
        return self.suffix + (compression if compression in OPENERS else "")

    def sha256(self) -> str:
        """Hex sha256 of the bytes on disk. Raises CorpusError if they cannot be read."""
        try:
            return _sha256(self.path, self.size, self.modified_ns)
        except OSError as error:
            raise _unreadable(self, error) from error


@lru_cache(maxsize=1 << 16)
def _sha256(path: Path, size: int, modified_ns: int) -> str:
    """Once a run for each state of a file: several steps ask for it, and large corpora take a while to read."""
    return sha256_of(path)


def find_source_files(path: str) -> list[SourceFile]:
    """The file, every file of the folder and of those below it, or every file that the glob matches, by name.

    Hidden files and folders are left out. Raises CorpusError if there is none, or if one is an archive,
    NotAllowedError if one is not where VECMILL_ALLOWED_ROOTS allows.
    """
    named = named_path(path, "corpus.path")
    if named.is_file():
        paths = [named]
    elif named.is_dir():
        paths = [file for file in named.rglob("*") if not _is_hidden(file.relative_to(named))]
    elif glob.has_magic(path):
        paths = [Path(match) for match in glob.glob(str(named), recursive=True)]  # noqa: PTH207  # Path.glob takes no absolute one
    else:
        raise CorpusError(f"there is no file or folder {named.absolute()}; correct corpus.path")
    paths = [file for file in paths if file.is_file()]
    if not paths:
        where = f"the folder {named.absolute()} holds no file" if named.is_dir() else f"no file matches {path!r}"
        raise CorpusError(f"{where} (looked from {Path.cwd()}); correct corpus.path")
    check_allowed(paths, "corpus.path")
    files = described_files(paths)
    for file in files:
        if file.suffix in ARCHIVES:
            raise CorpusError(f"{file.path} is an archive, not a text; unpack it and name its files with corpus.path")
    return files


def check_unchanged(files: Sequence[SourceFile]) -> None:
    """Raise CorpusError if a file is no longer the one that was found, as its digest would then be another's."""
    for file in files:
        try:
            now = file.path.stat()
        except OSError as error:
            raise _unreadable(file, error) from error
        if (now.st_size, now.st_mtime_ns) != (file.size, file.modified_ns):
            raise CorpusError(f"{file.path} changed while it was read; run again when nothing writes to it")


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
                f"{file.path}: the {LONGEST_RUN >> 20} MiB of text from byte {start:,} on hold no whitespace; "
                "give each document its own line, or put spaces between the words"
            )
    if size:
        yield "".join(held)


def _decoded(file: SourceFile, errors: str) -> Iterator[tuple[str, int]]:
    """Pieces of text, each with the number of bytes of (decompressed) text up to its end."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors)
    lines = io.IncrementalNewlineDecoder(decoder, translate=True)
    position = 0
    at_start = True
    for data, final in _with_end(_raw(file)):
        waiting = len(decoder.getstate()[0])
        try:
            text = lines.decode(data, final)
        except UnicodeDecodeError as error:
            found = error.object[error.start]
            raise CorpusError(
                f"{file.path} is not UTF-8: byte {position - waiting + error.start:,} of its text is 0x{found:02x} "
                f"({error.reason}); convert the file, or set corpus.errors=replace to read such bytes as U+FFFD"
            ) from error
        position += len(data)
        if at_start and text:
            text = text.removeprefix("\ufeff")
            at_start = False
        yield text, position


def _raw(file: SourceFile) -> Iterator[bytes]:
    opener = OPENERS.get(Path(file.name.lower()).suffix)
    position = 0
    try:
        with opener(file.path) if opener else file.path.open("rb") as stream:
            while data := stream.read1(BLOCK_BYTES):
                position += len(data)
                yield data
    except DAMAGED as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise _unreadable(file, error) from error
        raise CorpusError(
            f"{file.path}: decompression stopped after {position:,} bytes of text ({error}); "
            "the file is cut off or damaged: copy it again"
        ) from error


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
        files.append(SourceFile(path.relative_to(shared).as_posix(), path, state.st_size, state.st_mtime_ns))
    return sorted(files, key=lambda file: file.name)


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _unreadable(file: SourceFile, error: OSError) -> CorpusError:
    return CorpusError(f"{file.path} cannot be read: {error.strerror or error}; correct the file or corpus.path")
