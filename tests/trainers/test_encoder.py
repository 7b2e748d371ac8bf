"""Small real encoders, saved by their library, encode words as the library itself does."""

from pathlib import Path

import numpy as np
import pytest

from tasks.trainers.encoder import CHUNK_WORDS, WordEncoder
from tests.encoders import save_encoder

WORDS = ["the", "a", "news_paper", "wordsmith", "é", "", "x" * 300]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_encoder(tmp_path_factory.mktemp("encoder"))


def encoded(folder: Path, words: list[str], workers: int) -> np.ndarray:
    return np.concatenate(list(WordEncoder(folder).encode(words, workers)))


def test_words_are_encoded_as_the_library_encodes_them(folder: Path) -> None:
    from sentence_transformers import SentenceTransformer

    theirs = SentenceTransformer(str(folder), device="cpu").encode([word.replace("_", " ") for word in WORDS])
    np.testing.assert_allclose(encoded(folder, WORDS, 1), theirs, atol=1e-6)


def test_a_plain_transformers_folder_is_averaged(tmp_path: Path, folder: Path) -> None:
    plain = save_encoder(tmp_path, pooling=False)
    np.testing.assert_allclose(encoded(plain, WORDS, 1), encoded(folder, WORDS, 1), atol=1e-6)


def test_workers_and_later_starts_change_no_bit(folder: Path) -> None:
    words = [f"word{number}" for number in range(CHUNK_WORDS + 300)]
    one = encoded(folder, words, 1)
    np.testing.assert_array_equal(encoded(folder, words, 3), one)
    np.testing.assert_array_equal(encoded(folder, words[CHUNK_WORDS:], 2), one[CHUNK_WORDS:])


def test_a_damaged_model_is_named(tmp_path: Path) -> None:
    save_encoder(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ValueError, match="Error"):
        WordEncoder(tmp_path)
