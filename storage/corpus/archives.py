"""Unpack zip and tar archives into the workspace, member by member, whatever wrote them.

An archive is unpacked once, in a folder named by its sha256, under a lock; a folder without `.partial` is complete.
Members that could write elsewhere (`../`, absolute names, links, devices) and archives that expand without bound are
refused by name.
"""

import logging
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import IO

from storage.corpus.downloads import UNPACKED
from storage.corpus.source_files import SourceFile, printable
from storage.corpus.source_folders import SourceFiles, find_source_files
from storage.disk import check_free_space, disk_errors
from storage.errors import CorpusError, WorkspaceError
from storage.files.compressed import DamagedFileError, UnreadableFileError, open_decompressed
from storage.files.signatures import FileKind, recognize
from storage.layout import Workspace
from storage.locks import held_lock

logger = logging.getLogger(__name__)

HEAD_BYTES = 512
COPY_BYTES = 1 << 20
# Text compresses 3 to 10 times; a bomb 1,000 times or more. Small archives may be of anything.
MOST_EXPANSION = 100
ALWAYS_ALLOWED_BYTES = 1 << 30
MOST_MEMBERS = 2_000_000
DEEPEST = 3
MOST_PADDING = 64 << 20
SPARE_BYTES = 64 << 20
LONGEST_PART = 255
# Of zip files that are documents or programs, not archives of text.
DOCUMENT_MEMBERS = ("[Content_Types].xml", "mimetype", "META-INF/MANIFEST.MF")
DRIVE = re.compile(r"[A-Za-z]:")


def unpack_archives(source: SourceFiles, workspace: Workspace, *, keep_damaged: bool = False) -> SourceFiles:
    """The files of a source, with each archive replaced by its files, named `archive.zip/member`.

    keep_damaged: leave an archive that cannot be unpacked in the list, so that reading it reports the reason.
    Raises CorpusError for an archive that is damaged, encrypted, unsafe or without files, WorkspaceError if the disk is
    too small.
    """
    files: list[SourceFile] = []
    passed_over = dict(source.passed_over)
    for file in source.files:
        if archive_kind(file.path) is None:
            files.append(file)
            continue
        try:
            folder = _unpacked(file, workspace)
            if not any(folder.iterdir()):
                raise CorpusError(f"the archive {file.shown} contains no files; fix corpus.path")
            members = find_source_files(str(folder))
        except CorpusError:
            if not keep_damaged:
                raise
            files.append(file)
            continue
        files += [replace(member, name=f"{file.name}/{member.name}") for member in members.files]
        passed_over |= {f"{file.name}/{name}": reason for name, reason in members.passed_over.items()}
    return SourceFiles(files, passed_over)


def archive_kind(path: Path) -> FileKind | None:
    """ZIP or TAR if the content, decompressed if necessary, is such an archive of files; None otherwise."""
    try:
        with open_decompressed(path) as stream:
            kind = recognize(stream.read(HEAD_BYTES))
        if kind is FileKind.ZIP:
            with zipfile.ZipFile(path) as archive:
                return None if set(DOCUMENT_MEMBERS) & set(archive.namelist()) else kind
    except zipfile.BadZipFile:
        return FileKind.ZIP
    except (OSError, UnreadableFileError, DamagedFileError, ValueError):
        return None
    return kind if kind is FileKind.TAR else None


@dataclass
class _Budget:
    """Bounds on what an archive and the archives in it expand to. shown: of the outermost, for messages."""

    shown: str
    most_bytes: int
    folder: Path
    size: int = 0
    members: int = 0
    names: set[tuple[int, str]] = field(default_factory=set)

    def take(self, size: int) -> None:
        """Count bytes that are about to be written."""
        self.size += size
        if self.size > self.most_bytes:
            raise CorpusError(
                f"{self.shown} expands to more than {self.most_bytes / 1e9:,.1f} GB, {MOST_EXPANSION} times its size; "
                "if that is intended, unpack it and use the files in it"
            )
        if shutil.disk_usage(self.folder).free < size + SPARE_BYTES:
            raise WorkspaceError(
                f"the disk of {self.folder} is too small to unpack {self.shown}; free some space or choose another "
                "folder with --workspace"
            )

    def take_member(self) -> None:
        """Count a member."""
        self.members += 1
        if self.members > MOST_MEMBERS:
            raise CorpusError(f"{self.shown} has more than {MOST_MEMBERS:,} members; unpack it and use the files in it")


def _unpacked(file: SourceFile, workspace: Workspace) -> Path:
    digest = file.sha256()
    folder = workspace.downloads / f"{UNPACKED}{digest[:20]}"
    with disk_errors(workspace.root, kept="the archive is untouched"):
        workspace.downloads.mkdir(parents=True, exist_ok=True)
        with held_lock(workspace.downloads / f".{folder.name}.lock", f"the unpacked {file.shown}"):
            if not folder.is_dir():
                partial = folder.with_name(f"{folder.name}.partial")
                shutil.rmtree(partial, ignore_errors=True)
                _check_space(file, workspace.downloads)
                partial.mkdir()
                most = max(ALWAYS_ALLOWED_BYTES, MOST_EXPANSION * file.size)
                try:
                    _unpack(file.path, partial, _Budget(file.shown, most, partial), file.shown, 1)
                except BaseException:
                    shutil.rmtree(partial, ignore_errors=True)
                    raise
                partial.rename(folder)
            # Its time of last use, for cleaning up.
            folder.touch()
    return folder


def _check_space(file: SourceFile, folder: Path) -> None:
    """Log the space that unpacking needs, and raise WorkspaceError if the disk has less.

    A zip file lists the sizes of its members; of another archive, it is at least its own size.
    """
    needed = file.size
    if zipfile.is_zipfile(file.path):
        with _archive_errors(file.shown), zipfile.ZipFile(file.path) as archive:
            needed = sum(info.file_size for info in archive.infolist())
    logger.info("unpacking %s needs at least %.3f GB on disk", file.shown, needed / 1e9)
    check_free_space(folder, needed, f"unpacking {file.shown}")


def _unpack(path: Path, target: Path, budget: _Budget, shown: str, depth: int) -> None:
    """Unpack an archive, and the archives in it, into a folder."""
    if depth > DEEPEST:
        raise CorpusError(f"{shown}: archives are nested more than {DEEPEST} deep; unpack it and use the files in it")
    kind = archive_kind(path)
    names: set[str] = set()
    with _archive_errors(shown):
        for name, stream in _zip_members(path, shown) if kind is FileKind.ZIP else _tar_members(path, shown):
            budget.take_member()
            relative = _safe_path(name, shown)
            if relative in names:
                raise CorpusError(f"{shown}: the member {name!r} appears twice; unpack it and use the files in it")
            names.add(relative)
            member = target / relative
            try:
                member.parent.mkdir(parents=True, exist_ok=True)
                _copy(stream, member, budget)
            except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
                raise CorpusError(f"{shown}: the member {name!r} is both a file and a folder; repack it") from error
            if archive_kind(member) is not None:
                inner = member.with_name(f".{member.name}.unpacked"[-LONGEST_PART:])
                inner.mkdir()
                _unpack(member, inner, budget, f"{shown}/{printable(name)}", depth + 1)
                member.unlink()
                inner.rename(member)


def _zip_members(path: Path, shown: str) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            mode = info.external_attr >> 16
            if info.is_dir():
                _safe_path(info.filename, shown)
                continue
            if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                raise _not_regular(shown, info.filename)
            if info.flag_bits & 1:
                raise CorpusError(f"{shown}: the member {info.filename!r} is encrypted; unpack it with its password")
            with archive.open(info) as stream:
                yield info.filename, stream


def _tar_members(path: Path, shown: str) -> Iterator[tuple[str, IO[bytes]]]:
    with open_decompressed(path) as content, tarfile.open(fileobj=content, mode="r|", errorlevel=2) as archive:
        for info in archive:
            if info.isdir():
                _safe_path(info.name, shown)
                continue
            stream = archive.extractfile(info) if info.isreg() else None
            if stream is None:
                raise _not_regular(shown, info.name)
            yield info.name, stream
            # Otherwise tarfile keeps the header of every member in memory.
            archive.members = []  # type: ignore[attr-defined]
        # Damage after the last member would go unnoticed.
        padding = 0
        while padding < MOST_PADDING and (data := content.read(COPY_BYTES)):
            padding += len(data)


def _not_regular(shown: str, name: str) -> CorpusError:
    return CorpusError(
        f"{shown}: the member {name!r} is a link, device or pipe, not a regular file; repack it with its files only"
    )


def _safe_path(name: str, shown: str) -> str:
    """A member's name as a relative path. Raises CorpusError if it could be written outside its folder."""
    path = PurePosixPath(name.replace("\\", "/"))
    if (
        path.is_absolute()
        or ".." in path.parts
        or DRIVE.match(name)
        or not (path.parts or name in (".", "./"))
        or any(len(part.encode("utf-8", "surrogateescape")) > LONGEST_PART - 10 for part in path.parts)
        or any(ord(char) < 32 for char in name)
    ):
        raise CorpusError(f"{shown}: the member {name[:200]!r} has an unsafe name; repack it with relative names")
    return path.as_posix()


def _copy(stream: IO[bytes], member: Path, budget: _Budget) -> None:
    with member.open("xb") as file:
        while data := stream.read(COPY_BYTES):
            budget.take(len(data))
            file.write(data)


@contextmanager
def _archive_errors(shown: str) -> Iterator[None]:
    """Turn the errors of damaged archives into a CorpusError."""
    try:
        yield
    except (zipfile.BadZipFile, tarfile.TarError, DamagedFileError, EOFError, zlib.error, UnicodeError) as error:
        raise CorpusError(f"{shown} is damaged: {error}; copy or download it again") from error
    except (NotImplementedError, RuntimeError) as error:
        raise CorpusError(f"{shown} cannot be unpacked: {error}; repack it, or use the files in it") from error
