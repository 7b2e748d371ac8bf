"""Rows of Parquet files, and of Arrow IPC files and streams (also Feather)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from storage.corpus.source_files import SourceFile, recognized
from storage.corpus.source_rows import MISSING, RowOptions, Rows, missing_column
from storage.errors import CorpusError
from storage.files.signatures import describe

BATCH_ROWS = 1024
FILE_MAGIC = b"ARROW1"
FEATHER_1_MAGIC = b"FEA1"
# Checks a column's type. Its values are checked one by one where any type may do.
TEXTS_ONLY, ANY_TYPE = True, False


def parquet_rows(file: SourceFile, columns: Sequence[str], options: RowOptions, texts: bool = TEXTS_ONLY) -> Rows:
    """Rows of a Parquet file. Strings come as bytes, because Arrow doesn't validate UTF-8.

    Raises CorpusError for a missing column, one that is not text (if `texts`), or with the reason that Arrow cannot
    read the file.
    """
    return Rows(file, "row", _numbered(_parquet_columns(file, columns, options, texts)))


def arrow_rows(file: SourceFile, columns: Sequence[str], options: RowOptions, texts: bool = TEXTS_ONLY) -> Rows:
    """Rows of an Arrow IPC file or stream, otherwise like parquet_rows."""
    return Rows(file, "row", _numbered(_arrow_columns(file, columns, options, texts)))


def _numbered(batches: Iterator[list[list[object]]]) -> Iterator[tuple[int, Sequence[object]]]:
    number = 0
    for columns in batches:
        for values in zip(*columns, strict=True):
            number += 1
            yield number, values


def _parquet_columns(
    file: SourceFile, columns: Sequence[str], options: RowOptions, texts: bool
) -> Iterator[list[list[object]]]:
    _check_plain(file, "Parquet")
    with _named_errors(file, "Parquet"), pq.ParquetFile(file.path, page_checksum_verification=True) as parquet:
        paths = _paths(file, parquet.schema_arrow, columns, options, texts)
        wanted = [".".join(path) for path in paths if path]
        if not wanted:
            yield from _without_columns(parquet.metadata.num_rows, len(columns))
            return
        for batch in parquet.iter_batches(batch_size=BATCH_ROWS, columns=wanted):
            yield [_values(batch, path) for path in paths]


def _arrow_columns(
    file: SourceFile, columns: Sequence[str], options: RowOptions, texts: bool
) -> Iterator[list[list[object]]]:
    head = _check_plain(file, "Feather or Arrow")
    if head.startswith(FEATHER_1_MAGIC):
        raise CorpusError(f"{file.shown} is a Feather file of version 1; save it as version 2 or Parquet with pandas")
    with _named_errors(file, "Arrow IPC"), pa.OSFile(str(file.path)) as source:
        if head.startswith(FILE_MAGIC):
            reader = pa.ipc.open_file(source)
            batches = (reader.get_batch(number) for number in range(reader.num_record_batches))
        else:
            reader = pa.ipc.open_stream(source)
            batches = iter(reader)
        paths = _paths(file, reader.schema, columns, options, texts)
        for whole in batches:
            for start in range(0, whole.num_rows, BATCH_ROWS):
                batch = whole.slice(start, BATCH_ROWS)
                yield [_values(batch, path) for path in paths]


def _check_plain(file: SourceFile, what: str) -> bytes:
    content = recognized(file)
    if content.compression:
        raise CorpusError(
            f"{file.shown} is {describe(content.compression)} around a {what} file; decompress it, because {what} "
            "compresses its columns itself"
        )
    return content.head


def _without_columns(rows: int, columns: int) -> Iterator[list[list[object]]]:
    for start in range(0, rows, BATCH_ROWS):
        yield [[MISSING] * min(BATCH_ROWS, rows - start)] * columns


def _paths(
    file: SourceFile, schema: pa.Schema, columns: Sequence[str], options: RowOptions, texts: bool
) -> list[tuple[str, ...]]:
    """Names from the top column down to the wanted one; empty for a missing column that may be skipped."""
    paths = []
    for column in columns:
        path = (column,) if column in schema.names else tuple(column.split("."))
        found = _type_at(schema, path)
        if found is None:
            if options.on_missing == "stop":
                raise missing_column(file.shown, column, schema.names)
            path = ()
        elif schema.names.count(path[0]) > 1:
            raise CorpusError(f"{file.shown}: two columns are named {path[0]!r}; rename one of them")
        elif texts and not (_is_text(found) or (_is_list(found) and _is_text(found.value_type))):
            raise CorpusError(f"{file.shown}: column {column!r} contains {found}, not text; fix corpus.text_column")
        paths.append(path)
    return paths


def _type_at(schema: pa.Schema, path: tuple[str, ...]) -> pa.DataType | None:
    if path[0] not in schema.names:
        return None
    found = schema.types[schema.names.index(path[0])]
    for name in path[1:]:
        position = found.get_field_index(name) if pa.types.is_struct(found) else -1
        if position < 0:
            return None
        found = found.field(position).type
    return found


def _values(batch: pa.RecordBatch, path: tuple[str, ...]) -> list[object]:
    if not path:
        return [MISSING] * batch.num_rows
    array = batch.column(path[0])
    for name in path[1:]:
        array = pc.struct_field(array, name)
    if _is_text(array.type):
        array = array.cast(pa.large_string()).cast(pa.large_binary())
    elif _is_list(array.type) and _is_text(array.type.value_type):
        array = array.cast(pa.large_list(pa.large_string())).cast(pa.large_list(pa.large_binary()))
    values: list[object] = array.to_pylist()
    return values


def _is_text(found: pa.DataType) -> bool:
    value = found.value_type if pa.types.is_dictionary(found) else found
    return bool(pa.types.is_string(value) or pa.types.is_large_string(value) or pa.types.is_string_view(value))


def _is_list(found: pa.DataType) -> bool:
    return bool(pa.types.is_list(found) or pa.types.is_large_list(found) or pa.types.is_fixed_size_list(found))


@contextmanager
def _named_errors(file: SourceFile, what: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, KeyError, NotImplementedError) as error:
        article = "an" if what.startswith("A") else "a"
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        if isinstance(error, NotImplementedError) or "not supported" in reason or "not built" in reason:
            raise CorpusError(
                f"{file.shown} uses {article} {what} feature that Arrow does not support: {reason}; "
                "rewrite it with a common compression, such as zstd or snappy"
            ) from error
        raise CorpusError(
            f"{file.shown} cannot be read as {what}: {reason}; copy it again or fix corpus.format"
        ) from error
