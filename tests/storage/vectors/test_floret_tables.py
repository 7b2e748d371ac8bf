"""floret's tables in and out, against floret itself: the vectors of known and of unknown words."""

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from gensim.models import FastText
from gensim.models.fasttext import ft_ngram_hashes, save_facebook_model
from numpy.typing import NDArray

from storage.errors import VectorFileError
from storage.layout import Workspace
from storage.releases.exporting import export_table
from storage.releases.importing import import_vectors
from storage.vectors.files import find_vectors, read_vectors
from storage.vectors.floret import FloretShape, murmur_hashes, ngrams_of
from storage.vectors.format_names import VectorFormat
from tests.storage.vectors.test_fasttext_models import UNSEEN

WORDS = ["king", "queen", "naïve", "日本語", "it's", "swordfish", "kingdom", "a"]


@pytest.fixture(scope="module")
def floret() -> Any:
    return pytest.importorskip("floret", reason="the package floret is not installed (extra bench)")


@pytest.fixture(scope="module", params=[(1, 3, 5), (2, 2, 4), (4, 3, 3)])
def trained(request: pytest.FixtureRequest, floret: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """A model of floret, and its table."""
    hashes, minimum, maximum = request.param
    folder = tmp_path_factory.mktemp("floret")
    random = np.random.default_rng(1)
    lines = [" ".join(random.choice(WORDS, 12)) for _ in range(400)]
    (folder / "text.txt").write_text("\n".join(lines), encoding="utf-8")
    model = floret.train_unsupervised(
        str(folder / "text.txt"), mode="floret", dim=12, bucket=200, hashCount=hashes, minn=minimum, maxn=maximum,
        minCount=1, epoch=2, thread=1, verbose=0,
    )  # fmt: skip
    model.save_floret_vectors(str(folder / "model.floret"))
    return model, folder / "model.floret"


def test_a_table_has_the_vectors_of_floret(trained: tuple[Any, Path], tmp_path: Path) -> None:
    model, path = trained
    (tmp_path / "words.txt").write_text("\n".join([*WORDS, *UNSEEN]), encoding="utf-8")
    source = find_vectors(path, words=tmp_path / "words.txt")
    assert source.format is VectorFormat.FLORET
    found = read_vectors(source)
    # The vector that floret returns for its first word is not the one of its own table; spaCy reads the table.
    compared = [row for row, word in enumerate(found.words) if word != model.words[0]]
    expected = [model.get_word_vector(found.words[row]) for row in compared]
    # The table is text, with five digits.
    np.testing.assert_allclose(found.vectors[compared], expected, atol=2e-5)
    imported = import_vectors(Workspace(tmp_path / "workspace"), "words", str(path), words=tmp_path / "words.txt")
    assert (imported.format, imported.words) == ("floret", 13)


def table_of(tmp_path: Path, sentences: list[list[str]]) -> tuple[Workspace, FastText]:
    model = FastText(sentences, vector_size=12, min_count=1, bucket=500, epochs=5, min_n=3, max_n=5, seed=4, workers=1)
    save_facebook_model(model, str(tmp_path / "model.bin"))
    workspace = Workspace(tmp_path / "workspace")
    import_vectors(workspace, "words", str(tmp_path / "model.bin"))
    return workspace, model


def cosines(one: NDArray[np.float32], two: NDArray[np.float32]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1)
    result: NDArray[np.float64] = np.einsum("wd,wd->w", one, two) / lengths
    return result


def test_an_exported_table_has_the_words_of_the_release_and_nearly_its_other_words(tmp_path: Path) -> None:
    stems = ["king", "sword", "fish", "light", "garden", "water", "stone", "house", "river", "paper"]
    words = [f"{first}{second}" for first in stems for second in ["", "s", "ed", "ing", *stems]]
    random = np.random.default_rng(3)
    workspace, model = table_of(tmp_path, [random.choice(words, 12).tolist() for _ in range(300)])
    export_table(workspace, "words", VectorFormat.FLORET, tmp_path / "words.floret")
    unseen = [f"{first}{second}{third}" for first in stems[:4] for second in stems[4:6] for third in ("ly", "er")]
    (tmp_path / "words.txt").write_text("\n".join([*model.wv.index_to_key, *unseen]), encoding="utf-8")
    found = read_vectors(find_vectors(tmp_path / "words.floret", words=tmp_path / "words.txt"))
    with duckdb.connect(str(workspace.table_file("words")), read_only=True) as connection:
        answers = [connection.execute("SELECT word_vector(?)", [word]).fetchall()[0][0] for word in found.words]
    same = cosines(found.vectors, np.array(answers, np.float32))
    known = len(model.wv.index_to_key)
    assert same[:known].min() > 0.999
    # The row of the whole word, which floret adds to the n-grams of any word, is noise for these.
    assert same[known:].mean() > 0.9


def test_hashes_and_ngrams_are_those_of_other_libraries() -> None:
    words = [*WORDS, *UNSEEN, "abcdefghijklmnopqrstuvwxyz" * 3]
    for word in words:
        assert len(ngrams_of(f"<{word}>", 1, 6)) == len(ft_ngram_hashes(word, 1, 6, 100))
    assert ngrams_of("<ab>", 1, 3) == ["<a", "<ab", "a", "ab", "ab>", "b", "b>"]
    # Known answers of mmh3.hash128("…", 0, x64arch=True) for texts of 0, 3 and 43 bytes.
    texts = [b"", b"foo", b"The quick brown fox jumps over the lazy dog"]
    parts = murmur_hashes(texts, 0).astype(object)
    values = [sum(int(part) << (32 * place) for place, part in enumerate(row)) for row in parts]
    assert values == [0, 168394135621993849475852668931176482145, 162514929770263185971448983895935490924]
    rows = FloretShape(50, 3, 4).table_rows(["king", "ab"])
    np.testing.assert_allclose(np.asarray(rows.sum(axis=1)).ravel(), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("4 2 3 5 2 9 < >\n0 1 2\n1 1 2\n", r"ends after 2 of 4 rows; copy the file again"),
        ("2 2 3 5 2 9 < >\n0 1 2\n1 1\n", r"line 3: expected row 1 with 2 numbers"),
        ("2 2 3 5 7 9 < >\n0 1 2\n1 1 2\n", r"first line has impossible numbers"),
    ],
)
def test_a_damaged_table_is_an_error(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "cut.floret"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(VectorFileError, match=r"its folder has none of .*set their file with --words"):
        find_vectors(path)
    (tmp_path / "words.txt").write_text("king\nqueen\n", encoding="utf-8")
    with pytest.raises(VectorFileError, match=reason):
        read_vectors(find_vectors(path))


def test_a_table_without_ngrams_cannot_be_a_floret_table(tmp_path: Path) -> None:
    (tmp_path / "words.vec").write_text("2 3\nking 1 2 3\nqueen 3 2 1\n", encoding="utf-8")
    workspace = Workspace(tmp_path / "workspace")
    import_vectors(workspace, "words", str(tmp_path / "words.vec"))
    with pytest.raises(VectorFileError, match=r"a floret table consists of n-grams, and this table has none"):
        export_table(workspace, "words", VectorFormat.FLORET, tmp_path / "words.floret")
