"""Recognise files by their first bytes, then by their name: one table for corpora, vectors and gold sets.

`storage.files.compressed` uses the same table, so a compression is recognised whatever the file's name.
"""

import csv
import io
import json
import re
import unicodedata
from collections.abc import Mapping
from enum import StrEnum
from pathlib import PurePath
from typing import NamedTuple

# Enough for the declaration, the heading and the first rows of any text.
HEAD_BYTES = 1 << 16


class FileKind(StrEnum):
    """Kind of a file, as its first bytes show."""

    EMPTY = "empty"
    GZIP = "gzip"
    BZ2 = "bz2"
    XZ = "xz"
    ZSTD = "zstd"
    OTHER_COMPRESSION = "other compression"
    ZIP = "zip"
    TAR = "tar"
    OTHER_ARCHIVE = "other archive"
    PARQUET = "parquet"
    ARROW = "arrow"
    HDF5 = "hdf5"
    NUMPY = "numpy"
    SAFETENSORS = "safetensors"
    PICKLE = "pickle"
    FASTTEXT = "fasttext"
    SQLITE = "sqlite"
    DUCKDB = "duckdb"
    OTHER_TABLE = "other table"
    PDF = "pdf"
    OFFICE = "office"
    MEDIA = "media"
    UTF16 = "utf-16"
    UTF32 = "utf-32"
    GIT_LFS = "git lfs"
    WIKIEXTRACTOR = "wikiextractor"
    MEDIAWIKI = "mediawiki"
    HTML = "html"
    XML = "xml"
    WARC = "warc"
    JSON_LINES = "json lines"
    JSON_ARRAY = "json array"
    JSON_DOCUMENT = "json document"
    CSV = "csv"
    TEXT = "text"
    # Neither a signature nor UTF-8: text in an older encoding, or numbers.
    NOT_UTF8 = "not utf-8"
    # No signature, but NUL bytes, which text never contains.
    BINARY = "binary"


COMPRESSIONS = frozenset({FileKind.GZIP, FileKind.BZ2, FileKind.XZ, FileKind.ZSTD})
ENCODINGS = frozenset({FileKind.UTF16, FileKind.UTF32})
MARKUP = frozenset({FileKind.MEDIAWIKI, FileKind.HTML, FileKind.XML, FileKind.WARC})
JSON = frozenset({FileKind.JSON_LINES, FileKind.JSON_ARRAY, FileKind.JSON_DOCUMENT})
# Kinds of valid UTF-8 text, whatever its form.
TEXTS = MARKUP | JSON | {FileKind.TEXT, FileKind.CSV, FileKind.WIKIEXTRACTOR}
# Kinds without a signature: a reader of numbers may still know the file.
UNDECIDED = frozenset({FileKind.TEXT, FileKind.CSV, FileKind.NOT_UTF8, FileKind.BINARY})

# Suffix -> compression. Reading goes by signature, writing by suffix.
COMPRESSION_SUFFIXES: Mapping[str, FileKind] = {
    ".gz": FileKind.GZIP,
    ".bz2": FileKind.BZ2,
    ".xz": FileKind.XZ,
    ".zst": FileKind.ZSTD,
}
# Suffixes of compressions and archives that are not supported.
UNSUPPORTED_SUFFIXES = frozenset(
    {".7z", ".br", ".lz", ".lz4", ".lzma", ".lzo", ".rar", ".sz", ".tar", ".tbz2", ".tgz", ".txz", ".z", ".zip"}
)


class Description(NamedTuple):
    """what: noun phrase for messages.  remedy: imperative; empty if it depends on the reader."""

    what: str
    remedy: str


DESCRIPTIONS: Mapping[FileKind, Description] = {
    FileKind.EMPTY: Description("an empty file", ""),
    FileKind.GZIP: Description("gzip data", "decompress it once with gunzip"),
    FileKind.BZ2: Description("bzip2 data", "decompress it once with bunzip2"),
    FileKind.XZ: Description("xz data", "decompress it once with unxz"),
    FileKind.ZSTD: Description("Zstandard data", "decompress it once with unzstd"),
    FileKind.OTHER_COMPRESSION: Description(
        "data in a compression that vecmill does not read", "repack it with gzip, bzip2, xz or zstd"
    ),
    FileKind.ZIP: Description("a zip archive", "unpack it and use the files in it"),
    FileKind.TAR: Description("a tar archive", "unpack it and use the files in it"),
    FileKind.OTHER_ARCHIVE: Description("an archive", "unpack it and use the files in it"),
    FileKind.PARQUET: Description("a Parquet file", ""),
    FileKind.ARROW: Description("an Arrow IPC (Feather) file", "convert it to Parquet, e.g. with pyarrow or polars"),
    FileKind.HDF5: Description("an HDF5 file", "export its table to Parquet or csv"),
    FileKind.NUMPY: Description("a NumPy array", ""),
    FileKind.SAFETENSORS: Description("a safetensors file", ""),
    FileKind.PICKLE: Description(
        "a Python pickle, which runs code when it is opened", "save its content in another format where you trust it"
    ),
    FileKind.FASTTEXT: Description("a fastText model (.bin)", "use the .vec file that fastText writes next to it"),
    FileKind.SQLITE: Description("a SQLite database", "export the table to csv or Parquet"),
    FileKind.DUCKDB: Description("a DuckDB database", "select its text with corpus.query"),
    FileKind.OTHER_TABLE: Description("a table in a format that vecmill does not read", "convert it to Parquet or csv"),
    FileKind.PDF: Description("a PDF document", "extract its text first, e.g. with pdftotext"),
    FileKind.OFFICE: Description("an office document", "save it as plain text (UTF-8)"),
    FileKind.MEDIA: Description("an image, sound or program", "remove it"),
    FileKind.UTF16: Description("UTF-16 text", "convert it with iconv -f UTF-16 -t UTF-8"),
    FileKind.UTF32: Description("UTF-32 text", "convert it with iconv -f UTF-32 -t UTF-8"),
    FileKind.GIT_LFS: Description("a Git LFS pointer, not the file itself", "fetch the file with git lfs pull"),
    FileKind.WIKIEXTRACTOR: Description("WikiExtractor output", ""),
    FileKind.MEDIAWIKI: Description("a MediaWiki XML dump", "extract its text first, e.g. with wikiextractor --json"),
    FileKind.HTML: Description("an HTML page", "extract its text first"),
    FileKind.XML: Description("XML or HTML markup", "extract its text first"),
    FileKind.WARC: Description("a WARC web archive", "extract its text first"),
    FileKind.JSON_LINES: Description("JSON lines", ""),
    FileKind.JSON_ARRAY: Description(
        "a JSON array", "write one object a line with jq -c '.[]' in.json > out.jsonl"
    ),
    FileKind.JSON_DOCUMENT: Description(
        "a JSON object that spans several lines", "write one object a line with jq -c . in.json > out.jsonl"
    ),
    FileKind.CSV: Description("a csv table", ""),
    FileKind.TEXT: Description("text", ""),
    FileKind.NOT_UTF8: Description("bytes that are not UTF-8", "convert it to UTF-8, e.g. with iconv"),
    FileKind.BINARY: Description("binary data (it contains NUL bytes)", ""),
}  # fmt: skip


class Signature(NamedTuple):
    """Bytes at `offset` that only files of this kind have."""

    kind: FileKind
    pattern: re.Pattern[bytes]
    offset: int = 0


def _signature(kind: FileKind, pattern: bytes, offset: int = 0) -> Signature:
    return Signature(kind, re.compile(pattern, re.DOTALL), offset)


# Binary formats. Each pattern contains a byte that no UTF-8 text starts with, or a magic word and its mandatory suffix.
SIGNATURES: tuple[Signature, ...] = (
    _signature(FileKind.GZIP, rb"\x1f\x8b"),
    _signature(FileKind.BZ2, rb"BZh[1-9](1AY&SY|\x17rE8P\x90|\Z)"),
    _signature(FileKind.XZ, rb"\xfd7zXZ\x00"),
    # The second form is a skippable frame, with which pzstd opens its files.
    _signature(FileKind.ZSTD, rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"),
    # lz4, its old form, compress, lzip, lzop, snappy frames, lzma alone
    _signature(
        FileKind.OTHER_COMPRESSION,
        rb"\x04\x22\x4d\x18|\x02\x21\x4c\x18|\x1f[\x9d\xa0]|LZIP[\x00\x01]|\x89LZO\x00|\xff\x06\x00\x00sNaPpY"
        rb"|\x5d\x00\x00..(\xff{8}|.{5}\x00{3})",
    ),
    _signature(FileKind.ZIP, rb"PK(\x03\x04|\x05\x06|\x07\x08)"),
    _signature(FileKind.TAR, rb"ustar[\x00 ]", 257),
    _signature(FileKind.OTHER_ARCHIVE, rb"7z\xbc\xaf\x27\x1c|Rar!\x1a\x07|!<arch>\n|\xed\xab\xee\xdb|MSCF\x00"),
    _signature(FileKind.PARQUET, rb"PAR[1E]([\x00-\x1f\x80-\xff]|\Z)"),
    # The file form, Feather's first version and the stream form.
    _signature(FileKind.ARROW, rb"ARROW1(\x00\x00|\Z)|FEA1[\x00-\x1f]|\xff{4}..\x00\x00\x10\x00\x00\x00"),
    _signature(FileKind.HDF5, rb"\x89HDF\r\n\x1a\n"),
    _signature(FileKind.NUMPY, rb"\x93NUMPY"),
    _signature(FileKind.PICKLE, rb"\x80[\x02-\x05](?=[\x80-\xff\x00-\x1f(\[\]{}c}X])"),
    # 793712314 as a little-endian int32, then the version.
    _signature(FileKind.FASTTEXT, rb"\xba\x16\x4f\x2f.\x00\x00\x00"),
    _signature(FileKind.SQLITE, rb"SQLite format 3\x00"),
    _signature(FileKind.DUCKDB, rb"DUCK", 8),
    # Avro, ORC, R, Stata, SPSS
    _signature(FileKind.OTHER_TABLE, rb"Obj\x01|ORC[\x00-\x1f]|RD[AX][23]\n|<stata_dta>|\$FL2@\(#\)"),
    _signature(FileKind.PDF, rb"\s*%PDF-\d|%!PS-Adobe"),
    _signature(FileKind.OFFICE, rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1|\{\\rtf\d"),
    _signature(
        FileKind.MEDIA,
        rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a|RIFF.{4}(WAVE|AVI |WEBP)|OggS\x00|ID3[\x02-\x04]|fLaC\x00"
        rb"|\x7fELF|MZ\x90\x00|\xcf\xfa\xed\xfe|\x00asm|\x00\x00\x00.ftyp|\x1aE\xdf\xa3",
    ),
)
BYTE_ORDER_MARKS: Mapping[bytes, FileKind] = {
    b"\xff\xfe\x00\x00": FileKind.UTF32,
    b"\x00\x00\xfe\xff": FileKind.UTF32,
    b"\xff\xfe": FileKind.UTF16,
    b"\xfe\xff": FileKind.UTF16,
}
# Of the bytes of UTF-16 that could be UTF-8 with NUL bytes: Latin text has one half.
LEAST_NUL = 0.25
UTF8_MARK = b"\xef\xbb\xbf"
# Of text, after a byte order mark and blank space; the first that fits decides.
# Possessive: the end of a comment is its first one, so no other division is tried.
COMMENTS = r"(?:<\?xml[^>]*\?>\s*|<!--.*?-->\s*)*+"
TEXT_SIGNATURES: tuple[tuple[FileKind, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern, re.DOTALL | re.IGNORECASE))
    for kind, pattern in (
        (FileKind.GIT_LFS, r"version https://git-lfs\.github\.com/spec/"),
        (FileKind.WARC, r"WARC/\d\.\d\r?\n"),
        (FileKind.WIKIEXTRACTOR, r"<doc (?=[^>\n]*\bid=)(?=[^>\n]*(>\s*\n|>\s*\Z))"),
        (FileKind.MEDIAWIKI, COMMENTS + r"<mediawiki[\s>]"),
        (FileKind.HTML, COMMENTS + r"<(!DOCTYPE\s+html|html[\s>]|head>|body[\s>])"),
        (FileKind.XML, r"<\?xml\s|<!DOCTYPE\s|<!\[CDATA\[|<rss\s"),
    )
)
LEADING_COMMENTS = re.compile(COMMENTS, re.DOTALL)
TAG = re.compile(r"<(?P<name>[A-Za-z][\w:.-]*)(\s+[\w:.-]+\s*=\s*(\"[^\"<]*\"|'[^'<]*'))*\s*/?>")
# Sentence and rare-word markers in language model corpora; they are not markup.
TOKEN_MARKS = frozenset({"s", "unk", "eos", "bos", "pad", "num", "sep", "cls", "mask", "sos", "br"})
JSON_OBJECT = re.compile(r'\{\s*("|\})')
JSON_LIST = re.compile(r'\[\s*(\{\s*("|\})|\[\s*["\[\d-]|\n\s*")')
SUFFIXES: Mapping[str, FileKind] = {
    ".csv": FileKind.CSV,
    ".tsv": FileKind.CSV,
}
DELIMITERS = ",\t;|"
COLUMN_NAME = re.compile(r"[^\W\d][\w.-]{0,40}")


def recognize(head: bytes, name: str = "") -> FileKind:
    """Recognise a file. head: its first HEAD_BYTES, or all of a shorter one, decompressed.  name: used if the
    content is ambiguous (csv). Compressed input is recognised as its compression.
    """
    if not head:
        return FileKind.EMPTY
    for signature in SIGNATURES:
        if signature.pattern.match(head, signature.offset):
            return signature.kind
    for mark, kind in BYTE_ORDER_MARKS.items():
        if head.startswith(mark):
            return kind
    if head[8:9] == b"{" and head[5:8] == b"\x00\x00\x00":
        return FileKind.SAFETENSORS
    try:
        text = _whole_characters(head.removeprefix(UTF8_MARK))
    except UnicodeDecodeError:
        text = None
    if b"\x00" in head:
        # In otherwise valid UTF-8, a few NUL bytes are damage.
        rare = text is not None and head.count(0) < LEAST_NUL * len(head)
        return (None if rare else _wide_encoding(head)) or FileKind.BINARY
    if text is None:
        # Signatures of markup and JSON are ASCII in any of these encodings.
        kind = _recognize_text(head.decode("latin-1"), PurePath())
        return FileKind.NOT_UTF8 if kind in UNDECIDED else kind
    return _recognize_text(text, PurePath(name.lower()))


def describe(kind: FileKind) -> str:
    """Noun phrase for messages, such as "an HTML page"."""
    return DESCRIPTIONS[kind].what


def remedy(kind: FileKind) -> str:
    """What to do with an unsupported file of this kind, as an imperative."""
    return DESCRIPTIONS[kind].remedy or "use a file in another format"


def compression_of_name(name: str) -> FileKind | None:
    """The compression that a file name's suffix names; None for a plain name."""
    return COMPRESSION_SUFFIXES.get(PurePath(name.lower()).suffix)


def csv_delimiter(text: str) -> str | None:
    """The delimiter of a table whose first line names its columns and whose next rows agree with it, else None."""
    lines = text.split("\n")
    complete = lines if len(lines) < 3 else lines[:-1]
    for delimiter in DELIMITERS:
        header = complete[0].rstrip("\r").split(delimiter)
        names = [field.strip('"') for field in header]
        if len(names) < 2 or len(set(names)) < len(names) or not all(map(COLUMN_NAME.fullmatch, names)):
            continue
        rows = [row for row in csv.reader(io.StringIO("\n".join(complete[1:40])), delimiter=delimiter) if row]
        # The last row may be cut by the end of the head.
        if rows and all(len(row) == len(names) for row in (rows[:-1] or rows)):
            return delimiter
    return None


def _recognize_text(text: str, name: PurePath) -> FileKind:
    stripped = text.lstrip()
    for kind, pattern in TEXT_SIGNATURES:
        if pattern.match(stripped):
            return kind
    tag = TAG.match(stripped, LEADING_COMMENTS.match(stripped).end())  # type: ignore[union-attr]
    if tag and tag["name"].lower() not in TOKEN_MARKS and (tag[2] or f"</{tag['name']}>" in stripped):
        return FileKind.XML
    if JSON_OBJECT.match(stripped):
        return FileKind.JSON_LINES if _is_whole_object(stripped) else FileKind.JSON_DOCUMENT
    if JSON_LIST.match(stripped) or _is_json_list(stripped.partition("\n")[0]):
        return FileKind.JSON_ARRAY
    bare = name.with_suffix("") if name.suffix in COMPRESSION_SUFFIXES else name
    return SUFFIXES.get(bare.suffix, FileKind.CSV if csv_delimiter(stripped) else FileKind.TEXT)


def _is_whole_object(text: str) -> bool:
    """Whether the first line ends an object, or goes on beyond the head."""
    first, newline, rest = text.partition("\n")
    return not newline or first.rstrip().endswith("}") or rest.lstrip().startswith("{")


def _is_json_list(line: str) -> bool:
    if not line.startswith("["):
        return False
    try:
        return bool(json.loads(line))
    except (ValueError, RecursionError):
        return False


def _whole_characters(head: bytes) -> str:
    """The text of a head, without a character truncated at its end."""
    try:
        return head.decode()
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data" and len(head) - error.start < 4:
            return head[: error.start].decode()
        raise


def _wide_encoding(head: bytes) -> FileKind | None:
    """UTF-16 or UTF-32 without a byte order mark: every code unit is a text character."""
    for encoding, kind, width in (
        ("utf-32-le", FileKind.UTF32, 4),
        ("utf-32-be", FileKind.UTF32, 4),
        ("utf-16-le", FileKind.UTF16, 2),
        ("utf-16-be", FileKind.UTF16, 2),
    ):
        whole = head[: len(head) // width * width]
        try:
            text = whole.decode(encoding)
        except UnicodeDecodeError as error:
            if error.reason != "unexpected end of data":
                continue
            text = whole[: error.start].decode(encoding)
        if len(text) > 3 and _reads_as_text(text):
            return kind
    return None


def _reads_as_text(text: str) -> bool:
    return all(unicodedata.category(char) not in {"Cc", "Cn", "Co"} or char in "\t\n\v\f\r" for char in text)
