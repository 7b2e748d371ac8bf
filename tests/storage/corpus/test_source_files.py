"""Files are found, decompressed and decoded, and whatever is wrong with one is named."""

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.corpus import source_files
from storage.corpus.source_files import SourceFile, check_unchanged, read_blocks, recognized
from storage.corpus.source_folders import find_source_files
from storage.errors import CorpusError

COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.compress,
}
COMPRESSED = [suffix for suffix in COMPRESSORS if suffix]


def source_file(folder: Path, content: bytes, suffix: str = "") -> SourceFile:
    path = folder / f"a.txt{suffix}"
    path.write_bytes(content)
    return find_source_files(str(path)).files[0]


def text_of(file: SourceFile, errors: str = "strict") -> str:
    return b"".join(read_blocks(file, errors)).decode()


@pytest.mark.parametrize("suffix", COMPRESSORS)
def test_plain_and_compressed_files_have_the_same_text(tmp_path: Path, suffix: str) -> None:
    text = "ein paar Wörter\nund 한국어\n" * 50_000
    file = source_file(tmp_path, COMPRESSORS[suffix](text.encode()), suffix)
    assert text_of(file) == text
    assert file.suffix == ".txt"


@pytest.mark.parametrize("suffix", COMPRESSED)
def test_compressed_files_that_were_appended_to_each_other_are_read_whole(tmp_path: Path, suffix: str) -> None:
    compress = COMPRESSORS[suffix]
    assert text_of(source_file(tmp_path, compress(b"one\n") + compress(b"two\n"), suffix)) == "one\ntwo\n"


@pytest.mark.parametrize("suffix", COMPRESSED)
def test_a_truncated_file_is_an_error_that_reports_where_it_stopped(tmp_path: Path, suffix: str) -> None:
    whole = COMPRESSORS[suffix](bytes(range(32, 127)) * 40_000 + b"\n")
    file = source_file(tmp_path, whole[: len(whole) // 2], suffix)
    with pytest.raises(
        CorpusError, match=rf"a\.txt{suffix}: decompression stopped after [\d,]+ bytes .*copy the file again"
    ):
        text_of(file)


@pytest.mark.parametrize("suffix", COMPRESSED)
def test_a_file_that_is_not_compressed_as_its_name_says_is_an_error(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(CorpusError, match=rf"its name ends in \{suffix}, but it is not compressed: it is text"):
        recognized(source_file(tmp_path, b"plain text that no compressor wrote", suffix))


def test_a_byte_order_mark_is_dropped_and_every_line_end_is_one_newline(tmp_path: Path) -> None:
    assert text_of(source_file(tmp_path, b"\xef\xbb\xbfone\r\ntwo\rthree\nfour")) == "one\ntwo\nthree\nfour"


@pytest.mark.parametrize("before", [0, 7, 3 << 20])
def test_a_byte_that_is_not_utf8_is_named_with_its_offset(tmp_path: Path, before: int) -> None:
    file = source_file(tmp_path, ("é" * 5 + "\r\n").encode() * (before // 12) + b"caf\xe9 ol\xe9")
    with pytest.raises(
        CorpusError, match=rf"a\.txt is not UTF-8: byte {before // 12 * 12 + 3:,} .*0xe9.*errors=replace"
    ):
        text_of(file)
    assert text_of(file, "replace").endswith("caf\ufffd ol\ufffd")


def test_a_letter_that_the_end_of_the_file_cuts_is_named_with_its_offset(tmp_path: Path) -> None:
    file = source_file(tmp_path, "word é".encode()[:-1])
    with pytest.raises(CorpusError, match="byte 5 of its text is 0xc3"):
        text_of(file)


@settings(deadline=None)
@given(text=st.text(st.sampled_from("ab é\n\u3000"), max_size=200))
def test_blocks_hold_all_of_the_text_and_end_at_whitespace(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = source_file(tmp_path_factory.mktemp("blocks"), text.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source_files, "BLOCK_BYTES", 7)
        blocks = [block.decode() for block in read_blocks(file, "strict")]
    assert "".join(blocks) == text
    assert all(block[-1].isspace() for block in blocks[:-1])


def test_a_long_run_without_whitespace_is_an_error_that_names_its_offset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_files, "LONGEST_RUN", 3 << 20)
    file = source_file(tmp_path, "é ".encode() * 1000 + b"x" * (5 << 20))
    with pytest.raises(CorpusError, match="3 MiB of text from byte 3,000 on contain no whitespace"):
        text_of(file)


def test_a_folder_yields_all_files_below_it_by_name_without_hidden_ones(tmp_path: Path) -> None:
    for name in ("b.txt", "AA/wiki_01", "AA/wiki_00", ".hidden", ".git/config"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("text")
    assert [file.name for file in find_source_files(str(tmp_path)).files] == ["AA/wiki_00", "AA/wiki_01", "b.txt"]
    assert [file.name for file in find_source_files(str(tmp_path / "**" / "wiki_*")).files] == ["wiki_00", "wiki_01"]


def test_a_path_with_glob_letters_in_its_name_is_found_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a[1].txt").write_text("text")
    assert [file.name for file in find_source_files(str(tmp_path / "a[1].txt")).files] == ["a[1].txt"]


def test_a_missing_path_an_empty_folder_and_a_glob_without_match_are_errors(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"no such file or folder: .*nowhere.txt; fix corpus.path"):
        find_source_files(str(tmp_path / "nowhere.txt"))
    with pytest.raises(CorpusError, match="contains no files"):
        find_source_files(str(tmp_path))
    with pytest.raises(CorpusError, match="no files match"):
        find_source_files(str(tmp_path / "*.txt"))


def test_a_file_that_vanished_or_changed_is_an_error(tmp_path: Path) -> None:
    file = source_file(tmp_path, b"text")
    check_unchanged([file])
    file.path.write_bytes(b"another text")
    with pytest.raises(CorpusError, match=r"a\.txt changed while it was being read"):
        check_unchanged([file])
    file.path.unlink()
    for act in (file.sha256, lambda: text_of(file), lambda: check_unchanged([file])):
        with pytest.raises(CorpusError, match=r"a\.txt cannot be read: No such file"):
            act()
