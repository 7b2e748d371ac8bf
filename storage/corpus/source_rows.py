"""The documents of JSON lines and Parquet files."""

import json
from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from storage.corpus.source_files import REPLACEMENT, SourceFile, recognized
from storage.corpus.source_lines import whole_lines
from storage.errors import CorpusError
from storage.file_signatures import describe

# Python rejects integers of more than 4,300 digits, and only the text matters here.
MOST_DIGITS = 300


def json_texts(file: SourceFile, key: str, errors: str) -> Iterator[str]:
    """The text of each line. Raises CorpusError with the number of a line that is no object with text at the key."""
    decoder = json.JSONDecoder(parse_int=lambda digits: int(digits[:MOST_DIGITS]))
    for number, line in enumerate(whole_lines(file, errors), 1):
        stripped = line.strip()
        if not stripped:
            continue
        where = f"{file.shown}, line {number}"
        try:
            row = decoder.decode(stripped)
        except json.JSONDecodeError as error:
            raise CorpusError(
                f"{where}: invalid JSON ({error.msg} at character {error.pos + 1:,}); "
                "each line must be one JSON object: fix it, or set the file's format with corpus.format"
            ) from error
        except RecursionError as error:
            raise CorpusError(f"{where}: the JSON is nested too deeply; keep only the key {key!r}") from error
        if not isinstance(row, dict):
            raise CorpusError(f"{where}: found {type(row).__name__}, expected an object with the key {key!r}")
        if key not in row:
            raise missing_column(where, key, row)
        text = row[key]
        if text is None:
            continue
        if not isinstance(text, str):
            raise CorpusError(f"{where}: {key!r} contains {type(text).__name__}, not text; fix corpus.text_column")
        yield _without_nul(_without_surrogates(text, where, errors), where, errors)


def parquet_texts(file: SourceFile, column: str, errors: str) -> Iterator[str]:
    """The text column of each row. Raises CorpusError with the row, or the reason that Arrow cannot read the file."""
    content = recognized(file)
    if content.compression:
        raise CorpusError(
            f"{file.shown} is {describe(content.compression)} around a Parquet file; decompress it, because Parquet "
            "compresses its columns itself"
        )
    try:
        with pq.ParquetFile(file.path, page_checksum_verification=True) as parquet:
            names = parquet.schema_arrow.names
            if column not in names:
                raise missing_column(file.shown, column, names)
            if names.count(column) > 1:
                raise CorpusError(f"{file.shown}: two columns are named {column!r}; rename one of them")
            found = parquet.schema_arrow.field(column).type
            if not _is_text(found):
                raise CorpusError(f"{file.shown}: column {column!r} contains {found}, not text; fix corpus.text_column")
            row = 0
            for batch in parquet.iter_batches(batch_size=1024, columns=[column]):
                # As bytes, because Arrow doesn't validate UTF-8.
                for text in batch.column(0).cast(pa.large_string()).cast(pa.large_binary()).to_pylist():
                    row += 1
                    if text is not None:
                        where = f"{file.shown}, row {row:,}"
                        yield _without_nul(_utf8(text, where, errors), where, errors)
    except (pa.ArrowException, OSError, ValueError, KeyError, NotImplementedError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        if isinstance(error, NotImplementedError) or "not supported" in reason or "not built" in reason:
            raise CorpusError(
                f"{file.shown} uses a Parquet feature that Arrow does not support: {reason}; "
                "rewrite it with a common compression, such as zstd or snappy"
            ) from error
        raise CorpusError(
            f"{file.shown} cannot be read as Parquet: {reason}; copy it again or fix corpus.format"
        ) from error


def missing_column(where: str, column: str, found: Iterable[str], hint: str = "") -> CorpusError:
    """The error for a missing column or key."""
    names = ", ".join(repr(name) for name in found) or "none"
    return CorpusError(f"{where}: no column {column!r}; found {names}{hint}; choose one with corpus.text_column")


def _is_text(found: pa.DataType) -> bool:
    value = found.value_type if pa.types.is_dictionary(found) else found
    return bool(pa.types.is_string(value) or pa.types.is_large_string(value) or pa.types.is_string_view(value))


def _utf8(text: bytes, where: str, errors: str) -> str:
    try:
        return text.decode("utf-8", errors)
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{where}: byte {error.start:,} of the text is not UTF-8 ({error.reason}); "
            "fix the file, or set corpus.errors=replace to read such bytes as U+FFFD"
        ) from error


def _without_nul(text: str, where: str, errors: str) -> str:
    found = text.find("\x00")
    if found < 0:
        return text
    if errors == "replace":
        return text.replace("\x00", REPLACEMENT)
    raise CorpusError(
        f"{where}: character {found + 1:,} of the text is NUL (0x00), which text cannot contain; "
        "fix the file, or set corpus.errors=replace to read it as U+FFFD"
    )


def _without_surrogates(text: str, where: str, errors: str) -> str:
    r"""Reject or replace unpaired surrogates (\ud83d alone): JSON can express them, UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        if errors != "replace":
            raise CorpusError(
                f"{where}: the text contains an unpaired surrogate (\\u{ord(text[error.start]):04x}); "
                "fix the line, or set corpus.errors=replace to read it as U+FFFD"
            ) from error
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
