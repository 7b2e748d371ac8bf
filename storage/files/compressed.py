"""Open files that may be compressed: reading goes by the signature, writing by the name."""

import bz2
import gzip
import io
import lzma
import os
import stat
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from backports import zstd

from storage.files.signatures import (
    COMPRESSION_SUFFIXES,
    COMPRESSIONS,
    HEAD_BYTES,
    SIGNATURES,
    UNSUPPORTED_SUFFIXES,
    FileKind,
    compression_of_name,
    describe,
    recognize,
    remedy,
)

READ_BYTES = 1 << 17
# Accepts frames from `zstd --long=31`; the library's default limit is 27.
ZSTD_WINDOW_LOG = 31
# Kernel file systems: their files have no size, and a read may never return.
KERNEL_FOLDERS = ("/proc", "/sys")


class UnreadableFileError(ValueError):
    """A file is not a regular file, or its content contradicts its name. The message doesn't name the file."""


class DamagedFileError(ValueError):
    """Compressed data is truncated or corrupt. The message doesn't name the file.

    cut_off: whether the data is truncated rather than corrupt.  position: bytes decompressed so far.
    """

    def __init__(self, message: str, *, cut_off: bool, position: int) -> None:
        super().__init__(message)
        self.cut_off = cut_off
        self.position = position


class FileContent(NamedTuple):
    """kind: of the decompressed content.  compression: None for a plain file.  head: the first HEAD_BYTES."""

    kind: FileKind
    compression: FileKind | None
    head: bytes


def check_regular(path: Path) -> os.stat_result:
    """Raise UnreadableFileError unless `path` is a regular file on disk: pipes and devices can block forever.

    Returns its stat result. Raises OSError if stat fails.
    """
    state = path.stat()
    if not stat.S_ISREG(state.st_mode):
        kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
        kind = kinds.get(stat.S_IFMT(state.st_mode), "a device")
        raise UnreadableFileError(f"it is {kind}, not a regular file; save its content to a file first")
    check_not_kernel(state)
    return state


def check_not_kernel(state: os.stat_result) -> None:
    """Raise UnreadableFileError for a file or folder of /proc or /sys."""
    for folder in KERNEL_FOLDERS:
        if Path(folder).is_dir() and state.st_dev == Path(folder).stat().st_dev:
            raise UnreadableFileError(f"it is part of the kernel's {folder}; save its content to a file first")


def recognize_file(path: Path) -> FileContent:
    """Identify a file by its content, then by its name.

    Raises UnreadableFileError if it is not a regular file, its name doesn't match its compression, or it is
    compressed twice; DamagedFileError; OSError.
    """
    compression = _compression(path)
    check_compression_name(path.name, compression, path)
    with open_decompressed(path) as stream:
        head = stream.read(HEAD_BYTES)
    kind = recognize(head, path.name)
    if compression and kind in COMPRESSIONS:
        raise UnreadableFileError(f"it is compressed twice ({compression}, then {kind}); {remedy(compression)}")
    return FileContent(kind, compression, head)


def check_compression_name(name: str, compression: FileKind | None, path: Path) -> None:
    """Raise UnreadableFileError if a name has the suffix of a compression that the content lacks."""
    promised = compression_of_name(name)
    if promised is None or promised is compression:
        return
    suffix = Path(name).suffix
    if compression:
        # The wrong compression suffix is harmless: the signature decides.
        return
    with path.open("rb") as file:
        kind = recognize(file.read(HEAD_BYTES), Path(name).stem)
    raise UnreadableFileError(
        f"its name ends in {suffix}, but it is not compressed: it is {describe(kind)}; "
        + (remedy(kind) if kind is FileKind.ZIP else f"rename it without {suffix}")
    )


def open_decompressed(path: Path) -> IO[bytes]:
    """Open a file for reading; content with the signature of a compression is decompressed, whatever its name.

    Reads raise DamagedFileError if compressed data is truncated or corrupt, in any of several concatenated streams.
    Raises UnreadableFileError if it is not a regular file, OSError.
    """
    compression = _compression(path)
    if compression is None:
        return path.open("rb")
    return io.BufferedReader(_Decompressed(path, compression), READ_BYTES)


def open_compressed(path: Path) -> IO[bytes]:
    """Create a file for writing, compressed according to its suffix: .gz, .bz2, .xz or .zst; otherwise plain.

    Raises UnreadableFileError for the suffix of an unsupported compression or archive.
    """
    check_output_name(path.name)
    match compression_of_name(path.name):
        case FileKind.GZIP:
            # No name and no timestamp, so that equal content produces identical files.
            return cast("IO[bytes]", _NamelessGzip(path))
        case FileKind.BZ2:
            return cast("IO[bytes]", bz2.open(path, "wb"))
        case FileKind.XZ:
            return cast("IO[bytes]", lzma.open(path, "wb"))
        case FileKind.ZSTD:
            return cast(
                "IO[bytes]", zstd.ZstdFile(path, "wb", options={int(zstd.CompressionParameter.checksum_flag): 1})
            )
        case _:
            return path.open("wb")


def check_output_name(name: str) -> None:
    """Raise UnreadableFileError for the suffix of an unsupported compression or archive."""
    suffix = Path(name.lower()).suffix
    if suffix in UNSUPPORTED_SUFFIXES:
        raise UnreadableFileError(
            f"vecmill does not write {suffix} files; use a name ending in {', '.join(COMPRESSION_SUFFIXES)}, "
            "or no compression suffix"
        )


def _compression(path: Path) -> FileKind | None:
    if check_regular(path).st_size == 0:
        return None
    with path.open("rb") as file:
        head = file.read(16)
    for signature in SIGNATURES:
        if signature.kind in COMPRESSIONS and signature.pattern.match(head):
            return signature.kind
    return None


class _NamelessGzip(gzip.GzipFile):
    """A gzip file with no name and no timestamp in its header."""

    def __init__(self, path: Path) -> None:
        self._target = path.open("wb")
        super().__init__("", "wb", compresslevel=6, fileobj=self._target, mtime=0)

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._target.close()


class _Gzip:
    """zlib's decompressor with the interface of the bz2, lzma and zstd ones."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data


def _zstd() -> zstd.ZstdDecompressor:
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG})


DECOMPRESSORS: Mapping[FileKind, Callable[[], Any]] = {
    FileKind.GZIP: _Gzip,
    FileKind.BZ2: bz2.BZ2Decompressor,
    FileKind.XZ: lambda: lzma.LZMADecompressor(format=lzma.FORMAT_XZ),
    FileKind.ZSTD: _zstd,
}
DAMAGE = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, zstd.ZstdError)


class _Decompressed(io.RawIOBase):
    """One or more concatenated compressed streams.

    The standard library's bz2 and xz readers ignore whatever follows a stream, so a damaged second stream would be
    dropped silently. Here only NUL padding may follow.
    """

    def __init__(self, path: Path, compression: FileKind) -> None:
        self._file = path.open("rb")
        self._compression = compression
        self._decompressor = DECOMPRESSORS[compression]()
        self._position = 0

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401  # any writable buffer
        view = memoryview(buffer).cast("B")
        data = self._next(len(view))
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def _next(self, most: int) -> bytes:
        while True:
            waiting = b""
            if self._decompressor.eof:
                waiting = self._after_the_stream(self._decompressor.unused_data)
                if not waiting:
                    return b""
                self._decompressor = DECOMPRESSORS[self._compression]()
            elif self._decompressor.needs_input:
                waiting = self._file.read(READ_BYTES)
                if not waiting:
                    raise self._damaged("the compressed data is truncated; copy the file again", cut_off=True)
            try:
                data: bytes = self._decompressor.decompress(waiting, most)
            except DAMAGE as error:
                raise self._damaged(
                    f"the compressed data is damaged ({error}); copy the file again", cut_off=False
                ) from error
            if data:
                return data

    def _after_the_stream(self, rest: bytes) -> bytes:
        """The start of the next stream, empty at the end of the file."""
        while True:
            rest = rest.lstrip(b"\x00")
            if rest:
                break
            rest = self._file.read(READ_BYTES)
            if not rest:
                return b""
        rest += self._file.read(16) if len(rest) < 16 else b""
        pattern = next(signature.pattern for signature in SIGNATURES if signature.kind is self._compression)
        if not pattern.match(rest):
            raise self._damaged(
                f"unexpected bytes follow the {self._compression} data; copy the file again or repack it",
                cut_off=False,
            )
        return rest

    def _damaged(self, message: str, *, cut_off: bool) -> DamagedFileError:
        return DamagedFileError(
            f"decompression stopped after {self._position:,} bytes of text: {message}",
            cut_off=cut_off,
            position=self._position,
        )
