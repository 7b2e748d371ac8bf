"""Export a published table to the file formats of other tools: its unit-length vectors, most frequent word first."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from storage.errors import ReleaseError, VectorFileError
from storage.files.compressed import UnreadableFileError, check_output_name, open_compressed
from storage.files.signatures import COMPRESSION_SUFFIXES, compression_of_name
from storage.layout import Workspace
from storage.output_files import new_output, size_of
from storage.releases.file import SIF_A
from storage.releases.ledger import kept_versions
from storage.releases.ngrams import read_ngrams
from storage.releases.opening import open_release, read_release_row, read_rows
from storage.releases.querying import published_file
from storage.releases.reader import read_all_words, setting_values
from storage.releases.schema import ReleaseRow, SettingRow
from storage.vectors.arrays import (
    NUMPY_FILE,
    SAFETENSORS_FILE,
    VOCABULARY_FILE,
    write_numpy,
    write_safetensors,
)
from storage.vectors.binary import ENDS_A_WORD as ENDS_A_BINARY_WORD
from storage.vectors.binary import write_binary
from storage.vectors.fasttext import own_rows, write_fasttext
from storage.vectors.floret import write_floret
from storage.vectors.format_names import VectorFormat
from storage.vectors.formats import Ngrams, WordVectors
from storage.vectors.static_models import (
    CONFIG_FILE,
    MODULES_FILE,
    STATIC_FILE,
    TOKENIZER_FILE,
    write_static_model,
)
from storage.vectors.tables import write_parquet
from storage.vectors.text import ENDS_A_WORD, write_glove, write_tab_separated, write_word2vec

PROJECTOR_VECTORS, PROJECTOR_METADATA = "vectors.tsv", "metadata.tsv"
# The files of the formats that need several; the others are one file.
FOLDERS: Mapping[VectorFormat, frozenset[str]] = {
    VectorFormat.NUMPY: frozenset({NUMPY_FILE, VOCABULARY_FILE}),
    VectorFormat.SAFETENSORS: frozenset({SAFETENSORS_FILE, VOCABULARY_FILE}),
    VectorFormat.MODEL2VEC: frozenset({STATIC_FILE, TOKENIZER_FILE, CONFIG_FILE, MODULES_FILE}),
    VectorFormat.PROJECTOR: frozenset({PROJECTOR_VECTORS, PROJECTOR_METADATA}),
}
# What no word may contain, because a reader would see another word, or none. Other formats hold any word.
UNHOLDABLE: Mapping[VectorFormat, re.Pattern[str]] = {
    VectorFormat.WORD2VEC: re.compile(f"{ENDS_A_WORD.pattern}|^$"),
    VectorFormat.GLOVE: re.compile(f"{ENDS_A_WORD.pattern}|^$"),
    VectorFormat.WORD2VEC_BINARY: ENDS_A_BINARY_WORD,
    VectorFormat.PROJECTOR: re.compile(r"[\t\n\r]|^$"),
}
# The formats that are compressed if the file name says so.
COMPRESSED = (VectorFormat.WORD2VEC, VectorFormat.WORD2VEC_BINARY, VectorFormat.GLOVE, VectorFormat.FLORET)
MINIMUM_NGRAM, MAXIMUM_NGRAM = "training.minimum_ngram", "training.maximum_ngram"
BYTE_ORDER_MARK = "\ufeff"
SHOWN_WORDS = 5
NO_NGRAMS = (
    "a floret table consists of n-grams, and this table has none; export one that was trained with "
    "training.model=fasttext (and without training.fuse_with), or another format"
)


@dataclass(frozen=True)
class VectorExport:
    """What was written. path: the file, or the folder of the formats that need several.  size in bytes."""

    table: str
    version: int
    format: VectorFormat
    path: Path
    words: int
    dimension: int
    size: int


def export_table(
    workspace: Workspace,
    table: str,
    form: VectorFormat,
    target: Path,
    *,
    version: int | None = None,
    force: bool = False,
) -> VectorExport:
    """Write a version of a table, or the current one, to a new file or folder.

    force: overwrite what has that name. Word2vec and GloVe files are compressed according to the suffix of the name,
    such as .gz. Raises ReleaseError if the table or version is missing, VectorFileError for words that the format
    cannot hold and for a path that exists or is not writable.
    """
    target = target.expanduser().absolute()
    check_name(form, target.name)
    published, row = _read_published(workspace, table, version)
    check_words_fit(form, published)
    facts = {
        "table": row.table_name,
        "version": str(row.version),
        "sha256": row.sha256,
        "source": row.corpus_source,
        "licence": row.corpus_licence,
    }
    with new_output(target, force=force, names=FOLDERS.get(form, frozenset())) as path:
        write_vectors(form, path, published, facts)
    words, dimension = published.vectors.shape
    return VectorExport(row.table_name, cast("int", row.version), form, target, words, dimension, size_of(target))


def check_name(form: VectorFormat, name: str) -> None:
    """Raises VectorFileError for a name with the suffix of a compression that the format does not support."""
    try:
        check_output_name(name)
    except UnreadableFileError as error:
        raise VectorFileError(f"{name} is not written: {error}") from error
    if form not in COMPRESSED and compression_of_name(name) is not None:
        raise VectorFileError(
            f"{form} is not compressed, so its name may not end in {Path(name).suffix}; "
            f"{', '.join(COMPRESSED)} files can end in {', '.join(COMPRESSION_SUFFIXES)}"
        )


def check_words_fit(form: VectorFormat, found: WordVectors) -> None:
    """Raises VectorFileError that names words which a file of that format would change, lose or split."""
    if form is VectorFormat.FLORET and found.ngrams is None:
        raise VectorFileError(NO_NGRAMS)
    pattern = UNHOLDABLE.get(form)
    unfit = [rank for rank, word in enumerate(found.words, 1) if pattern and pattern.search(word)]
    if form is VectorFormat.GLOVE and found.words[0].startswith(BYTE_ORDER_MARK):
        unfit.insert(0, 1)
    if unfit:
        shown = ", ".join(f"{found.words[rank - 1][:80]!r} (rank {rank})" for rank in unfit[:SHOWN_WORDS])
        more = f" and {len(unfit) - SHOWN_WORDS:,} more" if len(unfit) > SHOWN_WORDS else ""
        raise VectorFileError(
            f"{form} cannot hold the words {shown}{more}: spaces, tabs or newlines would split them; "
            "export to gensim, parquet, numpy, safetensors or model2vec, which hold any word"
        )
    if form is VectorFormat.PROJECTOR and found.vectors.shape[1] < 2:
        raise VectorFileError("the Embedding Projector cannot read vectors of one dimension; use another format")


def write_vectors(form: VectorFormat, path: Path, found: WordVectors, facts: Mapping[str, str]) -> None:
    """Write words that fit the format to a new file, or into an empty folder for the formats in FOLDERS.

    facts: what is known of them, for the formats that can store it.
    """
    words, counts, vectors = found.words, found.counts, found.vectors
    match form:
        case VectorFormat.WORD2VEC | VectorFormat.GLOVE | VectorFormat.WORD2VEC_BINARY:
            write = {VectorFormat.WORD2VEC: write_word2vec, VectorFormat.GLOVE: write_glove}.get(form, write_binary)
            with open_compressed(path) as file:
                write(file, words, vectors)
        case VectorFormat.GENSIM:
            _write_gensim(path, found)
        case VectorFormat.FASTTEXT:
            with path.open("wb") as file:
                write_fasttext(file, words, counts, vectors, found.ngrams)
        case VectorFormat.FLORET:
            if found.ngrams is None:
                raise VectorFileError(NO_NGRAMS)
            with open_compressed(path) as file:
                write_floret(file, words, vectors, found.ngrams)
        case VectorFormat.PARQUET:
            write_parquet(path, words, counts, vectors, facts)
        case VectorFormat.NUMPY:
            write_numpy(path, words, counts, vectors, facts)
        case VectorFormat.SAFETENSORS:
            write_safetensors(path, words, counts, vectors, facts)
        case VectorFormat.MODEL2VEC:
            write_static_model(path, words, sif_weights(counts), vectors, facts)
        case VectorFormat.PROJECTOR:
            _write_projector(path, found)


def sif_weights(counts: NDArray[np.int64]) -> NDArray[np.float32]:
    """The (V,) weights of the column `weight`: a / (a + p). counts: all 0 means unknown, then Zipf's law is used."""
    shares = counts if counts.any() else 1.0 / np.arange(1, len(counts) + 1)
    weights: NDArray[np.float32] = (SIF_A / (SIF_A + shares / shares.sum())).astype(np.float32)
    return weights


def _write_gensim(path: Path, found: WordVectors) -> None:
    """Write what `KeyedVectors.load` reads, as one file; gensim would store large arrays separately.

    With n-grams it loads as FastTextKeyedVectors, which answer for unknown words.
    """
    # Deferred: gensim takes a second to import.
    from gensim.models import KeyedVectors
    from gensim.models.fasttext import FastTextKeyedVectors

    dimension, ngrams = found.vectors.shape[1], found.ngrams
    if ngrams is None:
        keyed = KeyedVectors(vector_size=dimension)
    else:
        keyed = FastTextKeyedVectors(dimension, ngrams.minimum, ngrams.maximum, len(ngrams.vectors))
    keyed.add_vectors(found.words, found.vectors)
    if ngrams is not None:
        keyed.vectors_vocab = own_rows(found.words, found.vectors, ngrams)
        keyed.vectors_ngrams = ngrams.vectors
        keyed.recalc_char_ngram_buckets()
    keyed.allocate_vecattrs(["count"], [np.int64])
    keyed.expandos["count"][:] = found.counts
    keyed.save(str(path), separately=[])


def _write_projector(folder: Path, found: WordVectors) -> None:
    with (folder / PROJECTOR_VECTORS).open("wb") as file:
        write_tab_separated(file, found.vectors)
    # With two columns the projector takes the first line for their names; with one it would take it for a word.
    lines = [f"{word}\t{count}" for word, count in zip(found.words, found.counts.tolist(), strict=True)]
    (folder / PROJECTOR_METADATA).write_text("\n".join(("word\tcount", *lines, "")), encoding="utf-8", newline="\n")


def _read_published(workspace: Workspace, table: str, version: int | None) -> tuple[WordVectors, ReleaseRow]:
    path = published_file(workspace, table)
    if version is not None:
        path = workspace.release_file(table, version)
        if not path.is_file():
            kept = ", ".join(map(str, kept_versions(workspace, table))) or "none"
            raise ReleaseError(f"{table!r} has no version {version}; kept versions: {kept}")
    with open_release(path, scan=True) as connection:
        row = read_release_row(connection, path)
        found = read_all_words(connection, row)
        values = setting_values(read_rows(connection, "settings", SettingRow))
        ngrams = read_ngrams(connection, values.get(MINIMUM_NGRAM, 0), values.get(MAXIMUM_NGRAM, 0))
        if ngrams is not None:
            found = replace(found, ngrams=Ngrams(ngrams.minimum, ngrams.maximum, ngrams.vectors))
        return found, row
