"""Open and read a file of word vectors. The format is detected from the content unless specified."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from safetensors import SafetensorError

from storage.errors import VectorFileError
from storage.files.compressed import recognize_file
from storage.files.signatures import ENCODINGS, TEXTS, UNDECIDED, FileKind, describe, remedy
from storage.vectors.arrays import (
    NUMPY_FILE,
    SAFETENSORS_FILE,
    find_words_file,
    read_numpy,
    read_safetensors,
    read_words_file,
)
from storage.vectors.binary import guess_dimension, read_binary
from storage.vectors.fasttext import read_fasttext
from storage.vectors.floret import is_floret, read_floret
from storage.vectors.format_names import VectorFormat
from storage.vectors.formats import WordVectors, opened
from storage.vectors.static_models import STATIC_FILE, TOKENIZER_FILE, is_static_model, read_static_model
from storage.vectors.tables import read_parquet
from storage.vectors.text import BYTE_ORDER_MARK, is_row, parse_header, read_text

# Enough for a header and a long row.
HEAD_BYTES = 1 << 20
# Bytes that text never contains, and binary values do within a few rows.
CONTROL_BYTES = bytes({*range(32)} - {*b"\t\n\v\f\r"})
KINDS: Mapping[FileKind, VectorFormat] = {
    FileKind.FASTTEXT: VectorFormat.FASTTEXT,
    FileKind.NUMPY: VectorFormat.NUMPY,
    FileKind.PARQUET: VectorFormat.PARQUET,
    FileKind.PICKLE: VectorFormat.GENSIM,
    FileKind.SAFETENSORS: VectorFormat.SAFETENSORS,
}
FOLDER_FILES: Mapping[str, VectorFormat] = {
    NUMPY_FILE: VectorFormat.NUMPY,
    SAFETENSORS_FILE: VectorFormat.SAFETENSORS,
    STATIC_FILE: VectorFormat.MODEL2VEC,
    "vectors.tsv": VectorFormat.PROJECTOR,
}
WITH_WORDS_FILE = (VectorFormat.NUMPY, VectorFormat.SAFETENSORS, VectorFormat.FLORET)
# Exceptions that libraries raise for damaged files.
DAMAGE = (OSError, EOFError, ValueError, zlib.error, pa.ArrowException, SafetensorError, MemoryError)


@dataclass(frozen=True)
class VectorSource:
    """Word vectors that are located but not read yet.

    path: as specified.  files: the file of vectors and, for formats without words, the words file.
    """

    path: Path
    format: VectorFormat
    files: tuple[Path, ...]


def find_vectors(path: Path, form: VectorFormat | None = None, words: Path | None = None) -> VectorSource:
    """Locate word vectors at a path: a file, or a folder as written by `vecmill export`.

    form: the format; None detects it.  words: the words file of an array; None searches the array's folder.
    Raises VectorFileError if the path doesn't exist or the format is unsupported.
    """
    if not path.exists():
        raise VectorFileError(f"no such file: {path}")
    try:
        file = _vector_file(path)
        if form is None and words is None and is_static_model(file):
            form = VectorFormat.MODEL2VEC
        form = form or _recognized(file)
        if form is VectorFormat.MODEL2VEC:
            return VectorSource(path, form, (file, _tokenizer_file(file)))
        if form not in WITH_WORDS_FILE:
            return VectorSource(path, form, (file,))
        if words is not None and not words.is_file():
            raise ValueError(f"no such words file: {words}")
        return VectorSource(path, form, (file, words or find_words_file(file)))
    except DAMAGE as error:
        raise VectorFileError(f"{path} cannot be read as word vectors: {error}") from error


def read_vectors(source: VectorSource) -> WordVectors:
    """Read the words and vectors.

    Raises VectorFileError with the position where the file is truncated or malformed.
    """
    file = source.files[0]
    try:
        match source.format:
            case VectorFormat.WORD2VEC | VectorFormat.GLOVE:
                found = read_text(file, has_header=source.format is VectorFormat.WORD2VEC)
            case VectorFormat.WORD2VEC_BINARY:
                found = read_binary(file)
            case VectorFormat.FASTTEXT:
                found = read_fasttext(file)
            case VectorFormat.FLORET:
                found = read_floret(file, *read_words_file(source.files[1]))
            case VectorFormat.PARQUET:
                found = read_parquet(file)
            case VectorFormat.NUMPY:
                found = read_numpy(*source.files)
            case VectorFormat.SAFETENSORS:
                found = read_safetensors(*source.files)
            case VectorFormat.MODEL2VEC:
                found = read_static_model(*source.files)
            case VectorFormat.GENSIM:
                raise ValueError(
                    "this is a pickle, gensim's native format, and loading one runs the code in it; if you trust it, "
                    "load it with gensim and save it with save_word2vec_format(…, binary=True)"
                )
            case VectorFormat.PROJECTOR:
                raise ValueError("Embedding Projector files are write-only; export another format")
        if not found.vectors.size:
            raise ValueError("it contains no vectors")
    except DAMAGE as error:
        raise VectorFileError(f"{file} cannot be read as word vectors ({source.format}): {error}") from error
    return found


def _vector_file(path: Path) -> Path:
    if not path.is_dir():
        return path
    found = [path / name for name in FOLDER_FILES if (path / name).is_file()]
    if len(found) != 1:
        raise ValueError(f"the folder contains {len(found)} of the files {', '.join(FOLDER_FILES)}; specify one file")
    return found[0]


def _tokenizer_file(file: Path) -> Path:
    path = file.parent / TOKENIZER_FILE
    if not path.is_file():
        raise ValueError(f"its folder has no {TOKENIZER_FILE}, which names the tokens of the rows; copy it there")
    return path


def _recognized(file: Path) -> VectorFormat:
    """Detect the format from the head of a file."""
    if file.name in FOLDER_FILES and FOLDER_FILES[file.name] is VectorFormat.PROJECTOR:
        return VectorFormat.PROJECTOR
    content = recognize_file(file)
    if content.kind in KINDS and (content.compression is None or content.kind is FileKind.PICKLE):
        return KINDS[content.kind]
    if content.kind in KINDS:
        raise ValueError(f"it is a compressed {KINDS[content.kind]} file; decompress it first")
    if content.kind is FileKind.EMPTY:
        raise ValueError("the file is empty")
    if content.kind not in (UNDECIDED | TEXTS | ENCODINGS):
        raise ValueError(f"it is {describe(content.kind)}, which contains no vectors; {remedy(content.kind)}")
    with opened(file) as stream:
        head = stream.read(HEAD_BYTES)
    try:
        return _recognized_rows(head)
    except ValueError as error:
        if content.kind in UNDECIDED:
            raise
        raise ValueError(f"it is {describe(content.kind)}; {remedy(content.kind)}") from error


def _recognized_rows(head: bytes) -> VectorFormat:
    """Distinguish word2vec's formats, GloVe's and floret's."""
    if is_floret(head):
        return VectorFormat.FLORET
    first, _, rest = head.removeprefix(BYTE_ORDER_MARK).partition(b"\n")
    try:
        parse_header(first)
    except ValueError as error:
        # The word in the first row may contain spaces.
        second = rest.partition(b"\n")[0]
        if (is_row(first) and first.count(b" ") > 1) or (
            is_row(second) and second.count(b" ") > 1 and _ends_alike(first, second)
        ):
            return VectorFormat.GLOVE
        try:
            guess_dimension(head)
        except ValueError:
            raise ValueError(
                f"it is in none of the supported formats: {error}, nor a word and its numbers (GloVe)"
            ) from error
        return VectorFormat.WORD2VEC_BINARY
    second, newline, _ = rest.partition(b"\n")
    is_text = is_row(second) or (newline and _reads_as_text(second))
    return VectorFormat.WORD2VEC if is_text else VectorFormat.WORD2VEC_BINARY


def _ends_alike(first: bytes, second: bytes) -> bool:
    """Whether a line ends in the same number of numbers as the next."""
    fields = first.split()
    return (
        _reads_as_text(first)
        and len(fields) > second.count(b" ")
        and is_row(b" ".join(fields[-second.count(b" ") - 1 :]))
    )


def _reads_as_text(line: bytes) -> bool:
    """Binary values can contain a newline, and the bytes before it may be too few to include a control byte."""
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return not any(byte in CONTROL_BYTES for byte in line)
