"""Vectors of gensim-data: read from its cache, with a clear error where they cannot be downloaded."""

import json
from pathlib import Path

import gensim.downloader
import numpy as np
import pytest
from gensim.models import KeyedVectors

from storage.errors import ReferenceVectorsError
from storage.vectors.reference import read_reference, reference_digest

NAME = "word2vec-small-3"


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of gensim-data with two names; the server of the list is unreachable."""
    monkeypatch.setattr(gensim.downloader, "BASE_DIR", str(tmp_path))
    monkeypatch.setattr(gensim.downloader._load_info, "__defaults__", ("http://127.0.0.1:9/list.json", "utf-8"))
    return tmp_path


@pytest.mark.parametrize("binary", [True, False])
def test_what_was_fetched_is_read_as_gensim_reads_it(kept: Path, binary: bool) -> None:
    vectors = KeyedVectors(3)
    vectors.add_vectors(["king", "queen"], np.array([[1, 2, 3], [4, 5, 6]], dtype=np.float32))
    (kept / NAME).mkdir()
    vectors.save_word2vec_format(str(kept / NAME / f"{NAME}.gz"), binary=binary)
    reference = read_reference(f"gensim:{NAME}")
    theirs = KeyedVectors.load_word2vec_format(str(kept / NAME / f"{NAME}.gz"), binary=binary)
    assert reference.words == theirs.index_to_key
    np.testing.assert_array_equal(reference.vectors, theirs.vectors)
    assert reference.digest == reference_digest(f"gensim:{NAME}")


def test_without_a_network_the_remedy_is_reported(kept: Path) -> None:
    with pytest.raises(
        ReferenceVectorsError, match=rf"cannot be downloaded .*copy the file to {kept / NAME / NAME}\.gz"
    ):
        read_reference(f"gensim:{NAME}")


def test_an_unknown_name_reports_the_known_ones(kept: Path) -> None:
    known: dict[str, dict[str, object]] = {
        "models": {"glove-twitter-25": {}, "fasttext-wiki": {}},
        "corpora": {"text8": {}},
    }
    (kept / "information.json").write_text(json.dumps(known), encoding="utf-8")
    with pytest.raises(
        ReferenceVectorsError, match="has no vectors named text8; it has fasttext-wiki, glove-twitter-25"
    ):
        read_reference("gensim:text8")


@pytest.mark.parametrize("name", ["", "../../etc", "a/b", ".."])
def test_a_name_that_is_none_leads_nowhere(name: str) -> None:
    with pytest.raises(ReferenceVectorsError, match="invalid name"):
        read_reference(f"gensim:{name}")
