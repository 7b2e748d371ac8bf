"""A corpus is never read as something that it is not: markup, tables, archives, padding and other encodings."""

import bz2
import gzip
import io
import json
import lzma
import random
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from storage.corpus.source_csv import Quoting, TableForm
from storage.corpus.source_folders import find_source_files
from storage.corpus.source_forms import SourceFormat, read_pieces
from storage.errors import CorpusError

WORDS = "The river rises in the hills, and ends in a bay near the café.\n"


def read(
    folder: Path,
    name: str,
    content: bytes | str,
    source_format: SourceFormat = "auto",
    *,
    column: str = "text",
    errors: str = "strict",
    delimiter: str = "auto",
    quoting: Quoting = "auto",
) -> list[str]:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    (file,) = find_source_files(str(path)).files
    pieces = read_pieces(file, source_format, column, errors, TableForm(delimiter, quoting))
    return [piece.text.decode() for piece in pieces if piece.text]


@pytest.mark.parametrize("name", ["wiki_00", "wiki_00.txt", "a.csv", "wiki_00.bz2"])
def test_json_lines_are_recognised_without_an_extension(tmp_path: Path, name: str) -> None:
    rows = [{"id": str(number), "title": "Café", "text": WORDS} for number in range(3)]
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    assert read(tmp_path, name, bz2.compress(content) if name.endswith(".bz2") else content) == [WORDS] * 3


def test_a_table_without_an_extension_is_read_as_one_if_it_names_the_text_column(tmp_path: Path) -> None:
    table = "id;text\n1;one, two\n2;three\n"
    assert read(tmp_path, "table", table) == ["one, two", "three"]
    assert read(tmp_path, "table", table, column="body") == table.splitlines()


def test_parquet_is_recognised_by_content(tmp_path: Path) -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"text": ["one", "two"]}), sink)
    assert read(tmp_path, "part-00000", sink.getvalue()) == ["one", "two"]
    with pytest.raises(CorpusError, match=r"a\.parquet\.gz is gzip data around a Parquet file; decompress it"):
        read(tmp_path, "a.parquet.gz", gzip.compress(sink.getvalue()))


REFUSED: list[tuple[bytes, str]] = [
    (b"<!DOCTYPE html>\n<html>", "an HTML page, not text to train on; .*or set corpus.format=text"),
    (b"<?xml version='1.0'?>\n<posts>", "XML or HTML markup"),
    (b'{\n  "text": "a"\n}\n', "a JSON object that spans several lines"),
    (b"%PDF-1.4\n", "a PDF document"),
    (b"PK\x03\x04" + bytes(30), "a zip archive, not text to train on; unpack it"),
    (b"SQLite format 3\x00", "a SQLite database"),
    (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer.*git lfs pull"),
    *(
        (WORDS.encode(encoding), "UTF-16 text, not .*iconv.* or set corpus.encoding=utf-16")
        for encoding in ("utf-16", "utf-16-le", "utf-16-be")
    ),
    (WORDS.encode("utf-32"), "UTF-32 text"),
]


@pytest.mark.parametrize("name", ["a", "a.txt", "a.csv", "a.jsonl", "a.gz"])
@pytest.mark.parametrize("errors", ["strict", "replace"])
@pytest.mark.parametrize(("content", "message"), REFUSED, ids=lambda value: str(value)[:20])
def test_what_is_not_text_is_refused_by_name(
    tmp_path: Path, content: bytes, message: str, name: str, errors: str
) -> None:
    with pytest.raises(CorpusError, match=message):
        read(tmp_path, name, gzip.compress(content) if name.endswith(".gz") else content, errors=errors)


def test_markup_is_read_as_it_is_only_when_asked_for(tmp_path: Path) -> None:
    assert read(tmp_path, "a.html", "<html>\n<p>one</p>\n", "text") == ["<html>", "<p>one</p>"]
    with pytest.raises(CorpusError, match="a PDF document"):
        read(tmp_path, "a", b"%PDF-1.4\n", "text", errors="replace")


@pytest.mark.parametrize("errors", ["strict", "replace"])
@pytest.mark.parametrize("before", [0, 100, 3 << 20])
def test_a_nul_byte_is_an_error_at_reading_with_its_offset(tmp_path: Path, errors: str, before: int) -> None:
    text = (WORDS.encode() * (before // len(WORDS) + 1))[:before].decode("utf-8", "ignore").encode()
    offset = len(text) + 4
    with pytest.raises(CorpusError, match=rf"byte {offset:,} of its text is NUL .*UTF-16\?"):
        read(tmp_path, "a.txt", text + b"word\x00and more", errors=errors)
    with pytest.raises(CorpusError, match=rf"byte {offset:,} of its text is NUL .*padding"):
        read(tmp_path, "a.txt", text + b"word" + bytes(9000), errors=errors)


@pytest.mark.parametrize("encoding", ["cp1251", "gb18030", "euc-kr", "shift-jis", "utf-16-le"])
def test_another_encoding_is_not_read_as_replacement_characters(tmp_path: Path, encoding: str) -> None:
    text = {"cp1251": "Живёт у реки", "gb18030": "我们在学习中文", "euc-kr": "다람쥐헌쳇바퀴에타고파"}.get(
        encoding, "日本語の文章をここに\n"
    )
    for before in ("", "plain text first\n" * 10):
        with pytest.raises(CorpusError, match=r"is not UTF-8|UTF-16"):
            read(tmp_path, "a.txt", (before + text * 300).encode(encoding), errors="replace")
    assert read(tmp_path, "a.txt", WORDS.encode("latin-1"), errors="replace") == [WORDS.replace("é", "\ufffd").strip()]


STRAY = (
    'id\ttext\n1\tplain words here\n2\t"unclosed opening quote\n3\tthird\n4\tis "fine" too\n5\tsays "good"\n6\tsixth\n'
)
SWALLOW = 'id\ttext\n1\tplain words\n2\t"unclosed opening quote\n3\tthird\n4\tends in a quote"\n5\tfifth\n'


@pytest.mark.parametrize("text", [STRAY, SWALLOW])
@pytest.mark.parametrize("delimiter", ["\t", ",", ";", "|"])
@pytest.mark.parametrize("skip", [0, 1])
def test_a_stray_quote_never_merges_rows_in_silence(tmp_path: Path, text: str, delimiter: str, skip: int) -> None:
    header, *rows = text.replace("\t", delimiter).splitlines(keepends=True)
    content = "".join([header, *rows[skip:]])
    with pytest.raises(
        CorpusError, match=rf"line {3 - skip}: the quoted field .* swallow the row in line {4 - skip}; .*none"
    ):
        read(tmp_path, "a.tsv" if delimiter == "\t" else "a.csv", content)
    found = read(tmp_path, "a.csv", content, delimiter="tab" if delimiter == "\t" else delimiter, quoting="none")
    assert found == [row.rstrip("\n").split(delimiter)[1] for row in rows[skip:]]


def test_a_quote_that_never_closes_is_named_by_its_own_line(tmp_path: Path) -> None:
    content = 'text\none\n"two\n' + "three\n" * 500
    for quoting in ("auto", "standard", "backslash"):
        with pytest.raises(
            CorpusError, match=r"line 3: the quoted field that opens here is never closed; .*quoting=none"
        ):
            read(tmp_path, "a.csv", content, quoting=quoting)


def test_prose_with_commas_and_lines_in_quotes_is_one_field(tmp_path: Path) -> None:
    texts = ["Nice film,\nwell acted, too\n3, 4 stars", "one\n\ntwo"]
    content = "id,text\n" + "".join(f'{number},"{text}"\n' for number, text in enumerate(texts))
    assert read(tmp_path, "a.csv", content) == texts


def test_quotes_escaped_with_a_backslash_are_read_when_asked_for(tmp_path: Path) -> None:
    content = 'id,text\n1,"said \\"no\\", and left"\n2,plain\n'
    assert read(tmp_path, "a.csv", content, quoting="backslash") == ['said "no", and left', "plain"]
    with pytest.raises(CorpusError, match=r"line 2: this is not valid csv .*backslash"):
        read(tmp_path, "a.csv", content)


def test_the_delimiter_is_the_one_with_which_the_header_has_the_column(tmp_path: Path) -> None:
    for delimiter in ",;|\t":
        assert read(tmp_path, "a.csv", f"id{delimiter}text\n1{delimiter}one\n") == ["one"]
    assert read(tmp_path, "a.csv", "id^text\n1^one\n", delimiter="^") == ["one"]
    with pytest.raises(CorpusError, match=r"no column 'text'; found 'id\^text' \(columns are separated by ','"):
        read(tmp_path, "a.csv", "id^text\n1^one\n")


@settings(deadline=None)
@given(
    rows=st.lists(st.text(st.sampled_from('ab ",;\n\t\\'), max_size=8), min_size=1, max_size=6),
    delimiter=st.sampled_from(",\t;|"),
    quoting=st.sampled_from(["standard", "auto"]),
)
def test_quoted_tables_are_read_back_or_refused(
    tmp_path_factory: pytest.TempPathFactory, rows: list[str], delimiter: str, quoting: Quoting
) -> None:
    import csv

    sink = io.StringIO()
    csv.writer(sink, delimiter=delimiter).writerows([("id", "text"), *enumerate(rows)])
    folder = tmp_path_factory.mktemp("csv")
    try:
        found = read(folder, "a.csv", sink.getvalue(), delimiter=delimiter, quoting=quoting)
    except CorpusError as error:
        assert quoting == "auto"
        assert "swallow the row" in str(error)  # noqa: PT017  # a success is as right
    else:
        assert found == [row for row in rows if row]


@settings(deadline=None, max_examples=200)
@example(rows=['"', ' "'], delimiter=",")
@given(
    rows=st.lists(st.text(st.sampled_from('ab" '), max_size=6), min_size=2, max_size=6),
    delimiter=st.sampled_from(",\t"),
)
def test_unquoted_tables_yield_every_row_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, rows: list[str], delimiter: str
) -> None:
    content = f"id{delimiter}text\n" + "".join(f"{number}{delimiter}{row}\n" for number, row in enumerate(rows))
    folder = tmp_path_factory.mktemp("csv")
    assert read(folder, "a.csv", content, delimiter=delimiter, quoting="none") == [row for row in rows if row]
    try:
        found = read(folder, "a.csv", content, delimiter=delimiter)
    except CorpusError:
        return
    assert len(found) == sum(row not in ("", '""') for row in rows)


def test_json_of_any_depth_and_any_number_is_read_or_named(tmp_path: Path) -> None:
    good = '{"text": "hello there"}\n'
    assert read(tmp_path, "a.jsonl", '{"text": "hello", "n": ' + "9" * 5000 + "}\n") == ["hello"]
    for line, message in (
        ('{"text": "hello", "x": ' + "[" * 100_000 + "]" * 100_000 + "}", "line 2: the JSON is nested too deeply"),
        ('{"id": 2, "deleted": true}', "line 2: no column 'text'; found 'id', 'deleted'"),
        ('{"data": {"text": "hello"}}', "line 2: no column 'text'; found 'data'"),
        ('{"text": "a\\u0000b"}', r"line 2: character 2 of the text is NUL"),
        ('{"text": ' + "9" * 5000 + "}", "line 2: 'text' contains int, not text"),
    ):
        with pytest.raises(CorpusError, match=message):
            read(tmp_path, "a.jsonl", good + line + "\n")
    with pytest.raises(CorpusError, match=r"line 1: .*nested too deeply"):
        read(tmp_path, "a", '{"text": "a", "x": ' + "[" * 100_000 + "]" * 100_000 + "}\n")


def test_parquet_with_equal_names_an_unknown_codec_or_nul_is_named(tmp_path: Path) -> None:
    def parquet(table: pa.Table, codec: str = "none") -> bytes:
        sink = io.BytesIO()
        pq.write_table(table, sink, compression=codec)
        return sink.getvalue()

    twice = pa.table([["one"], ["two"]], names=["text", "text"])
    with pytest.raises(CorpusError, match="two columns are named 'text'; rename one"):
        read(tmp_path, "a.parquet", parquet(twice))
    others = pa.table([["one"], [1], [2]], names=["text", "id", "id"])
    assert read(tmp_path, "a.parquet", parquet(others)) == ["one"]
    with pytest.raises(CorpusError, match="row 1: character 2 of the text is NUL"):
        read(tmp_path, "a.parquet", parquet(pa.table({"text": ["a\x00b"]})))
    # Thrift's compact form of the field `codec`: from 6 (ZSTD) to 3 (LZO), which Arrow lacks.
    zstd = parquet(pa.table({"text": ["some words"] * 100}), "zstd")
    changed = [zstd[:at] + b"\x06" + zstd[at + 1 :] for at in range(len(zstd)) if zstd[at : at + 1] == b"\x0c"]
    messages = set()
    for content in changed:
        try:
            read(tmp_path, "a.parquet", content)
        except CorpusError as error:
            messages.add(str(error))
    assert any("Parquet feature that Arrow does not support" in message for message in messages)


COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}


def sample_files() -> dict[str, bytes]:
    """Name -> a whole file of 200 documents, numbered so that a changed one shows."""
    texts = [f"document {number} of the river and the bay" for number in range(200)]
    sink = io.BytesIO()
    pq.write_table(pa.table({"text": texts}), sink, compression="zstd", write_page_checksum=True)
    plain = {
        "a.txt": "\n".join(texts).encode(),
        "a.jsonl": "".join(json.dumps({"text": text}) + "\n" for text in texts).encode(),
        "a.csv": ("id,text\n" + "".join(f'{n},"{text}"\n' for n, text in enumerate(texts))).encode(),
    }
    return {"a.parquet": sink.getvalue()} | {
        name + suffix: compress(content) for name, content in plain.items() for suffix, compress in COMPRESSORS.items()
    }


@pytest.mark.parametrize("name", sample_files())
def test_a_damaged_file_is_refused_or_differs_only_where_it_is_damaged(tmp_path: Path, name: str) -> None:
    content = sample_files()[name]
    whole = read(tmp_path, name, content)
    assert len(whole) == 200
    checked = name.endswith((".parquet", *filter(None, COMPRESSORS)))
    pick = random.Random(1)
    refused = 0
    for _ in range(60):
        damage = pick.choice(["bit", "cut", "zeros", "repeat"])
        at = pick.randrange(1, len(content))
        match damage:
            case "bit":
                damaged = content[:at] + bytes([content[at] ^ 1 << pick.randrange(8)]) + content[at + 1 :]
            case "cut":
                damaged = content[:at]
            case "zeros":
                damaged = content[:at] + bytes(min(40, len(content) - at)) + content[at + 40 :]
            case _:
                damaged = content[:at] + content[at // 2 :]
        try:
            found = read(tmp_path, name, damaged)
        except CorpusError:
            refused += 1
            continue
        assert not any("\x00" in text for text in found)
        if checked:
            # Content with a checksum is intact or refused; only unused bits may differ.
            assert found == whole
        elif damage == "zeros":
            pytest.fail("NUL bytes were read as text")
    assert refused
