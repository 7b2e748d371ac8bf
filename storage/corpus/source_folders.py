"""Which files a corpus has: a file, all files of a folder, or those that a pattern matches.

Folder, `folder/**` and a pattern that matches everything find the same files.
"""

import glob
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePath

from storage.compressed_files import UnreadableFileError, check_not_kernel, check_regular
from storage.corpus.source_files import SourceFile, described_files, printable
from storage.errors import CorpusError
from storage.named_paths import check_allowed, named_path

EVERYTHING = "**"
# As Arrow, Spark and Hadoop do: such names are marks, metadata and unfinished output.
PASSED_OVER_PREFIXES = ("_", ".")
# Files that describe the data, by the stem of their names, with the suffixes of prose.
DESCRIPTIONS = frozenset(
    {"authors", "changelog", "checksums", "citation", "copying", "licence", "license", "manifest", "md5sums", "notice"}
    | {"readme", "sha1sums", "sha256sums", "sha512sums"}
)
PROSE_SUFFIXES = frozenset({"", ".cff", ".html", ".md", ".pdf", ".rst", ".txt"})
# Checksums and signatures of files, and files that are still being written.
SIDE_SUFFIXES = frozenset(
    {".asc", ".crc", ".crdownload", ".filepart", ".md5", ".partial", ".sha1", ".sha256", ".sha512", ".sig", ".tmp"}
)
HIDDEN, SIDE, LOOP, BROKEN, NOT_REGULAR, TWICE = (
    "names that begin with '_' or '.'",
    "descriptions or checksums of the data",
    "links to a folder above them",
    "broken links",
    "pipes, devices or files of the kernel",
    "files of a linked folder that are read anyway",
)
SHOWN_NAMES = 5


@dataclass
class SourceFiles:
    """files: by name.  passed_over: name of a file or folder that is left out -> why."""

    files: list[SourceFile]
    passed_over: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """What was passed over, and why, as one sentence; empty if nothing was."""
        reasons = Counter(self.passed_over.values())
        parts = []
        for reason, count in sorted(reasons.items()):
            names = sorted(name for name, why in self.passed_over.items() if why == reason)
            more = f" and {count - SHOWN_NAMES:,} more" if count > SHOWN_NAMES else ""
            parts.append(f"{count:,} as {reason} ({', '.join(names[:SHOWN_NAMES])}{more})")
        return f"passed over {len(self.passed_over):,} of the corpus: {'; '.join(parts)}" if parts else ""


def find_source_files(path: str) -> SourceFiles:
    """The file, every file of the folder and of those below it, or every file that the pattern matches.

    Linked folders are followed. Passed over are: names that begin with `_` or `.`, a README or checksum among other
    files, links to a folder above, broken links, and what is no regular file.
    Raises CorpusError if no file is found or a folder cannot be listed, NotAllowedError if one is not where
    VECMILL_ALLOWED_ROOTS allows.
    """
    named = named_path(path, "corpus.path")
    search = _Search(named)
    try:
        if named.is_dir():
            check_not_kernel(named.stat())
            search.visit(named, (EVERYTHING,), ())
        elif named.exists():
            check_regular(named)
            search.found.append(named)
        elif glob.has_magic(path):
            search.base, parts = _split_pattern(named)
            if search.base.is_dir():
                check_not_kernel(search.base.stat())
                search.visit(search.base, parts, ())
        else:
            raise CorpusError(f"there is no file or folder {printable(named.absolute())}; correct corpus.path")
    except UnreadableFileError as error:
        raise CorpusError(f"{printable(named)} cannot be a corpus: {error}") from error
    except RecursionError as error:
        raise CorpusError(f"{printable(named)}: its folders are nested too deeply; name one of them") from error
    except OSError as error:
        raise CorpusError(f"{printable(named)} cannot be read: {error.strerror}; correct corpus.path") from error
    paths = search.files()
    found = SourceFiles(described_files(paths) if paths else [], search.passed_over)
    if not paths:
        where = (
            f"the folder {printable(named.absolute())} holds no file" if named.is_dir() else f"no file matches {path!r}"
        )
        passed_over = f"; {found}" if search.passed_over else ""
        raise CorpusError(f"{where} (looked from {Path.cwd()}){passed_over}; correct corpus.path")
    check_allowed(paths, "corpus.path")
    return found


class _Search:
    """Files below a folder that match a pattern, and what was passed over on the way."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.found: list[Path] = []
        self.passed_over: dict[str, str] = {}

    def files(self) -> list[Path]:
        """What was found, without descriptions of the data and without files that are found by several paths."""
        unique = list(dict.fromkeys(self.found))
        data = [path for path in unique if not _is_description(path)]
        if data and len(unique) > 1:
            for path in unique:
                if _is_description(path):
                    self._pass_over(path, SIDE)
            unique = data
        real = {path.resolve() for path in unique if not self._through_link(path)}
        files = []
        for path in sorted(unique):
            if self._through_link(path) and path.resolve() in real:
                self._pass_over(path, TWICE)
            else:
                files.append(path)
                real.add(path.resolve())
        return files

    def _through_link(self, path: Path) -> bool:
        """Whether a linked folder below the base leads to a file."""
        folder = path.relative_to(self.base).parent if path != self.base else PurePath()
        return (self.base.resolve() / folder) != path.parent.resolve() if folder.parts else False

    def visit(self, folder: Path, parts: tuple[str, ...], above: tuple[tuple[int, int], ...]) -> None:
        """Collect what matches. parts: of the pattern from here on.  above: device and inode of the folders above."""
        part, rest = parts[0], parts[1:]
        if part != EVERYTHING and not glob.has_magic(part):
            self._take(folder / part, parts, above)
            return
        if part == EVERYTHING and rest:
            self.visit(folder, rest, above)
        for name in _names(folder):
            path = folder / name
            if part != EVERYTHING and not fnmatchcase(name, part):
                continue
            if part == EVERYTHING and rest and not path.is_dir():
                continue
            if name.startswith(PASSED_OVER_PREFIXES) and part[0] != name[0]:
                self._pass_over(path, HIDDEN)
            else:
                self._take(path, parts, above)

    def _take(self, path: Path, parts: tuple[str, ...], above: tuple[tuple[int, int], ...]) -> None:
        part, rest = parts[0], parts[1:]
        if path.is_symlink():
            # Before anything is learnt of what it leads to.
            check_allowed([path], "corpus.path")
        try:
            is_folder = path.is_dir()
            if is_folder:
                check_not_kernel(path.stat())
            elif not rest:
                check_regular(path)
                self.found.append(path)
        except UnreadableFileError:
            self._pass_over(path, NOT_REGULAR)
            return
        except OSError:
            if path.is_symlink():
                self._pass_over(path, BROKEN)
            return
        if not is_folder:
            return
        state = path.stat()
        identity = (state.st_dev, state.st_ino)
        here = (*above, _identity(path.parent))
        if path.is_symlink() and identity in here:
            self._pass_over(path, LOOP)
        elif part == EVERYTHING:
            self.visit(path, parts, here)
        elif rest:
            self.visit(path, rest, here)

    def _pass_over(self, path: Path, reason: str) -> None:
        name = path.relative_to(self.base) if path.is_relative_to(self.base) else path
        self.passed_over[printable(name.as_posix())] = reason


def _names(folder: Path) -> Iterator[str]:
    try:
        yield from sorted(os.listdir(folder))  # noqa: PTH208  # names, without a path object for each
    except OSError as error:
        raise CorpusError(
            f"the folder {printable(folder)} cannot be listed: {error.strerror}; correct its permissions or corpus.path"
        ) from error


def _identity(folder: Path) -> tuple[int, int]:
    state = folder.stat()
    return state.st_dev, state.st_ino


def _split_pattern(path: Path) -> tuple[Path, tuple[str, ...]]:
    number = next(number for number, part in enumerate(path.parts) if glob.has_magic(part))
    return Path(*path.parts[:number]), path.parts[number:]


def _is_description(path: PurePath) -> bool:
    name = PurePath(path.name.lower())
    if name.suffix in SIDE_SUFFIXES or name.name.endswith("~"):
        return True
    return name.suffix in PROSE_SUFFIXES and name.stem in DESCRIPTIONS
