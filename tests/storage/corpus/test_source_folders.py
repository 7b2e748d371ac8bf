"""Which files a folder or pattern has, and what is passed over and why."""

import inspect
import os
import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.corpus.source_folders import find_source_files
from storage.errors import CorpusError, NotAllowedError, VecmillError
from storage.named_paths import ROOTS_VARIABLE


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"text of {name}\n")


def names(path: object) -> list[str]:
    return [file.name for file in find_source_files(str(path)).files]


@pytest.fixture
def spark(tmp_path: Path) -> Path:
    """A folder as Spark and a person leave it."""
    folder = tmp_path / "spark"
    write(
        folder, "_SUCCESS", "_metadata", ".part-0.csv.crc", "part-0.csv", "year=1/part-1.csv", "_temporary/0/part-2.csv"
    )
    write(folder, "README.md", "LICENSE", "year=1/readme.txt", "SHA256SUMS", "part-0.csv.md5", "part-3.csv.tmp")
    return folder


def test_marks_hidden_names_and_descriptions_are_passed_over_and_said(spark: Path) -> None:
    found = find_source_files(str(spark))
    assert [file.name for file in found.files] == ["part-0.csv", "year=1/part-1.csv"]
    assert str(found) == (
        "skipped 10 entries of the corpus: 6 as descriptions or checksums of the data (LICENSE, README.md, SHA256SUMS, "
        "part-0.csv.md5, part-3.csv.tmp and 1 more); 4 as names that start with '_' or '.' (.part-0.csv.crc, _SUCCESS, "
        "_metadata, _temporary)"
    )


@pytest.mark.parametrize("pattern", ["", "**", "**/*", "**/part*", "**/**", "**/*.csv"])
def test_folder_and_patterns_find_the_same_files(spark: Path, pattern: str) -> None:
    assert names(spark / pattern) == ["part-0.csv", "year=1/part-1.csv"]


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.lists(st.sampled_from(["a", "b", "_c", ".d", "README"]), min_size=1, max_size=3), min_size=1, max_size=6
    )
)
def test_any_folder_and_its_patterns_find_the_same_files(
    tmp_path_factory: pytest.TempPathFactory, trees: list[list[str]]
) -> None:
    folder = tmp_path_factory.mktemp("tree")
    for parts in trees:
        write(folder, "/".join([*(f"{part}x" for part in parts[:-1]), parts[-1]]))
    found = []
    for path in (folder, folder / "**", folder / "**" / "*"):
        try:
            found.append(names(path))
        except CorpusError as error:
            assert "contains no files" in str(error) or "no files match" in str(error)  # noqa: PT017  # one of two is right
            found.append([])
    assert found[0] == found[1] == found[2]


def test_what_is_named_itself_is_read_whatever_its_name(spark: Path) -> None:
    assert names(spark / "README.md") == ["README.md"]
    assert names(spark / "_metadata") == ["_metadata"]
    assert names(spark / "_*") == ["_SUCCESS", "_metadata"]
    assert names(spark / "_temporary") == ["part-2.csv"]
    shutil.rmtree(spark / "year=1")
    for name in ("part-0.csv", "part-0.csv.md5", "part-3.csv.tmp", "SHA256SUMS", "LICENSE"):
        (spark / name).unlink()
    assert names(spark) == ["README.md"]


def test_linked_folders_are_followed_once_and_never_in_a_circle(tmp_path: Path) -> None:
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    write(data, "a.txt", "2024/b.txt")
    write(elsewhere, "c.txt", "deep/d.txt")
    (data / "linked").symlink_to(elsewhere)
    (data / "latest").symlink_to(data / "2024")
    (elsewhere / "deep" / "up").symlink_to(data)
    (data / "self").symlink_to(data / "self")
    (data / "gone.txt").symlink_to(tmp_path / "nowhere")
    for path in (data, data / "**"):
        found = find_source_files(str(path))
        assert [file.name for file in found.files] == ["2024/b.txt", "a.txt", "linked/c.txt", "linked/deep/d.txt"]
        assert found.passed_over == {
            "latest/b.txt": "duplicates reached through a linked folder",
            "linked/deep/up": "links to a parent folder",
            "self": "broken links",
            "gone.txt": "broken links",
        }


def test_a_linked_folder_outside_the_allowed_ones_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "data/a.txt", "elsewhere/c.txt")
    (tmp_path / "data" / "linked").symlink_to(tmp_path / "elsewhere")
    monkeypatch.setenv(ROOTS_VARIABLE, str(tmp_path / "data"))
    for pattern in ("", "**", "*/*.txt", "linked/*"):
        with pytest.raises(NotAllowedError, match="outside"):
            find_source_files(str(tmp_path / "data" / pattern))


def test_pipes_and_files_of_the_kernel_are_no_corpus(tmp_path: Path) -> None:
    write(tmp_path, "a.txt")
    os.mkfifo(tmp_path / "pipe")
    assert find_source_files(str(tmp_path)).passed_over == {"pipe": "pipes, devices or kernel files"}
    for path in (tmp_path / "pipe", Path("/dev/null"), Path("/dev/stdin"), Path("/proc/kmsg"), Path("/proc/meminfo")):
        if not path.is_file() or path.is_relative_to("/proc"):
            with pytest.raises(CorpusError, match=r"cannot be a corpus: it is .* save its content to a file first"):
                find_source_files(str(path))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("a" * 300, "too long for a path"),
        (f"{'a' * 300}/*.txt", "too long for a path"),
        ("~nosuchuser/texts", "that user has no home folder"),
        ("/proc/self/**", "part of the kernel's /proc"),
        ("/proc", "part of the kernel's /proc"),
        ("a\0b", "NUL byte"),
    ],
)
def test_a_path_that_cannot_be_is_one_clear_error(path: str, message: str) -> None:
    with pytest.raises(VecmillError, match=message):
        find_source_files(path)


def test_folders_nested_too_deeply_are_one_clear_error(tmp_path: Path) -> None:
    folder = tmp_path
    for _ in range(200):
        folder /= "d"
        folder.mkdir()
    (folder / "a.txt").touch()
    limit = sys.getrecursionlimit()
    # Not a tree that meets the usual limit: pytest could not remove it.
    sys.setrecursionlimit(len(inspect.stack()) + 150)
    try:
        with pytest.raises(CorpusError, match="nested too deeply"):
            find_source_files(str(tmp_path))
    finally:
        sys.setrecursionlimit(limit)
    assert len(find_source_files(str(tmp_path)).files) == 1


def test_a_name_that_is_not_utf8_is_read_and_shown_escaped(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt"))
    path.write_text("text")
    (file,) = find_source_files(str(tmp_path)).files
    assert file.name == r"caf\xe9.txt"
    assert file.shown.endswith(r"/caf\xe9.txt")
    assert file.sha256()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list any folder")
def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, "closed/a.txt")
    (tmp_path / "closed").chmod(0)
    with pytest.raises(CorpusError, match="closed cannot be listed: Permission denied"):
        find_source_files(str(tmp_path))
