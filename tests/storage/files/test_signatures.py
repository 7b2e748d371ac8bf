"""Files are recognised by content first, and opened by their compression whatever their name says."""

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import sqlite3
import tarfile
import time
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from storage.files.compressed import (
    DamagedFileError,
    UnreadableFileError,
    open_compressed,
    open_decompressed,
    recognize_file,
)
from storage.files.signatures import COMPRESSION_SUFFIXES, DESCRIPTIONS, FileKind, recognize

TEXT = "The river rises in the hills, and ends in a bay.\nЖивёт у реки.\n다람쥐 헌 쳇바퀴에\n" * 20
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}


def parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"text": ["a"]}), sink)
    return sink.getvalue()


def arrow(*, stream: bool) -> bytes:
    sink = io.BytesIO()
    table = pa.table({"text": ["a"]})
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def archive(kind: str) -> bytes:
    sink = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(sink, "w") as opened:
            opened.writestr("a.txt", TEXT)
    else:
        with tarfile.open(fileobj=sink, mode="w") as tar:
            tar.addfile(tarfile.TarInfo("a.txt"))
    return sink.getvalue()


def array() -> bytes:
    sink = io.BytesIO()
    np.save(sink, np.ones((2, 3)))
    return sink.getvalue()


def database(engine: str, folder: Path) -> bytes:
    path = folder / f"{engine}.db"
    connection = sqlite3.connect(path) if engine == "sqlite" else duckdb.connect(path)
    connection.execute("CREATE TABLE t (a INTEGER)")
    if isinstance(connection, sqlite3.Connection):
        connection.commit()
    connection.close()
    return path.read_bytes()


def pickled(value: object, protocol: int, _: Path) -> bytes:
    return pickle.dumps(value, protocol)


def encoded(encoding: str, _: Path) -> bytes:
    return TEXT.encode(encoding)


BINARY: dict[str, tuple[FileKind, Callable[[Path], bytes]]] = {
    "gzip": (FileKind.GZIP, lambda _: gzip.compress(b"a")),
    "bzip2": (FileKind.BZ2, lambda _: bz2.compress(b"a")),
    "empty bzip2": (FileKind.BZ2, lambda _: bz2.compress(b"")),
    "xz": (FileKind.XZ, lambda _: lzma.compress(b"a")),
    "zstd": (FileKind.ZSTD, lambda _: zstandard.compress(b"a")),
    "pzstd": (FileKind.ZSTD, lambda _: b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd" + zstandard.compress(b"a")),
    "lzma": (FileKind.OTHER_COMPRESSION, lambda _: lzma.compress(b"a", format=lzma.FORMAT_ALONE)),
    "zip": (FileKind.ZIP, lambda _: archive("zip")),
    "tar": (FileKind.TAR, lambda _: archive("tar")),
    "parquet": (FileKind.PARQUET, lambda _: parquet()),
    "arrow file": (FileKind.ARROW, lambda _: arrow(stream=False)),
    "arrow stream": (FileKind.ARROW, lambda _: arrow(stream=True)),
    "feather 1": (FileKind.ARROW, lambda _: b"FEA1\x00\x00\x00\x00" + bytes(20)),
    "hdf5": (FileKind.HDF5, lambda _: b"\x89HDF\r\n\x1a\n" + bytes(100)),
    "numpy": (FileKind.NUMPY, lambda _: array()),
    "safetensors": (FileKind.SAFETENSORS, lambda _: save({"vectors": np.ones((2, 3))})),
    "fasttext": (FileKind.FASTTEXT, lambda _: (793712314).to_bytes(4, "little") + bytes([12, 0, 0, 0, 100])),
    "sqlite": (FileKind.SQLITE, lambda folder: database("sqlite", folder)),
    "duckdb": (FileKind.DUCKDB, lambda folder: database("duckdb", folder)),
    "pdf": (FileKind.PDF, lambda _: b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"),
    "png": (FileKind.MEDIA, lambda _: b"\x89PNG\r\n\x1a\n\x00\x00"),
    **{
        f"pickle {protocol} of {type(value).__name__}": (
            FileKind.PICKLE,
            partial(pickled, value, protocol),
        )
        for protocol in (2, 3, 4, 5)
        for value in ({"a": 1}, [1], "text", ("a", 2.5), {1})
    },
    **{
        encoding: (kind, partial(encoded, encoding))
        for encoding, kind in {
            "utf-16": FileKind.UTF16,
            "utf-16-le": FileKind.UTF16,
            "utf-16-be": FileKind.UTF16,
            "utf-32": FileKind.UTF32,
            "utf-32-le": FileKind.UTF32,
            "utf-32-be": FileKind.UTF32,
        }.items()
    },
    "utf-16 without any NUL": (FileKind.NOT_UTF8, lambda _: ("다람쥐헌쳇바퀴에타고파" * 50).encode("utf-16-le")),
    "latin-1": (FileKind.NOT_UTF8, lambda _: ("café olé au lait\n" * 30).encode("latin-1")),
    "cp1251": (FileKind.NOT_UTF8, lambda _: ("Живёт у реки.\n" * 30).encode("cp1251")),
    "gb18030": (FileKind.NOT_UTF8, lambda _: ("我们在学习中文的词向量模型训练方法和应用。" * 30).encode("gb18030")),
    "shift-jis": (FileKind.NOT_UTF8, lambda _: ("日本語の文章をここに書きます。" * 30).encode("shift-jis")),
    "padding": (FileKind.BINARY, lambda _: b"plain text" + bytes(500)),
    "numbers": (FileKind.BINARY, lambda _: b"3 4\nking " + np.arange(12, dtype=np.float32).tobytes()),
    "empty": (FileKind.EMPTY, lambda _: b""),
}


@pytest.mark.parametrize("name", BINARY)
def test_binary_forms_are_recognised_by_content_whatever_the_name(tmp_path: Path, name: str) -> None:
    kind, make = BINARY[name]
    content = make(tmp_path)
    assert [recognize(content, file) for file in ("a", "a.txt", "a.csv", "a.jsonl")] == [kind] * 4


TEXTS: list[tuple[FileKind, str]] = [
    (FileKind.TEXT, TEXT),
    (FileKind.TEXT, "Yes, I do\nNo, you do\nWell, no\n"),
    (FileKind.TEXT, "<unk> the river <unk>\n"),
    (FileKind.TEXT, "<s> the river </s>\n"),
    (FileKind.TEXT, "<3 this film </3"),
    (FileKind.TEXT, "[Music] hello\n[1] see below\n"),
    (FileKind.TEXT, "{citation needed} the river\n"),
    (FileKind.TEXT, "PAR1 is a hall. BZh9 and PK too.\n"),
    (FileKind.WIKIEXTRACTOR, '\n<doc id="12" url="https://x" title="A &amp; B">\nA\n</doc>\n'),
    (FileKind.MEDIAWIKI, '<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11">\n'),
    (FileKind.MEDIAWIKI, '<?xml version="1.0"?>\n<!-- a dump -->\n<mediawiki>\n'),
    (FileKind.HTML, "\ufeff \n<!doctype HTML>\n<html>"),
    (FileKind.HTML, "<html lang='en'>"),
    (FileKind.HTML, "<!-- saved -->\n<html>"),
    (FileKind.XML, '<?xml version="1.0" encoding="UTF-8"?>\n<posts>\n  <row Id="1"/>\n'),
    (FileKind.XML, '<TEI xmlns="http://www.tei-c.org/ns/1.0">\n<text>'),
    (FileKind.XML, "<!-- a comment -->\n<p>A paragraph</p>"),
    (FileKind.TEXT, "<!-- licence -->\n# A page in Markdown\n"),
    (FileKind.XML, "<p>A paragraph</p>\n<p>and one more</p>"),
    (FileKind.WARC, "WARC/1.0\r\nWARC-Type: conversion\r\n"),
    (FileKind.GIT_LFS, "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"),
    (FileKind.JSON_LINES, '{"text": "a"}\n{"text": "b"}\n'),
    (FileKind.JSON_LINES, '\ufeff\n{ "text": "' + "a" * 100_000),
    (FileKind.JSON_LINES, '{"text": "damaged\n{"text": "b"}\n'),
    (FileKind.JSON_LINES, "{}\n"),
    (FileKind.JSON_ARRAY, '[{"text": "a"},\n {"text": "b"}]'),
    (FileKind.JSON_ARRAY, '[\n  {\n    "text": "a"\n  }\n]'),
    (FileKind.JSON_ARRAY, '["a", "b"]'),
    (FileKind.JSON_DOCUMENT, '{\n  "text": "a"\n}\n'),
    (FileKind.CSV, 'id,text\n1,"one, two"\n2,three\n'),
    (FileKind.CSV, "id\ttext\n1\tone, two\n2\tthree\n"),
    (FileKind.CSV, "id;text\n1;one, two\n2;three\n"),
]


@pytest.mark.parametrize(("kind", "text"), TEXTS, ids=lambda value: str(value)[:30])
def test_forms_of_text_are_recognised_by_content(kind: FileKind, text: str) -> None:
    assert recognize(text.encode(), "a") is kind
    if kind not in (FileKind.TEXT, FileKind.CSV):
        assert recognize(text.encode(), "a.csv") is kind


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (FileKind.HTML, "<html>\ncafé"),
        (FileKind.XML, "<?xml version='1.0'?>\n<é/>"),
        (FileKind.JSON_LINES, '{"text": "é"}\n'),
    ],
)
def test_markup_and_json_in_an_older_encoding_are_recognised(kind: FileKind, text: str) -> None:
    assert recognize(text.encode("latin-1"), "a.txt") is kind


@pytest.mark.parametrize(
    "unit", ["<!-- a -->", "<a b='c' ", "<?xml ", "[ [", '{ "', "<doc id=", " \n", "<!--", "a,b\n", 'a,"b\n']
)
def test_no_head_takes_long(unit: str) -> None:
    started = time.process_time()
    recognize((unit * 65_536)[:65_536].encode())
    assert time.process_time() - started < 1


def test_the_name_decides_only_what_the_content_leaves_open() -> None:
    assert recognize(b"text\none\n", "a.csv") is FileKind.CSV
    assert recognize(b"text\none\n", "a.tsv.gz") is FileKind.CSV
    assert recognize(b"text\none\n", "a.txt") is FileKind.TEXT
    assert set(DESCRIPTIONS) == set(FileKind)


@settings(deadline=None)
@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t"), min_size=1), st.integers(0, 3)
)
def test_no_text_is_taken_for_a_binary_form(text: str, cut: int) -> None:
    head = (text * 30).encode()
    assert recognize(head[: len(head) - cut] if len(head) > cut else head) not in {FileKind.BINARY, FileKind.UTF32}


@settings(deadline=None)
@given(
    st.text(st.characters(categories=["L", "N", "P", "Zs"]), min_size=4), st.sampled_from(["utf-16-le", "utf-16-be"])
)
def test_utf16_is_never_taken_for_utf8_when_it_holds_a_blank(text: str, encoding: str) -> None:
    assert recognize((text + " a\n").encode(encoding)) not in {FileKind.TEXT, FileKind.NOT_UTF8}


@settings(deadline=None)
@given(st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.none()), min_size=1))
def test_every_json_object_is_json_lines(row: dict[str, object]) -> None:
    assert recognize(json.dumps(row, ensure_ascii=True).encode() + b"\n") is FileKind.JSON_LINES


@pytest.mark.parametrize("suffix", COMPRESSION_SUFFIXES)
@pytest.mark.parametrize("name", ["right", "plain", "wrong"])
def test_compression_is_found_by_signature(tmp_path: Path, suffix: str, name: str) -> None:
    path = tmp_path / {"right": f"a.txt{suffix}", "plain": "a.txt", "wrong": "a.txt.gz"}[name]
    path.write_bytes(COMPRESS[suffix](TEXT.encode()) + COMPRESS[suffix](b"more\n"))
    with open_decompressed(path) as stream:
        assert stream.read() == TEXT.encode() + b"more\n"
    found = recognize_file(path)
    assert (found.kind, found.compression) == (FileKind.TEXT, COMPRESSION_SUFFIXES[suffix])


@pytest.mark.parametrize("suffix", COMPRESSION_SUFFIXES)
def test_what_is_written_by_name_is_read_by_signature(tmp_path: Path, suffix: str) -> None:
    paths = [tmp_path / f"{number}.txt{suffix}" for number in (1, 2)]
    for path in paths:
        with open_compressed(path) as stream:
            stream.write(TEXT.encode())
    with open_decompressed(paths[0]) as stream:
        assert stream.read() == TEXT.encode()
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].stat().st_size < len(TEXT.encode())


@pytest.mark.parametrize("window_log", [27, 31])
def test_zstd_with_a_long_window_is_read(tmp_path: Path, window_log: int) -> None:
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=window_log, enable_ldm=True)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    (tmp_path / "a.zst").write_bytes(compressor.compress(TEXT.encode()) + compressor.flush())
    with open_decompressed(tmp_path / "a.zst") as stream:
        assert stream.read() == TEXT.encode()


@pytest.mark.parametrize("suffix", COMPRESSION_SUFFIXES)
def test_cut_off_is_said_only_of_what_is_cut_off(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    whole = COMPRESS[suffix](os.urandom(60_000))
    for end in (16, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:end])
        with open_decompressed(path) as stream, pytest.raises(DamagedFileError, match="truncated") as caught:
            stream.read()
        assert caught.value.cut_off
    for damaged in (whole + b"other bytes", whole[:12] + bytes(40) + whole[52:], whole + b"?" + whole):
        path.write_bytes(damaged)
        with open_decompressed(path) as stream, pytest.raises(DamagedFileError) as caught:
            stream.read()
        assert not caught.value.cut_off
    path.write_bytes(whole + bytes(8))
    with open_decompressed(path) as stream:
        assert len(stream.read()) == 60_000


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv.gz", b"id,text\n1,a\n", r"ends in \.gz, but it is not compressed: it is a csv table; rename it"),
        ("a.gz", archive("zip"), r"ends in \.gz, but it is not compressed: it is a zip archive; unpack it"),
        ("a.txt.zst", b"plain words\n", r"ends in \.zst, but it is not compressed: it is text"),
        ("a.gz", gzip.compress(gzip.compress(b"a", mtime=0), mtime=0), r"compressed twice \(gzip, then gzip\)"),
        ("a.bz2", gzip.compress(zstandard.compress(b"a"), mtime=0), r"compressed twice \(gzip, then zstd\)"),
    ],
)
def test_a_name_that_promises_another_compression_is_refused(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableFileError, match=message):
        recognize_file(tmp_path / name)


@pytest.mark.parametrize("name", ["a.txt.lz4", "a.zip", "a.vec.Z", "a.tar"])
def test_a_compression_that_is_not_written_is_refused_by_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnreadableFileError, match="does not write"):
        open_compressed(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_pipes_devices_folders_and_files_of_the_kernel_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/null"), Path("/proc/kmsg"), Path("/proc/cpuinfo")):
        if path.exists():
            with pytest.raises(UnreadableFileError, match="save its content to a file first"):
                recognize_file(path)
