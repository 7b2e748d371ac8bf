"""Load a whole release for Python programs: its words, counts, weights and memory-mapped vectors.

The vectors are copied once into a cache file that every process maps into memory; if the cache is not writable, they
are read into memory.
"""

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from storage.corpus.downloads import download_of, fetch
from storage.corpus.object_stores import fetch_objects, is_object_address
from storage.disk import replaced_file
from storage.errors import CorpusError, ReleaseError, SettingsError
from storage.files.large_arrays import write_array
from storage.layout import Workspace, cache_folder, resolve_workspace
from storage.redaction import without_credentials
from storage.releases.file import SIF_A, WEIGHTS_SINCE
from storage.releases.history import choose_release
from storage.releases.mirror import DATABASE, INDEX, MirrorIndex
from storage.releases.opening import open_release, read_release_row, read_rows
from storage.releases.querying import composes_words, published_file
from storage.releases.reader import read_all_vectors, read_trained_tokenizer, setting_values
from storage.releases.schema import ReleaseRow, SettingRow

logger = logging.getLogger(__name__)

MOST_BYTES = 1 << 40


@dataclass(frozen=True)
class LoadedRelease:
    """What a program needs of a release.

    words: V words, most frequent first.  counts: (V,) int64.  weights: (V,) float32, SIF weights.
    vectors: (V, D) float32 of unit length, read-only.  settings: dotted name -> value.
    tokenizer: JSON of a trained tokenizer, None if it needed no training.  ngrams: unknown words have vectors in SQL.
    """

    path: Path
    row: ReleaseRow
    words: list[str]
    counts: NDArray[np.int64]
    weights: NDArray[np.float32]
    vectors: NDArray[np.float32]
    settings: dict[str, Any]
    tokenizer: str | None
    ngrams: bool


def locate_release(source: str | Path, workspace: str | Path | None = None, version: int | str | None = None) -> Path:
    """The file of a release: of a table by name, at a path, or fetched from an address into the cache.

    An address is that of a release file, or of a table's folder in a mirror.
    version: a kept version of a table; for the address of its current file, one in the folder next to that.
    Raises ReleaseError if it is missing, SettingsError for a version of a single file.
    """
    address = str(source)
    if "://" in address:
        return _fetched_release(address.rstrip("/"), version)
    path = Path(source).expanduser()
    if isinstance(source, Path) or os.sep in address or address.endswith(".duckdb"):
        if version is not None:
            raise SettingsError(f"{source} is one file, so version={version!r} does not apply; use the table's name")
        if not path.is_file():
            raise ReleaseError(f"no such release file: {source}; pass the path of a .duckdb file or a table's name")
        # A table's own name will point at another release; the kept file never changes.
        return path.absolute()
    resolved = resolve_workspace(workspace)
    if version is None and not resolved.releases_folder(address).is_dir():
        return published_file(resolved, address)
    return choose_release(resolved, address, None if version is None else str(version)).path


def load_release(path: Path) -> LoadedRelease:
    """Read a release file. Raises ReleaseError if it is damaged or not a release."""
    with open_release(path) as connection:
        row = read_release_row(connection, path)
        weight = ", weight" if row.format_version >= WEIGHTS_SINCE else ""
        rows = connection.sql(f"SELECT word, count{weight} FROM word_vectors ORDER BY rank").to_arrow_table()
        counts = rows["count"].to_numpy()
        loaded = LoadedRelease(
            path=path,
            row=row,
            words=rows["word"].to_pylist(),
            counts=counts,
            weights=rows["weight"].to_numpy() if weight else sif_weights(counts),
            vectors=_mapped_vectors(connection, row),
            settings=setting_values(read_rows(connection, "settings", SettingRow)),
            tokenizer=read_trained_tokenizer(path),
            ngrams=composes_words(connection),
        )
    if not len(loaded.words) == len(loaded.vectors) == row.rows:
        raise ReleaseError(f"{path} is damaged: {row.rows} rows were written, but it holds {len(loaded.words)}")
    return loaded


def connect_release(path: Path) -> duckdb.DuckDBPyConnection:
    """A read-only connection that also finds the data frames of the caller. Raises ReleaseError."""
    try:
        connection = duckdb.connect(str(path), read_only=True)
    except duckdb.Error as error:
        raise ReleaseError(f"{path} cannot be read as a release: {str(error).splitlines()[0]}") from error
    connection.execute("SET python_scan_all_frames = true")
    return connection


def sif_weights(counts: NDArray[np.int64]) -> NDArray[np.float32]:
    """SIF weights (V,) of words by falling count; without counts (all 0) their shares follow Zipf's law.

    Source: Arora, Liang and Ma 2017, "A Simple but Tough-to-Beat Baseline for Sentence Embeddings".
    """
    ranks = np.arange(1, len(counts) + 1)
    shares = counts / counts.sum() if counts.any() else 1 / (ranks * np.sum(1 / ranks))
    weights: NDArray[np.float32] = (SIF_A / (SIF_A + shares)).astype(np.float32)
    return weights


def _fetched_release(address: str, version: int | str | None) -> Path:
    if version is not None and not str(version).isdecimal():
        raise SettingsError(f"version={version!r}: at an address, a version is a number")
    folder = address.removesuffix(DATABASE)
    if address != folder:
        return _fetched(address if version is None else f"{folder}/v{int(version):06d}{DATABASE}")
    try:
        index = MirrorIndex.model_validate_json(_fetched(f"{folder}/{INDEX}").read_bytes())
    except ValidationError as error:
        raise ReleaseError(f"{without_credentials(folder)}/{INDEX} is not the index of a mirror") from error
    number = index.current if version is None else int(version)
    if number is None or DATABASE not in index.versions.get(number, {}):
        known = ", ".join(map(str, index.versions)) or "none"
        raise ReleaseError(f"{without_credentials(folder)} has no release {version or 'yet'}; the versions are {known}")
    return _fetched(f"{folder}/v{number:06d}{DATABASE}", index.versions[number][DATABASE].sha256)


def _fetched(address: str, sha256: str | None = None) -> Path:
    cache = Workspace(cache_folder())
    download = download_of(address, sha256, MOST_BYTES, keep_changes=True)
    try:
        if is_object_address(address):
            folder = fetch_objects(download, cache, lambda done, total: None)
            return next(path for path in sorted(folder.rglob("*")) if path.is_file())
        return fetch(download, cache)
    except CorpusError as error:
        raise ReleaseError(str(error)) from error


def _mapped_vectors(connection: duckdb.DuckDBPyConnection, row: ReleaseRow) -> NDArray[np.float32]:
    """(V, D) vectors, mapped from the cache file of this checksum, which is written first if it is missing."""
    path = cache_folder() / "vectors" / f"{row.sha256}.npy"
    mapped = _map_file(path, (row.rows, row.dimension))
    if mapped is not None:
        return mapped
    matrix = read_all_vectors(connection, row)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced_file(path, unique=True) as temporary, temporary.open("wb") as file:
            write_array(file, matrix)
    except OSError as error:
        logger.info("%s cannot be written (%s); the vectors stay in memory", path, error)
        matrix.flags.writeable = False
        return matrix
    mapped = _map_file(path, matrix.shape)
    return matrix if mapped is None else mapped


def _map_file(path: Path, shape: tuple[int, ...]) -> NDArray[np.float32] | None:
    try:
        mapped: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        return None
    return mapped if mapped.shape == shape and mapped.dtype == np.float32 else None
