"""Word vectors in an installed package: one `.npy` table and one Parquet index of its words."""

from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from storage.errors import VectorFileError
from storage.memory import release_memory
from storage.vectors.formats import WordVectors, unknown_counts

NOT_STATED = "not stated"
# Of the index that Arrow holds at once; the words as Python's strings take enough.
BATCH_WORDS = 1 << 16


@dataclass(frozen=True)
class VectorPackage:
    """A package with word vectors. table, index: its two files; the package is never imported."""

    name: str
    source: str
    licence: str
    table: Path
    index: Path


def find_vector_package(name: str) -> VectorPackage:
    """The installed package of that name; its files are located through its metadata.

    Raises VectorFileError if it is not installed or contains no word vectors.
    """
    try:
        package = distribution(name)
    except (PackageNotFoundError, ValueError) as error:
        raise VectorFileError(f"the package {name!r} is not installed: pip install {name}") from error
    tables, indexes = (_files(package, suffix) for suffix in (".npy", ".parquet"))
    if len(tables) != 1 or len(indexes) != 1 or not (tables[0].is_file() and indexes[0].is_file()):
        raise VectorFileError(
            f"the package {package.name} does not contain one .npy table and one .parquet index of words "
            f"(found {len(tables)} and {len(indexes)} in its file list); choose another package, or reinstall it"
        )
    metadata = package.metadata
    licence = next((metadata[key] for key in ("License-Expression", "License") if key in metadata), NOT_STATED)
    return VectorPackage(package.name, f"package {package.name} {package.version}", licence, tables[0], indexes[0])


def read_vector_package(package: VectorPackage) -> WordVectors:
    """The words and vectors of a package. Raises VectorFileError if its files are damaged."""
    try:
        # Mapped: of the 400,000 rows of a reference a run compares a tenth. Copy on write, as callers may scale rows.
        vectors = np.load(package.table, mmap_mode="c", allow_pickle=False).astype(np.float32, copy=False)
        words: list[Any] = []
        with pq.ParquetFile(package.index) as index:
            for batch in index.iter_batches(batch_size=BATCH_WORDS, use_threads=False):
                words += batch.column(0).cast(pa.string()).to_pylist()
        # What else was in memory as the words were read.
        release_memory()
        if vectors.ndim != 2 or not vectors.size or len(words) != len(vectors) or None in words:
            raise ValueError(f"{len(words)} words and vectors of shape {vectors.shape}")
    except (OSError, ValueError, EOFError, IndexError, pa.ArrowException) as error:
        raise VectorFileError(
            f"the package {package.name} is damaged ({error}): pip install --force-reinstall {package.name}"
        ) from error
    return WordVectors(words, vectors, unknown_counts(len(words)))


def _files(package: Distribution, suffix: str) -> list[Path]:
    return [Path(str(file.locate())) for file in package.files or [] if file.suffix == suffix]
