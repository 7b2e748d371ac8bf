"""Each form of a source file yields its documents; a malformed one is reported with its line."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.corpus.source_files import SourceFile
from storage.corpus.source_folders import find_source_files
from storage.corpus.source_forms import SourceFormat, read_pieces
from storage.errors import CorpusError


def source_file(folder: Path, name: str, content: str | bytes) -> SourceFile:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return find_source_files(str(path)).files[0]


def documents(
    file: SourceFile, source_format: SourceFormat = "auto", column: str = "text", errors: str = "strict"
) -> list[str]:
    found = [""]
    for piece in read_pieces(file, source_format, column, errors):
        found[-1] += piece.text.decode()
        if piece.ends_document:
            found.append("")
    return found if found[-1] else found[:-1]


def test_each_line_is_a_document(tmp_path: Path) -> None:
    file = source_file(tmp_path, "a.txt", "one two\n\nthree\u2028four\x0bfive\nlast")
    assert documents(file) == ["one two", "", "three\u2028four\x0bfive", "last"]


def test_a_line_of_many_megabytes_comes_in_pieces_cut_at_whitespace(tmp_path: Path) -> None:
    text = "lorem ipsum dolor " * 300_000
    pieces = list(read_pieces(source_file(tmp_path, "a.txt", f"short\n{text}\nend\n"), "auto", "text", "strict"))
    inner = pieces[1:-1]
    assert (pieces[0].text, pieces[-1].text) == (b"short", b"end")
    assert b"".join(piece.text for piece in inner).decode() == text
    assert len(inner) > 2
    assert max(len(piece.text) for piece in inner) < 3 << 20
    assert all(piece.text.decode()[-1].isspace() for piece in inner[:-1])
    assert [piece.ends_document for piece in inner] == [False] * (len(inner) - 1) + [True]


@pytest.mark.parametrize("separator", [" ", "\n", "\u3000"])
def test_a_field_of_many_megabytes_comes_in_pieces_cut_at_whitespace(tmp_path: Path, separator: str) -> None:
    text = separator.join(["다람쥐", "헌", "쳇바퀴에"] * 300_000)
    file = source_file(tmp_path, "a.jsonl", json.dumps({"text": text}, ensure_ascii=False))
    pieces = list(read_pieces(file, "auto", "text", "strict"))
    assert len(pieces) > 2
    assert [word for piece in pieces for word in piece.text.decode().split()] == text.split()
    assert [piece.ends_document for piece in pieces] == [False] * (len(pieces) - 1) + [True]


def test_csv_fields_hold_commas_newlines_and_doubled_quotes(tmp_path: Path) -> None:
    content = '\ufefflabel,text\r\n1,"said ""no"", and\r\nleft"\r\n\r\n0,plain\r\n'
    assert documents(source_file(tmp_path, "a.csv", content)) == ['said "no", and\nleft', "plain"]
    assert documents(source_file(tmp_path, "a.tsv", "text\tlabel\none, two\t1\n")) == ["one, two"]


@settings(deadline=None)
@given(
    texts=st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), min_size=1), min_size=1)
)
def test_csv_that_the_standard_library_wrote_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    import csv

    path = tmp_path_factory.mktemp("csv") / "a.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("id", "text"), *enumerate(texts)])
    assert documents(find_source_files(str(path)).files[0]) == texts


def test_a_missing_column_is_an_error_that_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(
        CorpusError, match=r"a\.csv: no column 'text'; found 'id', 'review'; .*text_column.* needs such a row"
    ):
        documents(source_file(tmp_path, "a.csv", "id,review\n1,good\n"))
    with pytest.raises(CorpusError, match="found none"):
        documents(source_file(tmp_path, "empty.csv", ""))
    with pytest.raises(CorpusError, match=r"a\.jsonl, line 2: no column 'text'; found 'body'"):
        documents(source_file(tmp_path, "a.jsonl", '{"text": "a"}\n{"body": "b"}\n'))
    pq.write_table(pa.table({"body": ["b"]}), tmp_path / "a.parquet")
    with pytest.raises(CorpusError, match=r"a\.parquet: no column 'text'; found 'body'"):
        documents(find_source_files(str(tmp_path / "a.parquet")).files[0])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,text\n1,good\n2,so, so\n", r"line 3: the row has 3 fields, but the header has 2"),
        (
            'id,text\n1,"never closed\n2,b\n',
            r"line 2: the quoted field .* would swallow the row in line 3",
        ),
        ('id,text\n1,"a"b\n', r"line 2: this is not valid csv"),
    ],
)
def test_malformed_csv_is_an_error_that_names_the_line(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        documents(source_file(tmp_path, "a.csv", content))


def test_json_lines_yield_one_document_each_and_none_for_null(tmp_path: Path) -> None:
    content = '{"body": "caf\\u00e9\\nbar", "id": 1}\n\n{"body": null}\n{"body": "한국어"}'
    assert documents(source_file(tmp_path, "a.jsonl", content), column="body") == ["café\nbar", "한국어"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": "a"', r"line 2: invalid JSON \(.* at character 13\)"),
        ('["text"]', r"line 2: found list, expected an object with the key 'text'"),
        ('{"text": 5}', r"line 2: 'text' contains int, not text; fix corpus.text_column"),
        ('{"text": "\\ud83d!"}', r"line 2: the text contains an unpaired surrogate \(\\ud83d\)"),
    ],
)
def test_malformed_json_is_an_error_that_names_the_line(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        documents(source_file(tmp_path, "a.jsonl", f'{{"text": "a"}}\n{line}\n'))


def test_half_a_character_is_replaced_when_asked_for(tmp_path: Path) -> None:
    file = source_file(tmp_path, "a.jsonl", '{"text": "\\ud83d! \\ud83d\\ude00"}')
    assert documents(file, errors="replace") == ["\ufffd! 😀"]


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
def test_every_text_type_of_parquet_is_read_and_nulls_are_passed_over(tmp_path: Path, kind: pa.DataType) -> None:
    column = pa.array(["one", None, "two 한국어"]).cast(kind)
    pq.write_table(pa.table({"id": [1, 2, 3], "text": column}), tmp_path / "a.parquet")
    assert documents(find_source_files(str(tmp_path / "a.parquet")).files[0]) == ["one", "two 한국어"]


def test_a_parquet_column_that_is_not_text_is_an_error(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": [1, 2]}), tmp_path / "a.parquet")
    with pytest.raises(CorpusError, match="column 'text' contains int64, not text"):
        documents(find_source_files(str(tmp_path / "a.parquet")).files[0])


def test_parquet_text_that_is_not_utf8_is_an_error_that_names_the_row(tmp_path: Path) -> None:
    broken = pa.Array.from_buffers(pa.string(), 1, pa.array([b"ab\xff"]).buffers())
    pq.write_table(pa.table({"text": pa.chunked_array([["fine"], broken])}), tmp_path / "a.parquet")
    file = find_source_files(str(tmp_path / "a.parquet")).files[0]
    with pytest.raises(CorpusError, match="row 2: byte 2 of the text is not UTF-8"):
        documents(file)
    assert documents(file, errors="replace") == ["fine", "ab\ufffd"]


def test_a_damaged_parquet_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"a\.parquet cannot be read as Parquet"):
        documents(source_file(tmp_path, "a.parquet", b"PAR1 cut off"))


WIKI = '<doc id="1" url="u" title="A &amp; B">\nA &amp; B\n\nText &lt;b&gt;.\n</doc>\n\n<doc id="2">\nC\n</doc>\n'


@pytest.mark.parametrize("name", ["wiki_00", "a.txt"])
def test_wikiextractor_output_is_recognized_and_entities_are_resolved(tmp_path: Path, name: str) -> None:
    assert documents(source_file(tmp_path, name, "\n" + WIKI)) == ["A & B\n\nText <b>.", "C"]
    assert documents(source_file(tmp_path, name, WIKI), "text")[-1] == "</doc>"


def test_an_article_of_many_megabytes_keeps_its_lines(tmp_path: Path) -> None:
    lines = [f"line {number}" for number in range(300_000)]
    text = "\n".join(lines)
    found = documents(source_file(tmp_path, "wiki_00", f'<doc id="1">\n{text}\n</doc>\n'))
    assert [document.split("\n") for document in found] == [lines]


def test_wikiextractor_output_that_is_cut_off_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="document that starts in line 7 has no </doc>"):
        documents(source_file(tmp_path, "wiki_00", WIKI.removesuffix("</doc>\n")))
