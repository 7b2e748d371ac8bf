"""Vectors from elsewhere become a release that SQL can ask, and rows that no table can hold are named."""

import json
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gensim.models import KeyedVectors

from storage.disk import sha256_of
from storage.errors import ReferenceVectorsError, SettingsError, VectorFileError
from storage.layout import Workspace
from storage.releases.exporting import export_table, write_vectors
from storage.releases.importing import import_vectors
from storage.releases.opening import open_release
from storage.releases.publishing import current_release
from storage.releases.reader import check_release_file
from storage.vectors.format_names import VectorFormat
from storage.vectors.formats import WordVectors, unknown_counts
from storage.vectors.reference import DEFAULT_REFERENCE, read_reference
from tests.storage.vector_samples import BLANK_WORDS, HARD_WORDS, sample, unit_rows

GOOGLE_NEWS = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "vectors" / "googlenews_w2v_8000x300.bin"
GLOVE_PACKAGE = DEFAULT_REFERENCE.removeprefix("package:")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


def rows_of(workspace: Workspace, table: str) -> tuple[list[int], list[str], list[int], np.ndarray]:
    with duckdb.connect(str(workspace.table_file(table)), read_only=True) as connection:
        rows = connection.execute("SELECT rank, word, count, vector FROM word_vectors ORDER BY rank").fetchall()
    ranks, words, counts, vectors = zip(*rows, strict=True)
    return list(ranks), list(words), list(counts), np.array(vectors, dtype=np.float32)


def glove_file(folder: Path, found: WordVectors, name: str = "glove.txt") -> Path:
    with (folder / name).open("wb") as file:
        for word, vector in zip(found.words, found.vectors, strict=True):
            file.write(word.encode(errors="surrogateescape") + b" " + " ".join(map(str, vector)).encode() + b"\n")
    return folder / name


def test_a_file_becomes_a_release_that_answers_sql(workspace: Workspace, tmp_path: Path) -> None:
    original = sample()
    longer = WordVectors(original.words, original.vectors * 7, original.counts)
    path = glove_file(tmp_path, longer)
    done = import_vectors(workspace, "glove", str(path), licence="PDDL-1.0")
    assert (done.version, done.published, done.words, done.dimension, done.left_out) == (1, True, len(HARD_WORDS), 6, 0)
    ranks, words, counts, vectors = rows_of(workspace, "glove")
    assert ranks == list(range(1, len(words) + 1))
    assert words == original.words
    assert set(counts) == {0}
    np.testing.assert_allclose(vectors, original.vectors, atol=1e-6)
    keyed = KeyedVectors.load_word2vec_format(str(path), no_header=True)
    with duckdb.connect(str(workspace.table_file("glove")), read_only=True) as connection:
        nearest = connection.execute("SELECT word, similarity FROM nearest('고양이', k := 5)").fetchall()
    for (word, similarity), (expected, cosine) in zip(nearest, keyed.most_similar("고양이", topn=5), strict=True):
        assert word == expected
        assert similarity == pytest.approx(cosine, abs=1e-5)


def test_the_release_reports_where_the_vectors_come_from(workspace: Workspace, tmp_path: Path) -> None:
    path = glove_file(tmp_path, sample())
    import_vectors(workspace, "glove", str(path), licence="PDDL-1.0")
    release = current_release(workspace, "glove")
    assert release
    row = check_release_file(release.path)
    assert row.architecture == "imported"
    assert row.corpus_licence == "PDDL-1.0"
    assert row.corpus_source == f"vectors imported from file {path} (glove, sha256 {sha256_of(path)})"
    with duckdb.connect(str(release.path), read_only=True) as connection:
        settings = dict(connection.execute("SELECT name, value FROM settings").fetchall())
    assert json.loads(settings["import.sha256"]) == sha256_of(path)
    assert json.loads(settings["import.rows_in_source"]) == len(HARD_WORDS)
    assert release.gates == []


@pytest.mark.parametrize(
    "form",
    [form for form in VectorFormat if form not in (VectorFormat.GENSIM, VectorFormat.PROJECTOR, VectorFormat.FLORET)],
)
def test_an_export_comes_back_as_it_was(workspace: Workspace, tmp_path: Path, form: VectorFormat) -> None:
    holds_blanks = form in (
        VectorFormat.FASTTEXT, VectorFormat.PARQUET, VectorFormat.NUMPY, VectorFormat.SAFETENSORS,
    )  # fmt: skip
    original = sample(HARD_WORDS + (BLANK_WORDS if holds_blanks else []))
    first = tmp_path / "first"
    first.mkdir()
    write_vectors(VectorFormat.NUMPY, first, original, {})
    import_vectors(workspace, "one", str(first))
    export_table(workspace, "one", form, tmp_path / "vectors")
    assert import_vectors(workspace, "two", str(tmp_path / "vectors")).format == form
    _, words, counts, vectors = rows_of(workspace, "two")
    assert words == original.words
    assert counts == (original.counts.tolist() if holds_blanks else [0] * len(words))
    np.testing.assert_allclose(vectors, rows_of(workspace, "one")[3], atol=1e-6)


@pytest.mark.parametrize(
    ("words", "vectors", "message"),
    [
        (["a", "b", "c"], [[1, 0], [0, 0], [1, 1]], r"line 2, the word 'b': its vector contains only zeros; remove"),
        (["a", "b", "c"], [[1, 0], [1, 1], ["nan", 1]], r"line 3, the word 'c': its vector contains NaN or infinite"),
        (["a", "b", "c"], [[1, 0], [1, 1], [1, "1e400"]], r"line 3, the word 'c': its vector contains NaN or infinite"),
        (["a", "b", "a"], [[1, 0], [1, 1], [1, 2]], r"line 3, the word 'a': line 1 has the same word"),
        (["a", "caf\udce9", "c"], [[1, 0], [1, 1], [1, 2]], r"line 2, the word 'caf\\udce9': its word is not UTF-8"),
        (["a", "b\0", "c"], [[1, 0], [1, 1], [1, 2]], r"line 2, the word 'b\\x00': its word contains a NUL byte"),
        (["a", "b" * 70_000, "c"], [[1, 0], [1, 1], [1, 2]], r"line 2, the word 'b{80}': its word is longer"),
    ],
    ids=["zeros", "nan", "too large", "twice", "not UTF-8", "NUL byte", "too long"],
)
def test_rows_that_no_table_can_hold_are_named_or_left_out(
    workspace: Workspace, tmp_path: Path, words: list[str], vectors: list[list[object]], message: str
) -> None:
    found = WordVectors(words, np.array(vectors, dtype=object), unknown_counts(3))
    path = glove_file(tmp_path, found)
    with pytest.raises(VectorFileError, match=r"file .*glove\.txt: " + message) as refused:
        import_vectors(workspace, "glove", str(path))
    assert "--skip-bad-rows" in str(refused.value)
    assert current_release(workspace, "glove") is None
    done = import_vectors(workspace, "glove", str(path), skip_bad_rows=True)
    assert (done.words, done.left_out) == (2, 1)
    _, kept, _, unit = rows_of(workspace, "glove")
    bad = int(message[5]) - 1
    assert kept == words[:bad] + words[bad + 1 :]
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-6)


def test_the_byte_of_a_bad_row_is_named_in_a_binary_file(workspace: Workspace, tmp_path: Path) -> None:
    rows = [b"the " + unit_rows(1, 4).tobytes(), b"caf\xe9 " + unit_rows(1, 4).tobytes()]
    (tmp_path / "vectors.bin").write_bytes(b"2 4\n" + b"".join(rows))
    with pytest.raises(VectorFileError, match=r"vectors\.bin: row 2 at byte 24, the word 'caf\\udce9': .*not UTF-8"):
        import_vectors(workspace, "news", str(tmp_path / "vectors.bin"))


def test_bad_rows_are_counted_and_not_all_may_be_bad(
    workspace: Workspace, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    vectors = np.zeros((5, 2), dtype=np.float32)
    vectors[0] = 1
    path = glove_file(tmp_path, WordVectors(list("abcde"), vectors, unknown_counts(5)))
    with pytest.raises(VectorFileError, match=r"line 2, .* and 3 more rows cannot be used"):
        import_vectors(workspace, "glove", str(path))
    assert import_vectors(workspace, "glove", str(path), skip_bad_rows=True).left_out == 4
    assert "skipped 4 rows that cannot be used; the first: " in caplog.text
    none = glove_file(tmp_path, WordVectors(["a"], vectors[1:2], unknown_counts(1)), "none.txt")
    with pytest.raises(VectorFileError, match="no row of 1 can be used"):
        import_vectors(workspace, "glove", str(none), skip_bad_rows=True)


def test_counts_are_kept_and_must_not_rise(workspace: Workspace, tmp_path: Path) -> None:
    columns = {"word": ["the", "of", "cat"], "vector": unit_rows(3, 4).tolist()}
    pq.write_table(pa.table(columns | {"count": [9, 9, 2]}), tmp_path / "good.parquet")
    import_vectors(workspace, "news", str(tmp_path / "good.parquet"))
    assert rows_of(workspace, "news")[2] == [9, 9, 2]
    pq.write_table(pa.table(columns | {"count": [9, 1, 2]}), tmp_path / "rising.parquet")
    with pytest.raises(VectorFileError, match="the count of 'cat' is higher than that of the word before it; sort"):
        import_vectors(workspace, "news", str(tmp_path / "rising.parquet"))


def test_only_the_first_rows_are_imported(workspace: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "glove.txt"
    path.write_text("the 1 0\nof 0 1\nand 1 1\nzero 0 0\n")
    done = import_vectors(workspace, "glove", str(path), limit=2)
    assert (done.words, done.left_out) == (2, 0)
    with open_release(workspace.table_file("glove")) as connection:
        assert connection.execute("SELECT word FROM word_vectors ORDER BY rank").fetchall() == [("the",), ("of",)]
        found = dict(connection.execute("SELECT name, value FROM settings WHERE name LIKE 'import.%'").fetchall())
    assert (found["import.limit"], found["import.rows_in_source"]) == ("2", "4")


def test_the_same_vectors_are_not_published_twice(workspace: Workspace, tmp_path: Path) -> None:
    path = str(glove_file(tmp_path, sample()))
    assert import_vectors(workspace, "glove", path).published
    again = import_vectors(workspace, "glove", path)
    assert (again.version, again.published) == (1, False)
    relicensed = import_vectors(workspace, "glove", path, licence="CC0")
    assert (relicensed.version, relicensed.published) == (2, True)


def test_a_package_is_imported_by_its_name(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    original = sample()
    (tmp_path / "tiny_vectors").mkdir()
    np.save(tmp_path / "tiny_vectors" / "table.npy", original.vectors)
    pq.write_table(pa.table({"index": original.words}), tmp_path / "tiny_vectors" / "index.parquet")
    info = tmp_path / "tiny_vectors-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.4\nName: tiny-vectors\nVersion: 1.2\nLicense: PDDL-1.0\n")
    (info / "RECORD").write_text("tiny_vectors/table.npy,,\ntiny_vectors/index.parquet,,\n")
    for name in ("tiny-vectors", "package:tiny-vectors"):
        done = import_vectors(workspace, "tiny", name)
        assert (done.source, done.format, done.licence) == ("package tiny-vectors 1.2", "package", "PDDL-1.0")
    assert rows_of(workspace, "tiny")[1] == original.words
    assert import_vectors(workspace, "tiny", "tiny-vectors", licence="mine").licence == "mine"
    with pytest.raises(VectorFileError, match="tiny-vectors is a package"):
        import_vectors(workspace, "tiny", "tiny-vectors", form=VectorFormat.GLOVE)
    with pytest.raises(VectorFileError, match="package numpy does not contain one"):
        import_vectors(workspace, "tiny", "numpy")


def test_what_is_neither_file_nor_package_is_named(workspace: Workspace) -> None:
    with pytest.raises(VectorFileError, match=r"no such file: no-such-vectors, and no package of that name"):
        import_vectors(workspace, "news", "no-such-vectors")
    with pytest.raises(VectorFileError, match="'no-such-vectors' is not installed: pip install"):
        import_vectors(workspace, "news", "package:no-such-vectors")
    with pytest.raises(SettingsError, match="is not a valid table name"):
        import_vectors(workspace, "../escape", "no-such-vectors")
    assert not workspace.root.exists()


@pytest.mark.skipif(not GOOGLE_NEWS.is_file(), reason=f"the optional Google News vectors are not at {GOOGLE_NEWS}")
def test_google_news_vectors_answer_as_gensim_does(workspace: Workspace) -> None:
    done = import_vectors(workspace, "google-news", str(GOOGLE_NEWS), licence="Apache-2.0")
    assert (done.words, done.dimension, done.format) == (8000, 300, "word2vec-binary")
    keyed = KeyedVectors.load_word2vec_format(str(GOOGLE_NEWS), binary=True)
    with duckdb.connect(str(workspace.table_file("google-news")), read_only=True) as connection:
        nearest = connection.execute("SELECT word, similarity FROM nearest('music', k := 5)").fetchall()
    expected = keyed.most_similar("music", topn=5)
    assert [word for word, _ in nearest] == [word for word, _ in expected]
    np.testing.assert_allclose([value for _, value in nearest], [value for _, value in expected], atol=1e-5)


@pytest.mark.long
def test_real_glove_goes_through_text_without_a_change(workspace: Workspace, tmp_path: Path) -> None:
    try:
        glove = read_reference(DEFAULT_REFERENCE)
    except ReferenceVectorsError as error:
        pytest.skip(str(error))
    path = tmp_path / "glove.txt"
    write_vectors(VectorFormat.GLOVE, path, WordVectors(glove.words, glove.vectors, unknown_counts(400_000)), {})
    from_text = import_vectors(workspace, "glove", str(path))
    from_package = import_vectors(workspace, "glove", GLOVE_PACKAGE, licence=from_text.licence)
    assert (from_text.words, from_package.published) == (400_000, False)
