"""Archives are unpacked member by member; what could write elsewhere or expand without bound is refused by name."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from storage.corpus import archives
from storage.corpus.archives import _safe_path, unpack_archives
from storage.corpus.source_folders import find_source_files
from storage.errors import CorpusError, WorkspaceError
from storage.layout import Workspace

MEMBERS = {"a.txt": b"one two\n", "folder/b.csv": b"text\nthree\n", "README.md": b"about", "__MACOSX/._a.txt": b"\0"}


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(members: dict[str, bytes], *infos: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in infos:
            archive.addfile(info)
    return buffer.getvalue()


def special(name: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    return info


def linked_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo("link")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    return buffer.getvalue()


def encrypted_zip() -> bytes:
    data = bytearray(zipped({"a.txt": b"one"}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.find(signature) + offset] |= 1
    return bytes(data)


def stored_with_wrong_checksum() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("a.txt", b"x" * 9)
    return buffer.getvalue().replace(b"x" * 9, b"y" * 9)


def files_of(path: Path, workspace: Workspace) -> dict[str, bytes]:
    source = unpack_archives(find_source_files(str(path)), workspace)
    return {file.name: file.path.read_bytes() for file in source.files}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("x.zip", zipped),
        ("x.tar", tarred),
        ("x.tar.gz", lambda members: gzip.compress(tarred(members))),
        ("x.tar.bz2", lambda members: bz2.compress(tarred(members))),
        ("x.txz", lambda members: lzma.compress(tarred(members))),
        ("x.tar.zst", lambda members: zstd.compress(tarred(members))),
        ("without-a-suffix", lambda members: gzip.compress(tarred(members))),
    ],
)
def test_the_files_of_an_archive_are_a_corpus(
    tmp_path: Path, workspace: Workspace, name: str, pack: Callable[[dict[str, bytes]], bytes]
) -> None:
    path = tmp_path / name
    path.write_bytes(pack(MEMBERS))
    expected = {f"{name}/a.txt": MEMBERS["a.txt"], f"{name}/folder/b.csv": MEMBERS["folder/b.csv"]}
    assert files_of(path, workspace) == expected
    (folder,) = workspace.downloads.glob("unpacked-*")
    (folder / "a.txt").write_bytes(b"unpacked once")
    assert files_of(path, workspace)[f"{name}/a.txt"] == b"unpacked once"


def test_archives_in_archives_and_folders(tmp_path: Path, workspace: Workspace) -> None:
    (tmp_path / "texts").mkdir()
    inner = gzip.compress(tarred({"deep/c.txt": b"c", "z.zip": zipped({"d.txt": b"d"})}))
    (tmp_path / "texts" / "outer.zip").write_bytes(zipped({"a.txt": b"a", "in.tgz": inner}))
    (tmp_path / "texts" / "plain.txt").write_bytes(b"p")
    assert files_of(tmp_path / "texts", workspace) == {
        "outer.zip/a.txt": b"a",
        "outer.zip/in.tgz/deep/c.txt": b"c",
        "outer.zip/in.tgz/z.zip/d.txt": b"d",
        "plain.txt": b"p",
    }


REFUSED = {
    "parent": (tarred({"../a.txt": b"x"}), r"member '\.\./a\.txt' has an unsafe name"),
    "absolute": (tarred({"/etc/a.txt": b"x"}), "'/etc/a.txt' has an unsafe name"),
    "backslash": (zipped({"a\\..\\..\\b.txt": b"x"}), "has an unsafe name"),
    "drive": (zipped({"C:a.txt": b"x"}), "'C:a.txt' has an unsafe name"),
    "symlink": (tarred({}, special("l", tarfile.SYMTYPE)), "'l' is a link, device or pipe"),
    "hardlink": (tarred({}, special("h", tarfile.LNKTYPE)), "'h' is a link, device or pipe"),
    "device": (tarred({}, special("d", tarfile.CHRTYPE)), "'d' is a link, device or pipe"),
    "pipe": (tarred({}, special("p", tarfile.FIFOTYPE)), "'p' is a link, device or pipe"),
    "zip link": (linked_zip(), "'link' is a link, device or pipe"),
    "encrypted": (encrypted_zip(), "'a.txt' is encrypted"),
    "twice": (tarred({"a.txt": b"x", "./a.txt": b"y"}), "appears twice"),
    "both": (tarred({"a": b"x", "a/b.txt": b"y"}), "both a file and a folder"),
    "empty zip": (zipped({}), "contains no files"),
    "cut zip": (zipped(MEMBERS)[:-40], "is damaged"),
    "cut tar": (tarred({"a.txt": b"x" * 5000})[:3000], "is damaged: unexpected end of data"),
    "cut gzip": (gzip.compress(tarred({"a.txt": bytes(range(256)) * 900}))[:-300], "is damaged: .*truncated"),
    "bad checksum": (stored_with_wrong_checksum(), "is damaged: Bad CRC"),
    "too deep": (zipped({"1": zipped({"2": zipped({"3": zipped({"4": b"x"})})})}), "nested more than 3 deep"),
}


@pytest.mark.parametrize(("content", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_unsafe_or_damaged_is_refused_by_name(
    tmp_path: Path, workspace: Workspace, content: bytes, message: str
) -> None:
    path = tmp_path / "x.archive"
    path.write_bytes(content)
    with pytest.raises(CorpusError, match=message) as refusal:
        files_of(path, workspace)
    assert str(path) in str(refusal.value)
    assert not list(workspace.downloads.glob("*.partial"))
    kept = unpack_archives(find_source_files(str(path)), workspace, keep_damaged=True)
    assert [file.path for file in kept.files] == [path]
    assert {entry.name for entry in tmp_path.iterdir()} == {"x.archive", "workspace"}


def test_bombs_are_refused(tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    # At the real limit the test would write a gigabyte.
    monkeypatch.setattr(archives, "ALWAYS_ALLOWED_BYTES", 1 << 20)
    for name, content in (
        ("bomb.zip", zipped({"a": bytes(4 << 20)})),
        ("bomb.tar.gz", gzip.compress(tarred({"a": bytes(4 << 20)}))),
        ("nested.zip", zipped({f"{number}.zip": zipped({"a": bytes(1 << 19)}) for number in range(4)})),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CorpusError, match=r"expands to more than .* GB, 100 times its size"):
            files_of(tmp_path / name, workspace)
    monkeypatch.setattr(archives, "MOST_MEMBERS", 3)
    (tmp_path / "many.zip").write_bytes(zipped({str(number): b"x" for number in range(5)}))
    with pytest.raises(CorpusError, match="more than 3 members"):
        files_of(tmp_path / "many.zip", workspace)


def test_documents_that_are_zip_files_are_no_archives(tmp_path: Path, workspace: Workspace) -> None:
    path = tmp_path / "a.docx"
    path.write_bytes(zipped({"[Content_Types].xml": b"<x/>", "word/document.xml": b"<x/>"}))
    assert list(files_of(path, workspace)) == ["a.docx"]


@given(st.text(max_size=40))
def test_a_safe_name_stays_in_its_folder(name: str) -> None:
    try:
        safe = _safe_path(name, "x.zip")
    except (CorpusError, UnicodeError):
        return
    target = Path("/some/folder")
    assert (target / safe).resolve().is_relative_to(target)


def test_too_small_a_disk_is_an_error_before_anything_is_unpacked(
    tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(zipped({"a.txt": b"one " * 1_000_000}))
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=3_000_000))
    with (
        caplog.at_level("INFO"),
        pytest.raises(WorkspaceError, match=r"unpacking .*x\.zip needs about 0\.004 GB and .* has 0\.003 GB left"),
    ):
        files_of(path, workspace)
    assert "x.zip needs at least 0.004 GB on disk" in caplog.text
    assert not list(workspace.downloads.glob("unpacked-*"))
