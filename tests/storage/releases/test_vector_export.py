"""An export is whole under its name or absent, and never takes what is not its own."""

import os
import resource
from pathlib import Path

import duckdb
import numpy as np
import pytest
from gensim.models import KeyedVectors

from storage.errors import ReleaseError, VectorFileError
from storage.layout import Workspace
from storage.output_files import new_output
from storage.releases.exporting import FOLDERS, UNHOLDABLE, export_table
from storage.releases.publishing import publish_release
from storage.vectors.files import find_vectors, read_vectors
from storage.vectors.format_names import VectorFormat
from tests.storage.sample_releases import content
from tests.storage.vector_samples import HARD_WORDS

FILES = [form for form in VectorFormat if form not in FOLDERS]

# floret's table consists of n-grams, which these tables lack.
WITHOUT_NGRAMS = [form for form in VectorFormat if form != VectorFormat.FLORET]
HOLDS_ANY_WORD = [form for form in VectorFormat if form not in UNHOLDABLE]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Two releases, which no export changes."""
    workspace = Workspace(tmp_path_factory.mktemp("exports"))
    publish_release(workspace, "news", content(HARD_WORDS, seed=1))
    publish_release(workspace, "news", content(HARD_WORDS[::-1], seed=2, model_digest="second"))
    return workspace


def published(workspace: Workspace, version: int) -> tuple[list[str], list[int], np.ndarray]:
    with duckdb.connect(str(workspace.release_file("news", version)), read_only=True) as connection:
        rows = connection.execute("SELECT word, count, vector FROM word_vectors ORDER BY rank").fetchall()
    words, counts, vectors = zip(*rows, strict=True)
    return list(words), list(counts), np.array(vectors, dtype=np.float32)


@pytest.mark.parametrize("version", [None, 1])
def test_the_published_vectors_are_exported_in_rank_order(workspace: Workspace, tmp_path: Path, version: int) -> None:
    words, counts, vectors = published(workspace, version or 2)
    for form in (VectorFormat.GLOVE, VectorFormat.WORD2VEC_BINARY, VectorFormat.NUMPY):
        done = export_table(workspace, "news", form, tmp_path / form, version=version)
        assert (done.table, done.version, done.words, done.dimension) == ("news", version or 2, len(words), 16)
        found = read_vectors(find_vectors(tmp_path / form))
        assert found.words == words
        np.testing.assert_array_equal(found.vectors, vectors)
    assert found.counts.tolist() == counts
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, atol=1e-6)
    keyed = KeyedVectors.load_word2vec_format(str(tmp_path / "word2vec-binary"), binary=True)
    assert keyed.index_to_key == words


@pytest.mark.parametrize("form", WITHOUT_NGRAMS)
def test_what_is_there_is_replaced_only_by_force(workspace: Workspace, tmp_path: Path, form: VectorFormat) -> None:
    target = tmp_path / "out" / "vectors"
    target.parent.mkdir()
    first = export_table(workspace, "news", form, target, version=1)
    with pytest.raises(VectorFileError, match=r"out/vectors already exists; .*--force"):
        export_table(workspace, "news", form, target)
    second = export_table(workspace, "news", form, target, force=True)
    assert (first.version, second.version) == (1, 2)
    assert list(target.parent.iterdir()) == [target]
    files = [file for file in (target, *target.rglob("*")) if file.is_file()]
    assert second.size == sum(file.stat().st_size for file in files)


def test_a_folder_with_files_of_the_user_is_never_replaced(workspace: Workspace, tmp_path: Path) -> None:
    target = tmp_path / "mine"
    export_table(workspace, "news", VectorFormat.NUMPY, target)
    (target / "thesis.tex").write_text("years of work")
    with pytest.raises(VectorFileError, match=r"mine contains other files, such as thesis\.tex"):
        export_table(workspace, "news", VectorFormat.NUMPY, target, force=True)
    with pytest.raises(VectorFileError, match="mine is not a file"):
        export_table(workspace, "news", VectorFormat.GLOVE, target, force=True)
    file = tmp_path / "file"
    file.write_text("text")
    with pytest.raises(VectorFileError, match="file is not a folder"):
        export_table(workspace, "news", VectorFormat.NUMPY, file, force=True)
    assert (target / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize("form", WITHOUT_NGRAMS)
def test_a_refused_word_leaves_nothing(tmp_path: Path, form: VectorFormat) -> None:
    workspace = Workspace(tmp_path / "workspace")
    publish_release(workspace, "news", content(["new york", "a\tb", "the\nend"]))
    out = tmp_path / "out"
    out.mkdir()
    if form in HOLDS_ANY_WORD:
        export_table(workspace, "news", form, out / "vectors")
        return
    with pytest.raises(VectorFileError, match=f"{form} cannot hold the words '.*' \\(rank"):
        export_table(workspace, "news", form, out / "vectors")
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("names", [frozenset[str](), frozenset({"a"})])
def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, names: frozenset[str]) -> None:
    target = tmp_path / "vectors"
    for error in (OSError(28, "No space left on device"), KeyboardInterrupt(), ValueError("x")):
        with (  # noqa: PT012 - the writing is what fails
            pytest.raises((VectorFileError, KeyboardInterrupt, ValueError)) as failed,
            new_output(target, force=False, names=names) as path,
        ):
            (path / "a" if names else path).write_text("half")
            raise error
        assert list(tmp_path.iterdir()) == []
        if isinstance(error, OSError):
            assert "vectors cannot be written: No space left on device" in str(failed.value)


@pytest.mark.parametrize("form", WITHOUT_NGRAMS)
def test_a_full_disk_is_said_and_leaves_what_was_there(
    workspace: Workspace, tmp_path: Path, form: VectorFormat
) -> None:
    target = tmp_path / "vectors"
    export_table(workspace, "news", form, target, version=1)
    before = {file: file.read_bytes() for file in (target, *target.rglob("*")) if file.is_file()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(VectorFileError, match=r"vectors cannot be written: .*large.*; choose another path"):
            export_table(workspace, "news", form, target, force=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {file: file.read_bytes() for file in (target, *target.rglob("*")) if file.is_file()} == before
    assert list(tmp_path.iterdir()) == [target]


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "vectors"
    target.write_text("old")
    with new_output(target, force=True) as path:
        path.write_text("ne")
        assert target.read_text() == "old"
        path.write_text("new")
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write into any folder")
def test_a_folder_that_cannot_be_written_is_named(workspace: Workspace, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    with pytest.raises(VectorFileError, match="cannot be written: Permission denied"):
        export_table(workspace, "news", VectorFormat.GLOVE, locked / "vectors.txt")


def test_a_place_that_is_not_there_is_named(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(VectorFileError, match=r"the folder .*none for vectors\.txt does not exist"):
        export_table(workspace, "news", VectorFormat.GLOVE, tmp_path / "none" / "vectors.txt")
    with pytest.raises(VectorFileError, match="already exists"):
        export_table(workspace, "news", VectorFormat.GLOVE, tmp_path)
    with pytest.raises(VectorFileError, match="null is not a file"):
        export_table(workspace, "news", VectorFormat.GLOVE, Path("/dev/null"), force=True)
    with pytest.raises(VectorFileError, match="cannot be written: File name too long"):
        export_table(workspace, "news", VectorFormat.GLOVE, tmp_path / ("x" * 300))


def test_a_table_or_version_that_is_not_there_is_named(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="no table 'old'"):
        export_table(workspace, "old", VectorFormat.GLOVE, tmp_path / "vectors")
    with pytest.raises(ReleaseError, match="'news' has no version 7; kept versions: 1, 2"):
        export_table(workspace, "news", VectorFormat.GLOVE, tmp_path / "vectors", version=7)
