"""List the files of a corpus: one file, all files in a folder, or the matches of a pattern.

`folder`, `folder/**` and any pattern that matches everything are equivalent.
"""

import glob
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePath

from storage.corpus.source_datasets import NOT_ROWS, not_rows
from storage.corpus.source_files import SourceFile, described_files, printable
from storage.errors import CorpusError
from storage.files.compressed import UnreadableFileError, check_not_kernel, check_regular
from storage.named_paths import check_allowed, named_path

EVERYTHING = "**"
# As in Arrow, Spark and Hadoop: such files are markers, metadata and unfinished output.
PASSED_OVER_PREFIXES = ("_", ".")
# Documentation of the data, by stem, with these suffixes.
DESCRIPTIONS = frozenset(
    {"authors", "changelog", "checksums", "citation", "copying", "licence", "license", "manifest", "md5sums", "notice"}
    | {"readme", "sha1sums", "sha256sums", "sha512sums"}
)
PROSE_SUFFIXES = frozenset({"", ".cff", ".html", ".md", ".pdf", ".rst", ".txt"})
# Checksums, signatures and unfinished files.
SIDE_SUFFIXES = frozenset(
    {".asc", ".crc", ".crdownload", ".filepart", ".md5", ".partial", ".sha1", ".sha256", ".sha512", ".sig", ".tmp"}
)
# Of a MediaWiki dump: the position of each page.
DUMP_INDEX = "-multistream-index"
HIDDEN, SIDE, LOOP, BROKEN, NOT_REGULAR, TWICE = (
    "names that start with '_' or '.'",
    "descriptions or checksums of the data",
    "links to a parent folder",
    "broken links",
    "pipes, devices or kernel files",
    "duplicates reached through a linked folder",
)
SHOWN_NAMES = 5


@dataclass
class SourceFiles:
    """files: sorted by name.  passed_over: name of a skipped file or folder -> reason."""

    files: list[SourceFile]
    passed_over: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Summary of the skipped files and reasons; empty if there are none."""
        reasons = Counter(self.passed_over.values())
        parts = []
        for reason, count in sorted(reasons.items()):
            names = sorted(name for name, why in self.passed_over.items() if why == reason)
            more = f" and {count - SHOWN_NAMES:,} more" if count > SHOWN_NAMES else ""
            parts.append(f"{count:,} as {reason} ({', '.join(names[:SHOWN_NAMES])}{more})")
        return f"skipped {len(self.passed_over):,} entries of the corpus: {'; '.join(parts)}" if parts else ""


def find_source_files(path: str) -> SourceFiles:
    """List a file, all files below a folder, or all matches of a pattern.

    Symlinks are followed. Skipped are names that start with `_` or `.`, READMEs and checksums among other files, links
    to a parent folder, broken links, and anything that is not a regular file.
    Raises CorpusError if there are no files or a folder cannot be listed, NotAllowedError for a path outside
    VECMILL_ALLOWED_ROOTS.
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
            raise CorpusError(f"no such file or folder: {printable(named.absolute())}; fix corpus.path")
    except UnreadableFileError as error:
        raise CorpusError(f"{printable(named)} cannot be a corpus: {error}") from error
    except RecursionError as error:
        raise CorpusError(f"{printable(named)}: its folders are nested too deeply; choose one of them") from error
    except OSError as error:
        raise CorpusError(f"{printable(named)} cannot be read: {error.strerror}; fix corpus.path") from error
    paths = search.files()
    found = SourceFiles(described_files(paths) if paths else [], search.passed_over)
    if not paths:
        where = (
            f"the folder {printable(named.absolute())} contains no files"
            if named.is_dir()
            else f"no files match {path!r}"
        )
        passed_over = f"; {found}" if search.passed_over else ""
        raise CorpusError(f"{where} (relative to {Path.cwd()}){passed_over}; fix corpus.path")
    check_allowed(paths, "corpus.path")
    return found


class _Search:
    """The files below a folder that match a pattern, and the skipped ones."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.found: list[Path] = []
        self.passed_over: dict[str, str] = {}

    def files(self) -> list[Path]:
        """The matches, without documentation of the data and without duplicates reached by several paths."""
        unique = list(dict.fromkeys(self.found))
        if len(unique) > 1 and (others := not_rows(unique)):
            for path in others:
                self._pass_over(path, NOT_ROWS)
            unique = [path for path in unique if path not in others]
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
        """Whether the path goes through a linked folder below the base."""
        folder = path.relative_to(self.base).parent if path != self.base else PurePath()
        return (self.base.resolve() / folder) != path.parent.resolve() if folder.parts else False

    def visit(self, folder: Path, parts: tuple[str, ...], above: tuple[tuple[int, int], ...]) -> None:
        """Collect matches. parts: rest of the pattern.  above: device and inode of the parent folders."""
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
            # Before stat reveals anything about its target.
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
            f"the folder {printable(folder)} cannot be listed: {error.strerror}; fix its permissions or corpus.path"
        ) from error


def _identity(folder: Path) -> tuple[int, int]:
    state = folder.stat()
    return state.st_dev, state.st_ino


def _split_pattern(path: Path) -> tuple[Path, tuple[str, ...]]:
    number = next(number for number, part in enumerate(path.parts) if glob.has_magic(part))
    return Path(*path.parts[:number]), path.parts[number:]


def _is_description(path: PurePath) -> bool:
    name = PurePath(path.name.lower())
    if name.suffix in SIDE_SUFFIXES or name.name.endswith("~") or DUMP_INDEX in name.name:
        return True
    return name.suffix in PROSE_SUFFIXES and name.stem in DESCRIPTIONS
