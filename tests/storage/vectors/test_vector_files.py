"""A file's format is detected from its content, and errors name the line or byte."""

import gzip
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.numpy
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import VectorFileError
from storage.files.compressed import recognize_file
from storage.releases.exporting import check_name, write_vectors
from storage.vectors.faults import row_faults
from storage.vectors.files import find_vectors, read_vectors
from storage.vectors.format_names import VectorFormat
from storage.vectors.formats import WordVectors
from tests.storage.vector_samples import sample, unit_rows

WORDS = ["the", "of", "고양이"]
VECTORS = unit_rows(3, 4)
GLOVE = "".join(f"{word} {' '.join(map(str, row))}\n" for word, row in zip(WORDS, VECTORS, strict=True)).encode()
WORD2VEC = b"3 4\n" + GLOVE
ROWS = [word.encode() + b" " + row.tobytes() for word, row in zip(WORDS, VECTORS, strict=True)]
BINARY = b"3 4\n" + b"".join(ROWS)


def read(path: Path, form: VectorFormat | None = None, words: Path | None = None) -> WordVectors:
    return read_vectors(find_vectors(path, form, words))


def file_of(folder: Path, data: bytes, name: str = "vectors.any") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def numpy_file(folder: Path, vectors: object = VECTORS, words: object = WORDS, name: str = "vocabulary.json") -> Path:
    np.save(folder / "vectors.npy", vectors)  # type: ignore[arg-type]
    text = words if isinstance(words, str) else json.dumps(words)
    (folder / name).write_text(text, encoding="utf-8")
    return folder / "vectors.npy"


@pytest.mark.parametrize(
    ("data", "form"),
    [
        (GLOVE, VectorFormat.GLOVE),
        (b"\xef\xbb\xbf" + GLOVE, VectorFormat.GLOVE),
        (GLOVE.replace(b"\n", b"\r\n"), VectorFormat.GLOVE),
        (WORD2VEC, VectorFormat.WORD2VEC),
        (b"\xef\xbb\xbf" + WORD2VEC, VectorFormat.WORD2VEC),
        (WORD2VEC.replace(b"\n", b" \n"), VectorFormat.WORD2VEC),  # the rows of fastText and word2vec end with a blank
        (BINARY, VectorFormat.WORD2VEC_BINARY),
        (b"3 4\n" + b"\n".join(ROWS) + b"\n", VectorFormat.WORD2VEC_BINARY),
        (b"".join(ROWS), VectorFormat.WORD2VEC_BINARY),
        (b"\n".join(ROWS) + b"\n", VectorFormat.WORD2VEC_BINARY),
    ],
    ids=[
        "glove", "glove with a mark", "glove of Windows", "word2vec", "word2vec with a mark", "fasttext", "binary",
        "binary with newlines", "binary without a header", "binary with newlines and without a header",
    ],
)  # fmt: skip
@pytest.mark.parametrize("packed", [False, True])
def test_rows_are_recognized_with_and_without_a_header(
    tmp_path: Path, data: bytes, form: VectorFormat, packed: bool
) -> None:
    source = find_vectors(file_of(tmp_path, gzip.compress(data) if packed else data))
    assert source.format is form
    found = read_vectors(source)
    assert found.words == WORDS
    np.testing.assert_array_equal(found.vectors, VECTORS)


def test_a_binary_file_without_a_header_may_be_large(tmp_path: Path) -> None:
    """More than is looked at to guess the dimension, and more than is read at a time."""
    words = [f"word{row}" for row in range(20_000)]
    vectors = unit_rows(20_000, 300)
    data = b"".join(word.encode() + b" " + row.tobytes() for word, row in zip(words, vectors, strict=True))
    found = read(file_of(tmp_path, data))
    assert found.words == words
    np.testing.assert_array_equal(found.vectors, vectors)


def test_a_row_with_a_blank_word_is_distinguished_from_a_row_that_is_too_long(tmp_path: Path) -> None:
    assert read(file_of(tmp_path, GLOVE + b". . . 1 2 3 4\nat home 1 2 3 4\n")).words == [*WORDS, ". . .", "at home"]
    for row, reason in (
        (b"dog 5", "ends in a number"),
        (b"dog ", "consecutive spaces"),
        (b"", "is empty"),
        (b"  ", "is empty"),
    ):
        found = read(file_of(tmp_path, GLOVE + row + b" 1 2 3 4\n\n \n"))
        (fault,) = row_faults(found)
        assert (fault.row, found.location(3)) == (3, "line 4")
        assert reason in fault.reason
    first = read(file_of(tmp_path, b". . 1 2 3 4\n" + GLOVE))
    assert first.words == [". .", *WORDS]
    for row in (b"dog cat 1 x 3 4", b"dog 1 2 3 4 x", b"dog 1 2 3 4 5 6 7"):
        with pytest.raises(VectorFileError, match=r"line 4 is .*: not a word and 4 numbers"):
            read(file_of(tmp_path, GLOVE + row + b"\n"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"\x1f\x8b", "none of the supported formats|truncated|end"),
        (GLOVE[:-20], "line 3 is .*: not a word and 4 numbers .*truncated"),
        (GLOVE + b"dog\n", "line 4 is 'dog'"),
        (GLOVE + b"\n" + GLOVE, "line 4 is ''"),
        (GLOVE + b"dog 1 2 3\n", "line 4 is 'dog 1 2 3': not a word and 4 numbers"),
        (GLOVE + b"dog 1 2 x 4\n", "line 4 has 'x' where a number should be"),
        (GLOVE + b"dog 1  3 4\n", "line 4 has '' where a number should be"),
        (b"4 4\n" + GLOVE, "declares 4 rows, but it has 3"),
        (b"2 4\n" + GLOVE, "declares 2 rows, but it has 3"),
        (b"3 5\n" + GLOVE, "line 2 is .*: not a word and 5 numbers"),
        (b"3 3\n" + GLOVE, "line 2 is .*: not a word and 3 numbers"),
        (b"0 4\n" + GLOVE, "declares 0 rows"),
        (b"3 4\nthe 1 x 3 4\nof 1 2 3 4\n", "line 2 has 'x' where a number should be"),
        (BINARY[:-1], "declares 3 rows of 4 numbers, but it ends after 2 complete rows"),
        (BINARY[:20], "ends after 0 complete rows|ends after 1 complete rows"),
        (b"4" + BINARY[1:], "declares 4 rows of 4 numbers, but it ends after 3"),
        (b"2" + BINARY[1:], "unexpected data follows row 2, at byte 43"),
        (BINARY + b"more", "unexpected data follows row 3"),
        (b"3 5\n" + b"".join(ROWS), "ends after"),
        (b"9 99999999\n" + b"".join(ROWS), "declares 99999999 dimensions"),
        (b"999999999 300\n" + os.urandom(2000), "ends after|does not start where"),
        (b"just some text\n", "none of the supported formats"),
        (b"PK\x03\x04\x00\x00", "zip archive.*unpack it"),
        (b"PAR1\x15\x00 and no more", "parquet"),
        (b"\x93NUMPY\x01\x00 and no more", "without words"),
        (pickle.dumps([1, 2]), "is a pickle, .*save_word2vec_format"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_named_with_the_place_in_it(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(VectorFileError, match=message) as refused:
        read(file_of(tmp_path, data))
    assert "vectors.any cannot be read as word vectors" in str(refused.value)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x89HDF\r\n\x1a\n" + bytes(50), "HDF5"),
        (b"\xba\x16\x4f\x2f\x0c\x00\x00\x00" + bytes(50), "fasttext.*truncated or damaged"),
        (b"SQLite format 3\x00" + bytes(50), "SQLite"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(50), "archive"),
        ("the 1 2\nof 3 4\n".encode("utf-16"), "UTF-16"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "HTML"),
    ],
)
def test_what_holds_no_rows_is_refused_by_name(tmp_path: Path, data: bytes, said: str) -> None:
    with pytest.raises(VectorFileError, match=said):
        read(file_of(tmp_path, data))


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz", "zst"])
def test_vectors_go_and_come_in_every_compression(tmp_path: Path, suffix: str) -> None:
    for form in (VectorFormat.GLOVE, VectorFormat.WORD2VEC, VectorFormat.WORD2VEC_BINARY):
        path = tmp_path / f"{form}.txt.{suffix}"
        original = sample(["the", "of", "cat"])
        write_vectors(form, path, original, {})
        found = read_vectors(find_vectors(path))
        assert found.words == original.words
        np.testing.assert_array_equal(found.vectors, original.vectors)
        assert len(recognize_file(path).head) > 0
        assert recognize_file(path).compression is not None


@pytest.mark.parametrize(
    ("form", "name"),
    [(VectorFormat.GLOVE, "v.txt.lz4"), (VectorFormat.PARQUET, "v.parquet.gz"), (VectorFormat.NUMPY, "v.zip")],
)
def test_a_compression_that_is_not_applied_is_refused(form: VectorFormat, name: str) -> None:
    with pytest.raises(VectorFileError, match=r"is not written|is not compressed"):
        check_name(form, name)


def test_numbers_of_other_c_libraries_are_read(tmp_path: Path) -> None:
    found = read(file_of(tmp_path, GLOVE + b"dog -1.#IND 1.#QNAN 1.#INF 4\n"))
    np.testing.assert_array_equal(found.vectors[3], np.array([np.nan, np.nan, np.inf, 4], dtype=np.float32))
    assert [fault.reason for fault in row_faults(found)] == ["its vector contains NaN or infinite values"]


@pytest.mark.parametrize("header", [b"", b"2 4\n"])
def test_a_tab_and_a_number_in_the_word_are_refused(tmp_path: Path, header: bytes) -> None:
    with pytest.raises(VectorFileError, match=r"tab and a number in the word|none of the supported formats"):
        read(file_of(tmp_path, header + b"the\t0.1 0.2 0.3 0.4\nof\t0.5 -0.2 0.1 0.9\n".replace(b"0.4", b"0.4 0.5")))
    with pytest.raises(VectorFileError, match=r"tab|not a word and 4 numbers"):
        read(file_of(tmp_path, header + b"the\t0.1 0.2 0.3 0.4\nof\t0.5 -0.2 0.1 0.9\n"))


def test_a_large_file_names_lines_far_from_its_start(tmp_path: Path) -> None:
    row = b" " + b" ".join([b"0.123456789"] * 50) + b"\n"
    lines = [b"w%d" % number + row for number in range(20_000)]
    lines[15_000] = lines[15_000].replace(b"0.123456789\n", b"0.12E\n")
    with pytest.raises(VectorFileError, match=r"line 15001 has '0.12E' where"):
        read(file_of(tmp_path, b"".join(lines)))


def test_a_cut_archive_is_refused(tmp_path: Path) -> None:
    noise = os.urandom(5000).hex().encode()
    data = gzip.compress(GLOVE + noise)[:-2000]
    with pytest.raises(VectorFileError, match=r"truncated|line 4"):
        read(file_of(tmp_path, data))


@pytest.mark.parametrize("form", [VectorFormat.WORD2VEC, VectorFormat.GLOVE, VectorFormat.WORD2VEC_BINARY])
def test_the_location_of_a_row_is_its_line_or_byte(tmp_path: Path, form: VectorFormat) -> None:
    data = {VectorFormat.WORD2VEC: WORD2VEC, VectorFormat.GLOVE: GLOVE}.get(form, BINARY)
    location = read(file_of(tmp_path, data)).location(1)
    offset = BINARY.index(b"of ")
    assert location == {VectorFormat.WORD2VEC: "line 3", VectorFormat.GLOVE: "line 2"}.get(
        form, f"row 2 at byte {offset}"
    )


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused_by_name(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    for form in (None, VectorFormat.WORD2VEC, VectorFormat.GLOVE, VectorFormat.WORD2VEC_BINARY):
        path = file_of(tmp_path_factory.getbasetemp(), data, "bytes.any")
        try:
            found = read(path, form)
        except VectorFileError as error:
            assert "bytes.any cannot be read" in str(error)  # noqa: PT017 - most bytes are refused, a few are rows
        else:
            assert len(found.words) == len(found.vectors) == len(found.counts) > 0


def test_a_named_format_overrides_the_content(tmp_path: Path) -> None:
    """One number a word looks like a header unless the format is given."""
    path = file_of(tmp_path, b"1 0.5\n2 0.25\n")
    with pytest.raises(VectorFileError, match="none of the supported formats"):
        read(path)
    assert read(path, VectorFormat.GLOVE).words == ["1", "2"]
    with pytest.raises(VectorFileError, match=r"first line is '1 0\.5', not the number of rows"):
        read(path, VectorFormat.WORD2VEC)
    for form in (VectorFormat.PARQUET, VectorFormat.GENSIM, VectorFormat.PROJECTOR):
        with pytest.raises(VectorFileError, match=f"vectors.any cannot be read as word vectors \\({form}\\)"):
            read(path, form)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(VectorFileError, match=r"no such file: .*none\.txt"):
        find_vectors(tmp_path / "none.txt")
    with pytest.raises(VectorFileError, match=r"contains 0 of the files vectors\.npy"):
        find_vectors(tmp_path)


@pytest.mark.parametrize("kind", ["<f8", ">f4", "<f2", "<i4"])
def test_arrays_of_any_real_numbers_become_float32(tmp_path: Path, kind: str) -> None:
    vectors = (VECTORS * 100).astype(kind)
    found = read(numpy_file(tmp_path, np.asfortranarray(vectors)))
    assert found.vectors.dtype == np.float32
    np.testing.assert_array_equal(found.vectors, vectors.astype(np.float32))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("vocabulary.json", {"words": WORDS}),
        ("words.json", WORDS),
        ("vocab.json", {"of": 1, "the": 0, "고양이": 2}),
        ("words.txt", "the\nof\n고양이\n"),
        ("vectors.txt", "the\r\nof\r\n고양이"),
    ],
)
@pytest.mark.parametrize("form", [VectorFormat.NUMPY, VectorFormat.SAFETENSORS])
def test_the_words_of_an_array_are_in_the_file_next_to_it(
    tmp_path: Path, name: str, content: object, form: VectorFormat
) -> None:
    array = numpy_file(tmp_path, VECTORS, content, name)
    if form is VectorFormat.SAFETENSORS:
        array.unlink()
        array = tmp_path / "vectors.safetensors"
        safetensors.numpy.save_file({"embedding.weight": VECTORS, "bias": VECTORS[0]}, array)
    source = find_vectors(array)
    assert (source.format, source.files) == (form, (array, tmp_path / name))
    found = read_vectors(source)
    assert found.words == WORDS
    np.testing.assert_array_equal(found.vectors, VECTORS)


def test_the_words_of_an_array_may_be_named(tmp_path: Path) -> None:
    array = numpy_file(tmp_path, name="elsewhere.json")
    with pytest.raises(
        VectorFileError, match=r"vectors without words, and its folder has none of vocabulary\.json, .* --words"
    ):
        find_vectors(array)
    assert read(array, words=tmp_path / "elsewhere.json").words == WORDS
    with pytest.raises(VectorFileError, match=r"no such words file: .*none\.json"):
        find_vectors(array, words=tmp_path / "none.json")


@pytest.mark.parametrize(
    ("vectors", "words", "message"),
    [
        (VECTORS, WORDS[:2], r"contains 3 vectors, but .*vocabulary\.json contains 2 words"),
        (VECTORS[0], WORDS, r"float32 values of shape \(4,\), not a real 2-D array"),
        (VECTORS.astype(np.complex64), WORDS, "complex64 values"),
        (np.array(["a"]), WORDS, "values of shape"),
        (VECTORS[:0], [], "mmap|contains no vectors"),
        (VECTORS, "{", "is not valid JSON"),
        (VECTORS, 3, "neither a list of words nor"),
        (VECTORS, ["the", "of", None], "neither a list of words nor"),
        (VECTORS, {"the": 0, "of": 2, "cat": 3}, "assigns row 2 to the word 'of'"),
        (VECTORS, {"the": 0, "of": 0, "cat": 1}, "assigns row 0 to the word 'of'"),
        (VECTORS, {"the": "x"}, "neither a list of words nor"),
        (VECTORS, {"words": WORDS, "counts": [1, 2]}, "not 3 integers, one per word"),
        (VECTORS, {"words": WORDS, "counts": [3, 2, -1]}, "not 3 integers, one per word"),
        (VECTORS, {"words": WORDS, "counts": [3, 2.5, 1]}, "not 3 integers, one per word"),
        (VECTORS, {"words": WORDS, "counts": [2**70, 2, 1]}, "not 3 integers, one per word"),
    ],
)
def test_an_array_and_its_words_must_fit(tmp_path: Path, vectors: object, words: object, message: str) -> None:
    with pytest.raises(VectorFileError, match=message):
        read(numpy_file(tmp_path, vectors, words))


def test_arrays_of_objects_are_not_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "vectors.npy", np.array([[object()]]), allow_pickle=True)
    (tmp_path / "words.txt").write_text("the\n")
    with pytest.raises(VectorFileError, match="Python objects"):
        read(tmp_path / "vectors.npy")


def test_a_cut_array_is_refused(tmp_path: Path) -> None:
    array = numpy_file(tmp_path)
    array.write_bytes(array.read_bytes()[:-5])
    with pytest.raises(VectorFileError, match=r"vectors\.npy cannot be read"):
        read(array)
    tensors = file_of(tmp_path, safetensors.numpy.save({"vectors": VECTORS})[:-5], "vectors.safetensors")
    with pytest.raises(VectorFileError, match=r"vectors\.safetensors cannot be read"):
        read(tensors)


def test_the_tensor_of_vectors_must_be_clear(tmp_path: Path) -> None:
    (tmp_path / "words.json").write_text(json.dumps(WORDS))
    tensors = file_of(tmp_path, safetensors.numpy.save({"a": VECTORS, "b": VECTORS}), "model.safetensors")
    with pytest.raises(VectorFileError, match="contains 2 2-D tensors and none named 'vectors'"):
        read(tensors)
    tensors.write_bytes(safetensors.numpy.save({"a": VECTORS + 1, "vectors": VECTORS}))
    np.testing.assert_array_equal(read(tensors).vectors, VECTORS)


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.list_(pa.float64(), 4), pa.large_list(pa.float32())])
def test_columns_of_parquet_are_chosen_by_type(tmp_path: Path, kind: pa.DataType) -> None:
    lists = pa.array([row.tolist() for row in VECTORS], kind)
    table = pa.table({"id": [1, 2, 3], "token": pa.array(WORDS).dictionary_encode(), "numbers": lists})
    pq.write_table(table, tmp_path / "any.parquet")
    found = read(tmp_path / "any.parquet")
    assert found.words == WORDS
    assert found.counts.tolist() == [0, 0, 0]
    np.testing.assert_array_equal(found.vectors, VECTORS)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"word": WORDS}, "its columns are word, and 0 of them could be the vectors; rename one of them to 'vector'"),
        ({"a": WORDS, "b": WORDS, "vector": [[0.5]] * 3}, "2 of them could be the words; rename one of them to 'word'"),
        ({"word": WORDS, "vector": [[0.5, 1.0], [0.5], [1.0, 1.0]]}, "row 2 of column 'vector' has 1 numbers"),
        ({"word": WORDS, "vector": [[0.5], None, [1.0]]}, "row 2 of column 'vector' has 0 numbers"),
        ({"word": ["the", None, "of"], "vector": [[0.5]] * 3}, "'word' has 1 rows without a word"),
        ({"word": pa.array([], pa.string()), "vector": pa.array([], pa.list_(pa.float32()))}, "contains no vectors"),
    ],
)
def test_parquet_without_words_or_vectors_is_refused(tmp_path: Path, columns: dict[str, object], message: str) -> None:
    pq.write_table(pa.table(columns), tmp_path / "any.parquet")
    with pytest.raises(VectorFileError, match=message):
        read(tmp_path / "any.parquet")


def test_a_missing_number_in_parquet_becomes_nan(tmp_path: Path) -> None:
    """Which the check of rows then names, with its word."""
    pq.write_table(pa.table({"word": ["a", "b"], "vector": [[0.5, None], [1.0, 2.0]]}), tmp_path / "any.parquet")
    assert np.isnan(read(tmp_path / "any.parquet").vectors[0, 1])


def test_bfloat16_is_read_and_fp8_refused(tmp_path: Path) -> None:
    vectors = unit_rows(2, 4)
    (tmp_path / "words.txt").write_text("the 12\nof 7\n\n", "utf-8")
    path = tmp_path / "m.safetensors"
    for name, kind in (("BF16", torch.bfloat16), ("F8_E4M3", torch.float8_e4m3fn)):
        safetensors.torch.save_file({"other": torch.zeros(3), "w": torch.tensor(vectors).to(kind)}, path)
        if name == "BF16":
            found = read_vectors(find_vectors(path))
            np.testing.assert_array_equal(found.vectors, torch.tensor(vectors).to(kind).float().numpy())
            assert (found.words, found.counts.tolist()) == (["the", "of"], [12, 7])
    with pytest.raises(VectorFileError, match=r"type F8_E4M3; save it as float32"):
        read_vectors(find_vectors(path))


def test_numbers_next_to_words_are_counts_or_rows_or_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", unit_rows(3, 4))
    words = tmp_path / "vocab.txt"
    for text, counts in (("the\t9\nof\t4\ncat\t4\n", [9, 4, 4]), ("the 0\nof 1\ncat 2\n", [0, 0, 0])):
        words.write_text(text, "utf-8")
        found = read_vectors(find_vectors(tmp_path / "v.npy"))
        assert (found.words, found.counts.tolist()) == (["the", "of", "cat"], counts)
    words.write_text("the 5\nof 9\ncat 2\n", "utf-8")
    with pytest.raises(VectorFileError, match="numbers after the words"):
        read_vectors(find_vectors(tmp_path / "v.npy"))


@pytest.mark.parametrize("kind", [pa.uint64(), pa.int8(), pa.float64(), pa.decimal128(25, 2), pa.string()], ids=str)
def test_counts_of_parquet_may_be_any_numbers(
    tmp_path: Path, kind: pa.DataType, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "v.parquet"
    columns = {"word": pa.array(["the", "of"], pa.string_view()), "vector": pa.array([[1.0, 2.0], [3.0, 4.0]])}
    pq.write_table(pa.table(columns | {"count": pa.array([9, 4], pa.int64()).cast(kind)}), path)
    found = read_vectors(find_vectors(path))
    assert found.words == ["the", "of"]
    assert found.counts.tolist() == ([0, 0] if kind == pa.string() else [9, 4])
    assert ("ignoring the column 'count'" in caplog.text) is (kind == pa.string())
    pq.write_table(pa.table(columns | {"count": [1.5, float("nan")]}), path)
    with pytest.raises(VectorFileError, match="'count' contains numbers that are not counts"):
        read_vectors(find_vectors(path))


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "v.parquet"
    arrays = [pa.array(["a"]), pa.array(["b"]), pa.array([[1.0, 2.0]])]
    pq.write_table(pa.Table.from_arrays(arrays, ["word", "word", "vector"]), path)
    with pytest.raises(VectorFileError, match="2 columns are named 'word'"):
        read_vectors(find_vectors(path))


def test_an_empty_word_is_a_fault_in_every_form() -> None:
    assert [fault.reason for fault in row_faults(sample(["the", "", "cat"]))] == ["its word is empty"]
