"""Every format round-trips, through our reader and its own library's."""

import json
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
import safetensors.numpy
from gensim.models import KeyedVectors
from hypothesis import given
from torchtext.vocab import Vectors

from storage.errors import VectorFileError
from storage.releases.exporting import FOLDERS, UNHOLDABLE, check_words_fit, write_vectors
from storage.vectors.files import find_vectors, read_vectors
from storage.vectors.format_names import VectorFormat
from storage.vectors.formats import WordVectors, decoded, unknown_counts
from tests.storage.vector_samples import BLANK_WORDS, HARD_WORDS, any_vectors, sample, unit_rows

# Not floret's, which has no words of its own: see test_floret_tables.py.
NOT_READ_BACK = (VectorFormat.GENSIM, VectorFormat.PROJECTOR, VectorFormat.FLORET)
READABLE = [form for form in VectorFormat if form not in NOT_READ_BACK]
TEXT = [VectorFormat.WORD2VEC, VectorFormat.GLOVE]
HOLDS_ANY_WORD = [form for form in VectorFormat if form not in (*UNHOLDABLE, VectorFormat.FLORET)]
HOLDS_COUNTS = [VectorFormat.FASTTEXT, VectorFormat.PARQUET, VectorFormat.NUMPY, VectorFormat.SAFETENSORS]


def written(form: VectorFormat, found: WordVectors, folder: Path, name: str = "vectors.file") -> Path:
    path = folder / name
    if form in FOLDERS:
        path.mkdir()
    write_vectors(form, path, found, {"table": "news", "version": "3"})
    return path


def holdable(form: VectorFormat) -> WordVectors:
    return sample(HARD_WORDS + (BLANK_WORDS if form in HOLDS_ANY_WORD else []))


def refusal(form: VectorFormat, found: WordVectors) -> str | None:
    try:
        check_words_fit(form, found)
    except VectorFileError as error:
        return str(error)
    return None


def check_same(found: WordVectors, words: list[str], vectors: np.ndarray) -> None:
    assert found.words == words
    np.testing.assert_array_equal(found.vectors, vectors)


@pytest.mark.parametrize("form", READABLE)
def test_what_is_written_is_recognized_and_read(form: VectorFormat, tmp_path: Path) -> None:
    original = holdable(form)
    source = find_vectors(written(form, original, tmp_path))
    assert source.format is form
    found = read_vectors(source)
    check_same(found, original.words, original.vectors)
    expected = original.counts if form in HOLDS_COUNTS else unknown_counts(len(original.words))
    np.testing.assert_array_equal(found.counts, expected)


@pytest.mark.parametrize("form", READABLE)
def test_any_words_and_numbers_come_back_or_are_refused(
    form: VectorFormat, tmp_path_factory: pytest.TempPathFactory
) -> None:
    @given(any_vectors())
    def check(original: WordVectors) -> None:
        refused = refusal(form, original)
        if refused is not None:
            assert form in UNHOLDABLE
            assert any(f"{word!r} (rank" in refused for word in original.words)
            return
        path = written(form, original, tmp_path_factory.mktemp("any"))
        check_same(read_vectors(find_vectors(path, form)), original.words, original.vectors)

    check()


@pytest.mark.parametrize("name", ["vectors.txt", "vectors.txt.gz"])
@pytest.mark.parametrize("form", [*TEXT, VectorFormat.WORD2VEC_BINARY])
def test_gensim_reads_the_forms_of_word2vec_and_glove(form: VectorFormat, name: str, tmp_path: Path) -> None:
    original = holdable(form)
    keyed = KeyedVectors.load_word2vec_format(
        str(written(form, original, tmp_path, name)),
        binary=form is VectorFormat.WORD2VEC_BINARY,
        no_header=form is VectorFormat.GLOVE,
    )
    assert keyed.index_to_key == original.words
    np.testing.assert_array_equal(keyed.vectors, original.vectors)


@pytest.mark.parametrize("form", [*TEXT, VectorFormat.WORD2VEC_BINARY])
def test_gensim_reads_any_words_and_numbers_that_are_not_refused(
    form: VectorFormat, tmp_path_factory: pytest.TempPathFactory
) -> None:
    @given(any_vectors())
    def check(original: WordVectors) -> None:
        if refusal(form, original) is not None:
            return
        keyed = KeyedVectors.load_word2vec_format(
            str(written(form, original, tmp_path_factory.mktemp("any"))),
            binary=form is VectorFormat.WORD2VEC_BINARY,
            no_header=form is VectorFormat.GLOVE,
        )
        assert keyed.index_to_key == original.words
        np.testing.assert_array_equal(keyed.vectors, original.vectors)

    check()


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("form", [*TEXT, VectorFormat.WORD2VEC_BINARY])
def test_what_gensim_writes_is_read(form: VectorFormat, suffix: str, tmp_path: Path) -> None:
    original = holdable(form)
    keyed = KeyedVectors(vector_size=6)
    keyed.add_vectors(original.words, original.vectors)
    path = tmp_path / f"vectors{suffix}"
    keyed.save_word2vec_format(
        str(path), binary=form is VectorFormat.WORD2VEC_BINARY, write_header=form is not VectorFormat.GLOVE
    )
    source = find_vectors(path)
    assert source.format is form
    check_same(read_vectors(source), original.words, original.vectors)


def test_gensim_loads_its_own_form_with_counts_and_any_word(tmp_path: Path) -> None:
    original = holdable(VectorFormat.GENSIM)
    path = written(VectorFormat.GENSIM, original, tmp_path)
    assert list(tmp_path.iterdir()) == [path]
    keyed = KeyedVectors.load(str(path))
    assert keyed.index_to_key == original.words
    np.testing.assert_array_equal(keyed.vectors, original.vectors)
    assert [keyed.get_vecattr(word, "count") for word in original.words] == original.counts.tolist()
    nearest = keyed.most_similar("the", topn=1)[0][0]
    assert nearest == original.words[int(np.argsort(-(original.vectors @ original.vectors[0]))[1])]


def test_large_arrays_stay_in_the_one_file_of_gensim(tmp_path: Path) -> None:
    """Gensim keeps arrays above 10 MiB in separate files."""
    original = WordVectors([f"w{row}" for row in range(60_000)], unit_rows(60_000, 50), unknown_counts(60_000))
    path = written(VectorFormat.GENSIM, original, tmp_path)
    assert list(tmp_path.iterdir()) == [path]
    np.testing.assert_array_equal(KeyedVectors.load(str(path)).vectors, original.vectors)


def test_torchtext_reads_glove_text(tmp_path: Path) -> None:
    original = holdable(VectorFormat.GLOVE)
    read = Vectors(written(VectorFormat.GLOVE, original, tmp_path, "glove.txt").name, cache=str(tmp_path))
    assert list(read.itos) == original.words
    np.testing.assert_array_equal(read.vectors.numpy(), original.vectors)


def test_duckdb_reads_the_parquet_file(tmp_path: Path) -> None:
    original = holdable(VectorFormat.PARQUET)
    path = written(VectorFormat.PARQUET, original, tmp_path, "vectors.parquet")
    rows = duckdb.sql(f"SELECT rank, word, count, vector FROM '{path}' ORDER BY rank").fetchall()
    assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
    assert [row[1] for row in rows] == original.words
    assert [row[2] for row in rows] == original.counts.tolist()
    np.testing.assert_array_equal(np.array([row[3] for row in rows], dtype=np.float32), original.vectors)
    assert pq.read_schema(path).metadata[b"table"] == b"news"


def test_numpy_and_json_read_the_folder_of_numpy(tmp_path: Path) -> None:
    original = holdable(VectorFormat.NUMPY)
    folder = written(VectorFormat.NUMPY, original, tmp_path)
    np.testing.assert_array_equal(np.load(folder / "vectors.npy"), original.vectors)
    vocabulary = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
    assert vocabulary["words"] == original.words
    assert vocabulary["counts"] == original.counts.tolist()
    assert vocabulary["release"] == {"table": "news", "version": "3"}


def test_safetensors_reads_its_folder(tmp_path: Path) -> None:
    original = holdable(VectorFormat.SAFETENSORS)
    folder = written(VectorFormat.SAFETENSORS, original, tmp_path)
    np.testing.assert_array_equal(
        safetensors.numpy.load_file(folder / "vectors.safetensors")["vectors"], original.vectors
    )
    assert json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))["words"] == original.words


def test_the_projectors_files_are_tables_of_tabs(tmp_path: Path) -> None:
    """The projector splits at newlines and tabs, and takes a first line with a tab for the names of the columns."""
    original = sample([*HARD_WORDS, "new york", " ", "\v"])
    folder = written(VectorFormat.PROJECTOR, original, tmp_path)
    lines = (folder / "vectors.tsv").read_bytes().decode().split("\n")
    assert lines.pop() == ""
    np.testing.assert_array_equal(np.array([line.split("\t") for line in lines]).astype(np.float32), original.vectors)
    names, *rows = [line.split("\t") for line in (folder / "metadata.tsv").read_bytes().decode().split("\n")[:-1]]
    assert names == ["word", "count"]
    assert rows == [[word, str(count)] for word, count in zip(original.words, original.counts, strict=True)]


@pytest.mark.parametrize(
    ("form", "unfit"),
    [
        (VectorFormat.WORD2VEC, [*BLANK_WORDS, ""]),
        (VectorFormat.GLOVE, [*BLANK_WORDS, ""]),
        (VectorFormat.WORD2VEC_BINARY, ["new york", "line\nend", " ", ". . ."]),
        (VectorFormat.PROJECTOR, ["a\tb", "line\nend", "\r", ""]),
    ],
)
def test_words_that_a_format_cannot_hold_are_named(form: VectorFormat, unfit: list[str]) -> None:
    for word in unfit:
        with pytest.raises(VectorFileError) as refused:
            check_words_fit(form, sample(["the", word, "cat"]))
        assert f"{form} cannot hold the words {word!r} (rank 2): " in str(refused.value)
        assert "parquet" in str(refused.value)
    fit = [word for word in [*HARD_WORDS, *BLANK_WORDS] if word not in unfit]
    check_words_fit(form, sample(fit))


def test_many_words_that_do_not_fit_are_counted() -> None:
    with pytest.raises(VectorFileError, match=r"'a 4' \(rank 5\) and 1,995 more"):
        check_words_fit(VectorFormat.GLOVE, sample([f"a {number}" for number in range(2000)]))


def test_a_glove_file_does_not_start_with_a_byte_order_mark() -> None:
    """Readers take it for no part of the first word; further down it is an ordinary character."""
    with pytest.raises(VectorFileError, match=r"glove cannot hold the words '\\ufeffbom' \(rank 1\)"):
        check_words_fit(VectorFormat.GLOVE, sample(["\ufeffbom", "the"]))
    check_words_fit(VectorFormat.GLOVE, sample(["the", "\ufeffbom"]))
    check_words_fit(VectorFormat.WORD2VEC, sample(["\ufeffbom", "the"]))


def test_the_projector_needs_two_dimensions() -> None:
    with pytest.raises(VectorFileError, match="cannot read vectors of one dimension"):
        check_words_fit(VectorFormat.PROJECTOR, sample(["the"], dimension=1))


def test_bytes_that_are_no_text_are_kept() -> None:
    (word,) = decoded([b"caf\xe9"])
    assert word.encode(errors="surrogateescape") == b"caf\xe9"
