"""GloVe's stages on real text: counted once, refused before they start, killed, resumed and continued."""

import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from storage.errors import TrainingError
from storage.layout import Workspace
from storage.models.matrices import CHECKPOINT, read_matrices, read_optimizer, read_vectors
from storage.releases.start_vectors import StartPoint
from storage.stages import Manifest
from tasks.cooccurrences import cooccurrence_stage, count_cooccurrences
from tasks.corpus import fetch_corpus
from tasks.corpus_config import CorpusConfig
from tasks.text.tokenizers import TokenizerConfig
from tasks.text.vocabulary import VocabularyConfig
from tasks.tokens import tokenize_corpus
from tasks.trainers.config import GloveConfig
from tasks.training import train_vectors, training_stage
from tasks.vocabulary import EncodedFacts, VocabularyFacts, build_vocabulary, encode_corpus
from tests.processes import quick_processes

CONFIG = GloveConfig(dimension=16, epochs=3, workers=1)
Prepared = tuple[Manifest[EncodedFacts], Manifest[VocabularyFacts]]


def prepare(config: CorpusConfig, workspace: Workspace) -> Prepared:
    tokens = tokenize_corpus.fn(fetch_corpus.fn(config, workspace), TokenizerConfig(), workspace)
    vocabulary = build_vocabulary.fn(tokens, VocabularyConfig(), workspace)
    return encode_corpus.fn(tokens, vocabulary, workspace), vocabulary


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="module")
def prepared(news_file: Path, workspace: Workspace) -> Prepared:
    return prepare(CorpusConfig(source="files", path=str(news_file)), workspace)


def test_counts_are_reused_when_only_training_settings_change(prepared: Prepared, workspace: Workspace) -> None:
    first = count_cooccurrences.fn(*prepared, CONFIG, workspace)
    others = {"x_max": 3.0, "seed": 2, "dimension": 8, "epochs": 1, "workers": 2, "cooccurrence_megabytes": 1}
    other = CONFIG.model_copy(update=others)
    again = count_cooccurrences.fn(*prepared, other, workspace)
    assert again.reused
    assert again.digest == first.digest
    budget = CONFIG.model_copy(update={"cooccurrence_megabytes": 1, "cooccurrence_disk_megabytes": 5})
    digests = [training_stage(*prepared, config, None, first).digest for config in (CONFIG, budget, other)]
    assert digests[0] == digests[1] != digests[2]
    wider = CONFIG.model_copy(update={"window_radius": 11})
    assert cooccurrence_stage(*prepared, wider).digest != first.digest


def test_a_megabyte_of_memory_counts_the_same_bits(prepared: Prepared, workspace: Workspace, tmp_path: Path) -> None:
    whole = count_cooccurrences.fn(*prepared, CONFIG, workspace)
    small = CONFIG.model_copy(update={"cooccurrence_megabytes": 1, "workers": 2})
    spilled = count_cooccurrences.fn(*prepared, small, Workspace(tmp_path))
    assert spilled.facts.spilled > 1.5 * spilled.facts.pairs
    assert spilled.files == whole.files


def test_a_corpus_too_large_for_the_disk_is_refused_before_counting(prepared: Prepared, tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"cooccurrence_disk_megabytes": 1})
    with pytest.raises(TrainingError, match=r"may need \d+ MB of disk.*_megabytes is 1; lower vocabulary\.max_size"):
        count_cooccurrences.fn(*prepared, config, Workspace(tmp_path))


def test_a_backend_without_glove_is_refused_before_counting(prepared: Prepared, tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"backend": "torch"})
    with pytest.raises(TrainingError, match=r"torch cannot run here: it trains skip_gram and cbow, .* is glove"):
        count_cooccurrences.fn(*prepared, config, Workspace(tmp_path))
    assert not (tmp_path / "cooccurrences").exists()


def test_documents_of_one_word_have_no_cooccurrences(tmp_path: Path) -> None:
    text = tmp_path / "words.txt"
    text.write_text("one\ntwo\n" * 10)
    encoded = prepare(CorpusConfig(source="files", path=str(text)), Workspace(tmp_path))
    with pytest.raises(TrainingError, match="no two words of the vocabulary occur in the same document"):
        count_cooccurrences.fn(*encoded, CONFIG, Workspace(tmp_path))


def test_the_sum_is_published_and_a_warm_start_continues_with_biases(prepared: Prepared, workspace: Workspace) -> None:
    counts = count_cooccurrences.fn(*prepared, CONFIG, workspace)
    model = train_vectors.fn(*prepared, CONFIG, workspace, None, counts)
    centers, contexts = read_matrices(model.path)
    np.testing.assert_array_equal(read_vectors(model.path, "sum"), centers + contexts)
    assert read_optimizer(model.path).keys() == {"center_biases", "context_biases"}
    start = StartPoint(model.digest, model.path, model.path, prepared[1].path, "glove")
    one = CONFIG.model_copy(update={"epochs": 1})
    continued = train_vectors.fn(*prepared, one, workspace, start, counts)
    assert continued.facts.epochs[0].mean_loss < 0.85 * model.facts.epochs[0].mean_loss
    without_model = StartPoint("x", model.path, None, None, "glove")
    other_family = StartPoint("y", model.path, model.path, prepared[1].path, "skip_gram")
    for refused, reason in ((without_model, "no longer in the workspace"), (other_family, "it is skip_gram")):
        with pytest.raises(TrainingError, match=rf"{reason}.*training\.start_from=none"):
            train_vectors.fn(*prepared, one, workspace, refused, counts)


def train(encoded: Manifest[EncodedFacts], vocabulary: Manifest[VocabularyFacts], workspace: Workspace) -> None:
    counts = count_cooccurrences.fn(encoded, vocabulary, LONG, workspace)
    train_vectors.fn(encoded, vocabulary, LONG, workspace, None, counts)


LONG = GloveConfig(dimension=100, epochs=60, workers=1, checkpoint_every_seconds=0.1)


@pytest.mark.long
def test_kills_at_random_moments_change_no_bit(news_file: Path, tmp_path: Path) -> None:
    """The first kills hit the counting, the others the training."""
    workspace = Workspace(tmp_path)
    prepared = prepare(CorpusConfig(source="files", path=str(news_file)), workspace)
    undisturbed = Workspace(tmp_path / "whole")
    counts = count_cooccurrences.fn(*prepared, LONG, undisturbed)
    whole = train_vectors.fn(*prepared, LONG, undisturbed, None, counts)
    stage = training_stage(*prepared, LONG, None, counts)
    checkpoint = workspace.partial_folder(stage.kind, stage.digest) / CHECKPOINT
    moments = random.Random(1)
    for kill in range(6):
        before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        process = quick_processes().Process(target=train, args=(*prepared, workspace))
        process.start()
        partial = workspace.partial_folder("cooccurrences", counts.digest)
        while process.is_alive() and not (partial.exists() if kill < 2 else checkpoint.exists()):
            time.sleep(0.001)
        while kill > 2 and process.is_alive() and checkpoint.stat().st_mtime_ns == before:
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 0.1))
        assert process.pid
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert process.exitcode == -signal.SIGKILL, "training ended before it was killed; give it more epochs"
    again = count_cooccurrences.fn(*prepared, LONG, workspace)
    assert again.files == counts.files
    resumed = train_vectors.fn(*prepared, LONG, workspace, None, again)
    np.testing.assert_array_equal(read_vectors(resumed.path, "sum"), read_vectors(whole.path, "sum"))
