"""fastText's models in and out, against gensim: known words, unknown words and damaged files."""

from pathlib import Path

import duckdb
import numpy as np
import pytest
from gensim.models import FastText, KeyedVectors
from gensim.models.fasttext import load_facebook_vectors, save_facebook_model
from numpy.typing import NDArray

from storage.errors import VectorFileError
from storage.layout import Workspace
from storage.releases.exporting import export_table
from storage.releases.importing import import_vectors
from storage.vectors.files import find_vectors, read_vectors
from storage.vectors.format_names import VectorFormat

SENTENCES = [["king", "queen", "naïve", "日本語", "it's"], ["swordfish", "king", "kingdom", "queen"]] * 20
UNSEEN = ["kingly", "swordfishes", "naïvely", "日本", "unforgettableness"]


@pytest.fixture(scope="module")
def model() -> FastText:
    return FastText(SENTENCES, vector_size=12, min_count=1, bucket=300, epochs=2, min_n=3, max_n=5, seed=4, workers=1)


@pytest.fixture(scope="module")
def workspace(model: FastText, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A table imported from the binary form of `model`."""
    folder = tmp_path_factory.mktemp("fasttext")
    save_facebook_model(model, str(folder / "model.bin"))
    workspace = Workspace(folder / "workspace")
    imported = import_vectors(workspace, "words", str(folder / "model.bin"))
    assert (imported.format, imported.words) == ("fasttext", 7)
    return workspace


def unit(vector: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray(vector, np.float64) / np.linalg.norm(vector)


def answers(workspace: Workspace, words: list[str]) -> NDArray[np.float64]:
    with duckdb.connect(str(workspace.table_file("words")), read_only=True) as connection:
        return np.array([connection.execute("SELECT word_vector(?)", [word]).fetchall()[0][0] for word in words])


def test_an_imported_model_answers_as_gensim_does(model: FastText, workspace: Workspace) -> None:
    known = list(model.wv.index_to_key)
    np.testing.assert_allclose(answers(workspace, known), [unit(model.wv[word]) for word in known], atol=1e-6)
    # The table of n-grams holds 8-bit numbers.
    cosines = np.einsum("wd,wd->w", answers(workspace, UNSEEN), [unit(model.wv[word]) for word in UNSEEN])
    assert cosines.min() > 0.999


@pytest.mark.parametrize("form", [VectorFormat.FASTTEXT, VectorFormat.GENSIM])
def test_an_exported_model_answers_as_the_table_does(workspace: Workspace, tmp_path: Path, form: VectorFormat) -> None:
    export_table(workspace, "words", form, tmp_path / "model")
    load = load_facebook_vectors if form is VectorFormat.FASTTEXT else KeyedVectors.load
    found = load(str(tmp_path / "model"))
    words = [*found.index_to_key, *UNSEEN]
    np.testing.assert_allclose([unit(found[word]) for word in words], answers(workspace, words), atol=1e-6)


def test_a_model_without_ngrams_is_read_as_words(tmp_path: Path) -> None:
    model = FastText(SENTENCES, vector_size=12, min_count=1, max_n=0, epochs=1, workers=1)
    save_facebook_model(model, str(tmp_path / "model.bin"))
    found = read_vectors(find_vectors(tmp_path / "model.bin"))
    assert found.ngrams is None
    np.testing.assert_allclose(found.vectors, model.wv.vectors, atol=1e-6)
    assert found.counts.tolist() == [model.wv.get_vecattr(word, "count") for word in found.words]


@pytest.mark.parametrize("kept", [9, 40, 150, 1000])
def test_a_truncated_model_is_an_error(model: FastText, tmp_path: Path, kept: int) -> None:
    save_facebook_model(model, str(tmp_path / "whole.bin"))
    path = tmp_path / "cut.bin"
    path.write_bytes((tmp_path / "whole.bin").read_bytes()[:kept])
    with pytest.raises(VectorFileError, match=r"cut\.bin cannot be read as word vectors \(fasttext\)"):
        read_vectors(find_vectors(path))
