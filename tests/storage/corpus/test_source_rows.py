"""Texts in nested keys, in lists, and in rows that may lack them: the same from every format with columns."""

import gzip
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.corpus.source_forms import SourceFormat, read_pieces
from storage.corpus.source_rows import RowOptions
from storage.errors import CorpusError
from tests.storage.corpus.test_source_formats import source_file

FORMS = ["jsonl", "json", "parquet", "arrow", "arrows", "feather"]


def written(rows: Sequence[dict[str, Any]], form: str) -> bytes:
    if form == "jsonl":
        return "".join(json.dumps(row) + "\n" for row in rows).encode()
    if form == "json":
        return json.dumps(rows, indent=1).encode()
    sink, table = io.BytesIO(), pa.Table.from_pylist(list(rows))
    if form == "parquet":
        pq.write_table(table, sink)
    elif form == "feather":
        feather.write_feather(table, sink, compression="lz4")
    else:
        with (pa.ipc.new_file if form == "arrow" else pa.ipc.new_stream)(sink, table.schema) as writer:
            writer.write_table(table)
    return sink.getvalue()


def read(
    folder: Path,
    content: bytes | str,
    column: str = "text",
    options: RowOptions | None = None,
    source_format: SourceFormat = "auto",
    name: str = "a",
) -> list[str]:
    pieces = read_pieces(source_file(folder, name, content), source_format, column, "strict", options=options)
    return [piece.text.decode() for piece in pieces]


@pytest.mark.parametrize("form", FORMS)
def test_a_path_of_keys_names_a_nested_text(tmp_path: Path, form: str) -> None:
    rows = [{"article": {"body": text, "id": 1}, "text": "no"} for text in ("one", None, "two 한국어")]
    assert read(tmp_path, written([*rows, {"article": None, "text": "no"}], form), "article.body") == [
        "one",
        "two 한국어",
    ]
    with pytest.raises(CorpusError, match=r"no column 'article\.title'; found 'article'"):
        read(tmp_path, written(rows, form), "article.title")


@pytest.mark.parametrize("form", FORMS)
def test_a_key_that_contains_the_dots_has_priority(tmp_path: Path, form: str) -> None:
    assert read(tmp_path, written([{"a.b": "yes", "a": {"b": "no"}}], form), "a.b") == ["yes"]


@pytest.mark.parametrize("form", FORMS)
def test_a_list_of_tokens_is_a_text_with_spaces(tmp_path: Path, form: str) -> None:
    rows: list[dict[str, Any]] = [{"text": ["New", "York", None, "is"]}, {"text": None}, {"text": []}]
    assert read(tmp_path, written(rows, form)) == ["New York is", ""]
    with pytest.raises(CorpusError, match=r"'text' contains (a list of int|list<.*int64>), not (of )?text"):
        read(tmp_path, written([{"text": [1]}], form))


@pytest.mark.parametrize("form", ["jsonl", "json"])
def test_rows_without_the_key_stop_the_run_or_are_counted(tmp_path: Path, form: str) -> None:
    rows: list[dict[str, Any]] = [{"text": "one"}, {"id": 2}, {"text": "two"}, {"data": {"text": "no"}}]
    with pytest.raises(CorpusError, match=r"(line|item) 2: no column 'text'; .* corpus\.on_missing=skip"):
        read(tmp_path, written(rows, form))
    options = RowOptions("skip")
    assert read(tmp_path, written(rows, form), options=options) == ["one", "two"]
    assert options.left_out == {"rows without the column": 2}


@pytest.mark.parametrize("form", ["parquet", "arrow", "arrows", "feather", "csv"])
def test_a_table_without_the_column_is_left_out_whole(tmp_path: Path, form: str) -> None:
    content = b"body,id\none,1\n\ntwo,2\n" if form == "csv" else written([{"body": "one"}, {"body": "two"}], form)
    options = RowOptions("skip")
    name = "a.csv" if form == "csv" else "a"
    with pytest.raises(CorpusError, match=r"no column 'text'; found 'body'.*on_missing=skip"):
        read(tmp_path, content, name=name)
    assert read(tmp_path, content, options=options, name=name) == []
    assert options.left_out == {"rows without the column": 2}


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
@pytest.mark.parametrize(
    "wrap", [lambda kind: pa.list_(kind), lambda kind: pa.large_list(kind), lambda kind: pa.list_(kind, 2)]
)
def test_every_type_of_list_is_read(tmp_path: Path, kind: pa.DataType, wrap: Any) -> None:
    table = pa.table({"text": pa.array([["a", "b"], ["c", "d"]]).cast(wrap(pa.string())).cast(wrap(kind))})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    assert read(tmp_path, sink.getvalue()) == ["a b", "c d"]


@pytest.mark.parametrize(
    ("content", "texts"),
    [('["one", "two"]', ["one", "two"]), ('[["a", "b"], ["c"]]', ["a b", "c"]), ('[{"text": "a", "n": 1e3}]', ["a"])],
)
def test_items_of_an_array_may_be_texts_or_lists(tmp_path: Path, content: str, texts: list[str]) -> None:
    assert read(tmp_path, content) == texts


@settings(deadline=None)
@given(
    texts=st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), min_size=1), min_size=1)
)
def test_arrays_that_the_standard_library_wrote_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    content = json.dumps([{"text": text, "more": {"text": "no"}} for text in texts], ensure_ascii=False)
    assert read(tmp_path_factory.mktemp("json"), content) == texts


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"text": "a"}, {"text": "b"', r"after item 1: invalid JSON .*truncated"),
        ('[{"text": "a"}, {"text" "b"}]', r"after item 1: invalid JSON"),
        ('[{"text": "a"}]\n[{"text": "b"}]', r"after item 1: invalid JSON"),
        ('[{"text": "a"}, 5]', r"item 2: found int, expected an object with the key 'text'"),
        ('[{"text": 5}]', r"item 1: 'text' contains int, not text"),
    ],
)
def test_a_malformed_array_is_an_error_with_the_item(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        read(tmp_path, content)


def test_arrow_files_that_cannot_be_read_are_errors(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"cannot be read as Arrow IPC: .*copy it again"):
        read(tmp_path, written([{"text": "one"}], "arrow")[:-40])
    with pytest.raises(CorpusError, match="Feather file of version 1"):
        read(tmp_path, b"FEA1\x00\x00\x00\x00" + bytes(20))
    with pytest.raises(CorpusError, match="column 'text' contains int64, not text"):
        read(tmp_path, written([{"text": 1}], "arrow"))
    with pytest.raises(CorpusError, match="is gzip data around a Feather or Arrow file; decompress it"):
        read(tmp_path, gzip.compress(written([{"text": "one"}], "arrow")))


CASES = Path(__file__).parents[4] / "shared" / "cases"


@pytest.mark.skipif(not CASES.is_dir(), reason="../shared/cases is absent")
def test_wikiextractor_json_and_rows_of_odd_shapes_are_read() -> None:
    from storage.corpus.source_folders import find_source_files

    def texts(name: str, column: str = "text", skip: bool = False) -> list[str]:
        file = find_source_files(str(CASES / name)).files[0]
        options = RowOptions("skip" if skip else "stop")
        return [piece.text.decode() for piece in read_pieces(file, "auto", column, "strict", options=options)]

    odd = "08-jsonl-odd-rows"
    assert texts(f"{odd}/nested.jsonl", "data.text") == texts(f"{odd}/tokens.jsonl") == ["hello there"]
    assert texts(f"{odd}/missing.jsonl", skip=True) == ["hello there", "good bye"]
    assert texts(f"{odd}/firstmissing.jsonl", skip=True) == ["a b"]
    assert len(texts("01-wikiextractor-json/AA/wiki_00")) > 0
