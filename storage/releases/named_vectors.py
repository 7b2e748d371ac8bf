"""Words and their vectors with a name, from any source: a release of a table, or a file of another program."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from storage.errors import VectorFileError
from storage.layout import Workspace
from storage.named_paths import check_allowed, named_path
from storage.releases.history import choose_release
from storage.releases.importing import PACKAGE, find_source
from storage.releases.reader import read_content
from storage.releases.records import Release
from storage.vectors.faults import vector_faults
from storage.vectors.files import find_vectors


@dataclass(frozen=True)
class NamedVectors:
    """V words, most frequent first, and their (V, D) vectors.

    name: for messages.  source: where they come from.  release: the release that holds them, None for outside
    vectors.
    """

    name: str
    source: str
    words: list[str]
    vectors: NDArray[np.float32]
    release: Release | None = None


def read_release_vectors(workspace: Workspace, table: str, version: str | None = None) -> NamedVectors:
    """The vectors of a kept version, or of a candidate by the first letters of its model; else of the current release.

    Raises ReleaseError if it is missing or unreadable.
    """
    release = choose_release(workspace, table, version)
    content = read_content(release.path)
    number = release.row.version
    name = f"{table} candidate {release.path.stem}" if number is None else f"{table} version {number}"
    return NamedVectors(name, content.provenance.corpus_source, list(content.words), content.vectors, release)


def read_outside_vectors(source: str, setting: str) -> NamedVectors:
    """The vectors of a file in one of the forms of docs/formats.md, or of a package.

    setting: the setting that named them, for the message if VECMILL_ALLOWED_ROOTS does not allow the file.
    Raises VectorFileError if they are unreadable, or contain a row of zeros, NaN or infinities.
    """
    if not source.startswith(f"{PACKAGE}:"):
        path = named_path(source, setting)
        if path.exists():
            check_allowed(find_vectors(path).files, setting)
        source = str(path)
    found = find_source(source)
    words, vectors = found.vectors.words, found.vectors.vectors
    for row, reason in found.vectors.unclear.items():
        raise VectorFileError(
            f"{found.source}: {found.vectors.location(row)} cannot be used: {reason}; remove such rows"
        )
    for fault in vector_faults(vectors):
        raise VectorFileError(
            f"{found.source}: {words[fault.row][:80]!r} in row {fault.row + 1:,} cannot be used: {fault.reason}; "
            "remove such rows"
        )
    return NamedVectors(source, found.source, words, vectors)
