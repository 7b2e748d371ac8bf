"""Folders of model2vec: its own library loads ours, and ours reads what it writes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import BPE, Unigram, WordLevel, WordPiece

from storage.errors import VectorFileError
from storage.releases.exporting import sif_weights, write_vectors
from storage.vectors.files import find_vectors, read_vectors
from storage.vectors.format_names import VectorFormat
from storage.vectors.formats import WordVectors
from tests.encoders import save_encoder
from tests.storage.vector_samples import sample, unit_rows

WORDS = ["the", "film", "don't", "고양이", "[unk]"]


def written(folder: Path, found: WordVectors) -> Path:
    folder.mkdir()
    write_vectors(VectorFormat.MODEL2VEC, folder, found, {"table": "news"})
    return folder


def read(folder: Path) -> WordVectors:
    source = find_vectors(folder)
    assert source.format is VectorFormat.MODEL2VEC
    return read_vectors(source)


def test_tokenizers_finds_our_words_in_text(tmp_path: Path) -> None:
    original = sample(WORDS)
    folder = written(tmp_path / "model", original)
    found = Tokenizer.from_file(str(folder / "tokenizer.json")).encode("The film, don't! 고양이 xyz")
    assert found.ids == [0, 1, 2, 3, len(WORDS)]
    tensors = load_file(folder / "model.safetensors")
    np.testing.assert_array_equal(tensors["embeddings"][:-1], original.vectors)
    np.testing.assert_array_equal(tensors["weights"], [*sif_weights(original.counts), 0])
    assert json.loads((folder / "config.json").read_text())["release"] == {"table": "news"}


def test_a_word_named_like_the_unknown_token_is_kept(tmp_path: Path) -> None:
    original = sample(["The", "[UNK]", "the"])
    found = read(written(tmp_path / "model", original))
    assert found.words == original.words
    np.testing.assert_array_equal(found.vectors, original.vectors)


def test_model2vec_computes_the_weighted_mean_of_our_vectors(tmp_path: Path) -> None:
    from model2vec import StaticModel

    original = sample(WORDS)
    model = StaticModel.from_pretrained(written(tmp_path / "model", original))
    weights = sif_weights(original.counts)
    mean = weights[0] * original.vectors[0] + weights[2] * original.vectors[2]
    np.testing.assert_allclose(model.encode("The unknown, don't!"), mean / np.linalg.norm(mean), atol=1e-6)
    model.save_pretrained(str(tmp_path / "again"))
    again = read(tmp_path / "again")
    assert again.words == original.words
    np.testing.assert_array_equal(again.vectors, original.vectors)


def test_sentence_transformers_loads_our_folder(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    original = sample(WORDS)
    model = SentenceTransformer(str(written(tmp_path / "model", original)), device="cpu", local_files_only=True)
    np.testing.assert_allclose(model.encode("film"), original.vectors[1], atol=1e-6)


@pytest.mark.parametrize("counts", [[30, 20, 10], [0, 0, 0]])
def test_weights_follow_counts_or_zipfs_law(counts: list[int]) -> None:
    shares = np.array(counts if any(counts) else [1, 1 / 2, 1 / 3])
    expected = 1e-3 / (1e-3 + shares / shares.sum())
    np.testing.assert_allclose(sif_weights(np.array(counts, dtype=np.int64)), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        (WordLevel({"[PAD]": 0, "b": 1, "a": 2, "[UNK]": 3}, unk_token="[UNK]"), {1: "b", 2: "a"}),
        (WordPiece({"[PAD]": 0, "b": 1, "##a": 2, "[UNK]": 3}, unk_token="[UNK]"), {1: "b", 2: "##a"}),
        (Unigram([("[PAD]", 0.0), ("b", -1.0), ("▁a", -2.0), ("c", -3.0)], unk_id=None), {1: "b", 2: "▁a", 3: "c"}),
        (BPE({"[PAD]": 0, "b": 1, "a": 2, "ab": 3}, [("a", "b")]), {1: "b", 2: "a", 3: "ab"}),
    ],
    ids=["words", "pieces", "unigram", "bpe"],
)
@pytest.mark.parametrize("shared", [False, True])
def test_every_kind_of_tokenizer_is_read_without_special_tokens(
    model: Any, tokens: dict[int, str], shared: bool, tmp_path: Path
) -> None:
    tokenizer = Tokenizer(model)
    tokenizer.add_special_tokens(["[PAD]"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    vectors = unit_rows(4, 6).astype(np.float16)
    rows = np.array([0, 1, 1, 0]) if shared else np.arange(4)
    save_file({"embeddings": vectors} | ({"mapping": rows} if shared else {}), tmp_path / "model.safetensors")
    found = read(tmp_path)
    assert found.words == list(tokens.values())
    np.testing.assert_array_equal(found.vectors, vectors[rows[list(tokens)]].astype(np.float32))


def test_an_encoder_is_refused_with_what_it_is_for(tmp_path: Path) -> None:
    save_encoder(tmp_path, pooling=False)
    with pytest.raises(VectorFileError, match=r"embeddings.*not a model2vec model; .*training\.model=distilled"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ({"embeddings": np.zeros((3, 6), np.float32)}, "3 vectors, but .*tokenizer.json has a token with the number 3"),
        ({"embeddings": np.ones((4, 6), np.float32), "mapping": np.arange(1, 5)}, "does not fit its mapping"),
        ({"embeddings": np.ones(4, np.float32)}, r"shape \(4,\), which does not fit"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(
    damage: dict[str, np.ndarray], reason: str, tmp_path: Path
) -> None:
    folder = written(tmp_path / "model", sample(["a", "b", "c", "d"]))
    save_file(damage, folder / "model.safetensors")
    with pytest.raises(VectorFileError, match=reason):
        read(folder)


@pytest.mark.parametrize("content", ["{", "[]", '{"model": {}}', '{"model": {"vocab": {"a": "x"}}}'])
def test_a_damaged_tokenizer_is_named(content: str, tmp_path: Path) -> None:
    folder = written(tmp_path / "model", sample(["a", "b"]))
    (folder / "tokenizer.json").write_text(content)
    with pytest.raises(VectorFileError, match=r"its tokenizer .*tokenizer\.json cannot be read"):
        read(folder)


def test_a_folder_without_a_tokenizer_is_named(tmp_path: Path) -> None:
    folder = written(tmp_path / "model", sample(["a", "b"]))
    (folder / "tokenizer.json").unlink()
    with pytest.raises(VectorFileError, match=r"its folder has no tokenizer\.json"):
        find_vectors(folder, VectorFormat.MODEL2VEC)
