"""Find and read a file of word vectors: its format is told by its content, unless it is named."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from safetensors import SafetensorError

from storage.compressed_files import recognize_file
from storage.errors import VectorFileError
from storage.file_signatures import ENCODINGS, TEXTS, UNDECIDED, FileKind, describe, remedy
from storage.vectors.arrays import NUMPY_FILE, SAFETENSORS_FILE, find_words_file, read_numpy, read_safetensors
from storage.vectors.binary import guess_dimension, read_binary
from storage.vectors.format_names import VectorFormat
from storage.vectors.formats import WordVectors, opened
from storage.vectors.tables import read_parquet
from storage.vectors.text import BYTE_ORDER_MARK, is_row, parse_header, read_text

# Enough for a heading and a long row.
HEAD_BYTES = 1 << 20
# What a text never holds, and the numbers of a binary file do within a few rows.
CONTROL_BYTES = bytes({*range(32)} - {*b"\t\n\v\f\r"})
KINDS: Mapping[FileKind, VectorFormat] = {
    FileKind.NUMPY: VectorFormat.NUMPY,
    FileKind.PARQUET: VectorFormat.PARQUET,
    FileKind.PICKLE: VectorFormat.GENSIM,
    FileKind.SAFETENSORS: VectorFormat.SAFETENSORS,
}
FASTTEXT_REMEDY = "import the .vec file that comes with it, or save its words and vectors as text"
FOLDER_FILES: Mapping[str, VectorFormat] = {
    NUMPY_FILE: VectorFormat.NUMPY,
    SAFETENSORS_FILE: VectorFormat.SAFETENSORS,
    "vectors.tsv": VectorFormat.PROJECTOR,
}
WITH_WORDS_FILE = (VectorFormat.NUMPY, VectorFormat.SAFETENSORS)
# What damaged files raise in the libraries that read them.
DAMAGE = (OSError, EOFError, ValueError, zlib.error, pa.ArrowException, SafetensorError, MemoryError)


@dataclass(frozen=True)
class VectorSource:
    """Word vectors that were found and not read yet.

    path: as it was given.  files: the file of vectors and, for formats without words of their own, that of the words.
    """

    path: Path
    format: VectorFormat
    files: tuple[Path, ...]


def find_vectors(path: Path, form: VectorFormat | None = None, words: Path | None = None) -> VectorSource:
    """The word vectors at a path: a file, or a folder as `vecmill export` writes it.

    form: the format, told by content where None.  words: the file of words for an array, found beside it where None.
    Raises VectorFileError if nothing is there, or it is in a form that cannot be read.
    """
    if not path.exists():
        raise VectorFileError(f"there is no file {path}")
    try:
        file = _vector_file(path)
        form = form or _recognized(file)
        if form not in WITH_WORDS_FILE:
            return VectorSource(path, form, (file,))
        if words is not None and not words.is_file():
            raise ValueError(f"there is no file of words {words}")
        return VectorSource(path, form, (file, words or find_words_file(file)))
    except DAMAGE as error:
        raise VectorFileError(f"{path} cannot be read as word vectors: {error}") from error


def read_vectors(source: VectorSource) -> WordVectors:
    """The words and vectors that were found.

    Raises VectorFileError that names the place where the file is cut off, or not in its format.
    """
    file = source.files[0]
    try:
        match source.format:
            case VectorFormat.WORD2VEC | VectorFormat.GLOVE:
                found = read_text(file, has_header=source.format is VectorFormat.WORD2VEC)
            case VectorFormat.WORD2VEC_BINARY:
                found = read_binary(file)
            case VectorFormat.PARQUET:
                found = read_parquet(file)
            case VectorFormat.NUMPY:
                found = read_numpy(*source.files)
            case VectorFormat.SAFETENSORS:
                found = read_safetensors(*source.files)
            case VectorFormat.GENSIM:
                raise ValueError(
                    "this is a pickle, as gensim saves its own models, and opening one runs the code in it; load it "
                    "with gensim where you trust it, and save it with save_word2vec_format(…, binary=True)"
                )
            case VectorFormat.PROJECTOR:
                raise ValueError("files of the Embedding Projector are only written; export another format")
        if not found.vectors.size:
            raise ValueError("it holds no vector")
    except DAMAGE as error:
        raise VectorFileError(f"{file} cannot be read as word vectors ({source.format}): {error}") from error
    return found


def _vector_file(path: Path) -> Path:
    if not path.is_dir():
        return path
    found = [path / name for name in FOLDER_FILES if (path / name).is_file()]
    if len(found) != 1:
        raise ValueError(f"the folder holds {len(found)} of the files {', '.join(FOLDER_FILES)}; name one file")
    return found[0]


def _recognized(file: Path) -> VectorFormat:
    """The format that the beginning of a file shows."""
    if file.name in FOLDER_FILES and FOLDER_FILES[file.name] is VectorFormat.PROJECTOR:
        return VectorFormat.PROJECTOR
    content = recognize_file(file)
    if content.kind in KINDS and (content.compression is None or content.kind is FileKind.PICKLE):
        return KINDS[content.kind]
    if content.kind in KINDS:
        raise ValueError(f"it is a compressed {KINDS[content.kind]} file; decompress it first")
    if content.kind is FileKind.EMPTY:
        raise ValueError("the file is empty")
    if content.kind is FileKind.FASTTEXT:
        raise ValueError(f"it is {describe(content.kind)}; {FASTTEXT_REMEDY}")
    if content.kind not in (UNDECIDED | TEXTS | ENCODINGS):
        raise ValueError(f"it is {describe(content.kind)}, which holds no rows of vectors; {remedy(content.kind)}")
    with opened(file) as stream:
        head = stream.read(HEAD_BYTES)
    try:
        return _recognized_rows(head)
    except ValueError as error:
        if content.kind in UNDECIDED:
            raise
        raise ValueError(f"it is {describe(content.kind)}; {remedy(content.kind)}") from error


def _recognized_rows(head: bytes) -> VectorFormat:
    """Which of word2vec's and GloVe's forms a file begins with."""
    first, _, rest = head.removeprefix(BYTE_ORDER_MARK).partition(b"\n")
    try:
        parse_header(first)
    except ValueError as error:
        # The word of the first row may hold blanks.
        second = rest.partition(b"\n")[0]
        if (is_row(first) and first.count(b" ") > 1) or (
            is_row(second) and second.count(b" ") > 1 and _ends_alike(first, second)
        ):
            return VectorFormat.GLOVE
        try:
            guess_dimension(head)
        except ValueError:
            raise ValueError(
                f"it is in none of the forms that can be read: {error}; nor is that a word and its numbers (GloVe)"
            ) from error
        return VectorFormat.WORD2VEC_BINARY
    second, newline, _ = rest.partition(b"\n")
    is_text = is_row(second) or (newline and _reads_as_text(second))
    return VectorFormat.WORD2VEC if is_text else VectorFormat.WORD2VEC_BINARY


def _ends_alike(first: bytes, second: bytes) -> bool:
    """Whether a line ends in as many numbers as the line below it."""
    fields = first.split()
    return (
        _reads_as_text(first)
        and len(fields) > second.count(b" ")
        and is_row(b" ".join(fields[-second.count(b" ") - 1 :]))
    )


def _reads_as_text(line: bytes) -> bool:
    """A byte of a number may be a line break, and what stands before it too short to hold a control byte."""
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return not any(byte in CONTROL_BYTES for byte in line)
