"""Text in other encodings is read as in UTF-8, and a wrong encoding is an error."""

from dataclasses import replace
from pathlib import Path

import pytest

from storage.corpus.source_forms import read_pieces
from storage.errors import CorpusError
from tests.storage.corpus.test_source_formats import source_file


def read(folder: Path, content: bytes, encoding: str, name: str = "a.txt", errors: str = "strict") -> list[str]:
    file = replace(source_file(folder, name, content), encoding=encoding)
    return [piece.text.decode() for piece in read_pieces(file, "auto", "text", errors)]


KOREAN, JAPANESE, CHINESE, FRENCH = "다람쥐 헌 쳇바퀴", "日本語の文章です", "我们在学习中文", "“déjà vu” à l’été"


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        *(("utf-16", text) for text in (KOREAN, JAPANESE, FRENCH)),
        ("utf-16-be", FRENCH),
        ("utf-32", CHINESE),
        ("iso8859-1", "déjà vu à l'été"),
        ("cp1252", FRENCH),
        ("euc_kr", KOREAN),
        ("shift_jis", JAPANESE),
        ("gb18030", CHINESE),
    ],
)
@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("a.txt", "", "\n"),
        ("a.csv", "id,text\n1,", "\n"),
        ("a.jsonl", '{"text": "', '"}\n'),
        ("a", '[{"text": "', '"}]'),
    ],
)
def test_text_in_an_encoding_is_read(
    tmp_path: Path, encoding: str, text: str, name: str, before: str, after: str
) -> None:
    assert read(tmp_path, f"{before}{text}{after}".encode(encoding), encoding, name) == [text]


@pytest.mark.parametrize(
    ("content", "encoding", "message"),
    [
        (KOREAN.encode() * 9, "cp1252", "is UTF-8, not CP1252; leave corpus.encoding at its default"),
        (b"plain text\n" * 9, "utf-16", "is UTF-8, not UTF-16"),
        (FRENCH.encode("cp1252"), "iso8859-1", "is not Latin-1: byte 0x93 .*corpus.encoding=cp1252"),
        (KOREAN.encode("euc_kr"), "ascii", "is not ASCII: byte 0 of its text is 0xb4"),
        (b"fine " * 400_000 + b"\xb4", "euc_kr", "is not EUC_KR: byte 2,000,000"),
        (FRENCH.encode("utf-16-be") * 9, "iso8859-1", "is not ISO8859-1: .*NUL"),
    ],
)
def test_a_wrong_encoding_is_an_error(tmp_path: Path, content: bytes, encoding: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        read(tmp_path, content, encoding)
