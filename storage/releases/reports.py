"""The content of a report, read from a release, and the path of its page, next to the release."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.disk import disk_errors, replaced_file
from storage.errors import ReleaseError
from storage.layout import REPORT_SUFFIX, Workspace
from storage.models.rows import ComparedWordRow
from storage.releases.diff import ReleaseDiff, compare_releases
from storage.releases.ledger import current_version, kept_versions
from storage.releases.opening import open_release, read_release_row, read_rows
from storage.releases.querying import is_unicode
from storage.releases.reader import read_words, setting_values
from storage.releases.records import Release, readable_releases
from storage.releases.schema import SettingRow

# A comparison takes one step for each pair of a compared word and a row; this many take a second or two.
COMPARED_PAIRS = 9_000_000
FEWEST_COMPARED, MOST_COMPARED = 50, 300
KEPT_HISTORY = 20


@dataclass(frozen=True)
class FrequentWords:
    """The N most frequent words of a release: counts (N,) int64, vectors (N, D) float32 of length 1.

    all_counts: (V,) int64, of every word, most frequent first.
    """

    words: list[str]
    counts: NDArray[np.int64]
    vectors: NDArray[np.float32]
    all_counts: NDArray[np.int64]


def read_frequent_words(path: Path, limit: int) -> FrequentWords:
    """The `limit` most frequent words of a release file. Raises ReleaseError if it is unreadable."""
    with open_release(path) as connection:
        found = read_words(connection, f"rank <= {int(limit)}")
        counts = connection.sql("SELECT count FROM word_vectors ORDER BY rank").to_arrow_table()
    return FrequentWords(found.words, found.counts, found.vectors, counts["count"].to_numpy())


def read_vectors_of(path: Path, words: list[str]) -> FrequentWords:
    """Those of `words` that a release file holds, most frequent first. Raises ReleaseError if it holds none."""
    with open_release(path) as connection:
        found = read_words(connection, "word IN (SELECT unnest(?))", [list(filter(is_unicode, words))])
    if not found.words:
        shown = ", ".join(repr(word[:40]) for word in words[:5])
        raise ReleaseError(f"{path} holds none of the {len(words)} words ({shown}); name words of the table")
    return FrequentWords(found.words, found.counts, found.vectors, found.counts)


def neighbors_of(path: Path, words: list[str], k: int) -> list[tuple[str, str]]:
    """Each of `words` with each of its k nearest, in the order of the words, the nearest first."""
    with open_release(path) as connection:
        found = connection.execute("SELECT query, word FROM nearest_many(?, k := ?)", [words, k]).fetchall()
    return [(query, word) for query, word in found]


def read_settings(path: Path) -> list[SettingRow]:
    """Every setting of the run that produced a release file."""
    with open_release(path) as connection:
        return read_rows(connection, "settings", SettingRow)


def read_setting_values(path: Path) -> dict[str, Any]:
    """Dotted name -> value of each setting of the run that produced a release file."""
    return setting_values(read_settings(path))


def read_compared_words(path: Path) -> list[ComparedWordRow]:
    """The words whose neighbours were compared with other vectors; none in files of formats 1 and 2."""
    with open_release(path) as connection:
        if read_release_row(connection, path).format_version < 3:
            return []
        return read_rows(connection, "compared_words", ComparedWordRow)


def earlier_releases(workspace: Workspace, release: Release) -> list[Release]:
    """The kept versions below a release, oldest first, at most 20; for a candidate, those up to the current one."""
    last = release.row.version - 1 if release.row.version else current_version(workspace, release.table) or 0
    versions = [version for version in kept_versions(workspace, release.table) if version <= last]
    return readable_releases(workspace.release_file(release.table, version) for version in versions[-KEPT_HISTORY:])


def compare_with(workspace: Workspace, release: Release, older: Release) -> ReleaseDiff:
    """What changed from an older release of the same table; over fewer words if the tables are large."""
    words = min(max(COMPARED_PAIRS // release.row.rows, FEWEST_COMPARED), MOST_COMPARED)
    newer = release.path.stem if release.row.version is None else str(release.row.version)
    return compare_releases(workspace, release.table, str(older.version), newer, words=words)


def report_file(release: Release) -> Path:
    """The path of the report of a release or candidate."""
    return release.path.with_suffix(REPORT_SUFFIX)


def has_report(release: Release) -> bool:
    """Whether a report was written since the release was; a candidate may have been replaced under its name."""
    path = report_file(release)
    return path.is_file() and path.stat().st_mtime >= release.path.stat().st_mtime


def write_report(path: Path, page: str) -> None:
    """Write a page about a release atomically. Raises WorkspaceError on failure."""
    with disk_errors(path.parent, kept="the release is untouched"):
        path.parent.mkdir(exist_ok=True)
        with replaced_file(path) as written:
            written.write_text(page, encoding="utf-8")
