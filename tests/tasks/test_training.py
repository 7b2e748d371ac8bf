"""The training stage on real text: interrupted, resumed, diverged, reused."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from storage.corpus.vocabularies import read_vocabulary
from storage.errors import ReleaseError, TrainingError
from storage.layout import Workspace
from storage.models.matrices import CHECKPOINT, read_checkpoint, read_vectors, write_vectors
from storage.releases.file import ReleaseContent
from storage.releases.publishing import publish_release
from storage.releases.start_vectors import StartPoint, find_start
from storage.stages import Manifest, find_stage
from tasks.corpus import fetch_corpus
from tasks.corpus_config import CorpusConfig
from tasks.progress import listening
from tasks.text.tokenizers import TokenizerConfig
from tasks.text.vocabulary import VocabularyConfig
from tasks.tokens import tokenize_corpus
from tasks.trainers.config import CbowConfig, SkipGramConfig, TrainingConfig
from tasks.training import train_vectors, training_stage
from tasks.vocabulary import EncodedFacts, VocabularyFacts, build_vocabulary, encode_corpus
from tests.storage.sample_releases import provenance

SMALL = SkipGramConfig(dimension=16, epochs=3, workers=1)
Prepared = tuple[Manifest[EncodedFacts], Manifest[VocabularyFacts]]
Stages = tuple[Manifest[EncodedFacts], Manifest[VocabularyFacts], Workspace]


@pytest.fixture(scope="module")
def prepared(news_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    workspace = Workspace(tmp_path_factory.mktemp("prepared"))
    corpus = fetch_corpus.fn(CorpusConfig(source="files", path=str(news_file)), workspace)
    tokens = tokenize_corpus.fn(corpus, TokenizerConfig(), workspace)
    vocabulary = build_vocabulary.fn(tokens, VocabularyConfig(), workspace)
    return encode_corpus.fn(tokens, vocabulary, workspace), vocabulary


class RecordingListener:
    """Keeps what it hears, and can act as a user who presses Ctrl-C."""

    def __init__(self, interrupt_at: float = float("inf")) -> None:
        self.heard: list[int] = []
        self.total = 0
        self.ended = False
        self._interrupt_at = interrupt_at

    def started(self, what: str, total: int, unit: str) -> None:
        assert (what, unit) == ("training", "words")
        self.total = total

    def advanced(self, done: int) -> None:
        self.heard.append(done)
        if done >= self._interrupt_at * self.total:
            raise KeyboardInterrupt

    def finished(self) -> None:
        self.ended = True


def test_progress_reaches_the_total(prepared: Prepared, tmp_path: Path) -> None:
    listener = RecordingListener()
    with listening(listener):
        manifest = train_vectors.fn(*prepared, SMALL, Workspace(tmp_path))
    assert listener.heard == sorted(listener.heard)
    assert listener.heard[-1] == listener.total == prepared[1].facts.corpus_tokens * 3
    assert listener.ended
    assert [epoch.epoch for epoch in manifest.facts.epochs] == [1, 2, 3]
    assert read_vectors(manifest.path).shape == (prepared[1].facts.words, 16)


def test_an_interrupted_training_goes_on_and_ends_with_the_same_bits(prepared: Prepared, tmp_path: Path) -> None:
    whole = train_vectors.fn(*prepared, SMALL, Workspace(tmp_path / "whole"))
    workspace = Workspace(tmp_path / "interrupted")
    stage = training_stage(*prepared, SMALL)
    with listening(RecordingListener(interrupt_at=0.5)), pytest.raises(KeyboardInterrupt):
        train_vectors.fn(*prepared, SMALL, workspace)
    assert find_stage(workspace, stage) is None
    checkpoint = read_checkpoint(workspace.partial_folder(stage.kind, stage.digest))
    assert checkpoint is not None
    assert checkpoint.progress["state"]["epoch"] >= 1
    listener = RecordingListener()
    with listening(listener):
        resumed = train_vectors.fn(*prepared, SMALL, workspace)
    assert listener.heard[0] > listener.total // 3
    np.testing.assert_array_equal(read_vectors(resumed.path), read_vectors(whole.path))
    assert not (resumed.path / CHECKPOINT).exists()
    assert [epoch.epoch for epoch in resumed.facts.epochs] == [1, 2, 3]


def test_vectors_that_diverge_are_named_with_a_remedy(prepared: Prepared, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    config = SMALL.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(TrainingError, match=r"epoch 1.*learning_rate"):
        train_vectors.fn(*prepared, config, workspace)
    assert find_stage(workspace, training_stage(*prepared, config)) is None


def test_the_checkpoint_interval_does_not_change_the_stage(
    prepared: Prepared,
) -> None:
    often = SMALL.model_copy(update={"checkpoint_every_seconds": 1.0})
    assert training_stage(*prepared, often).digest == training_stage(*prepared, SMALL).digest


def test_a_warm_start_starts_with_the_vectors_of_a_release(
    prepared: Prepared, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """From the stages of the release come both matrices; from its file alone unit vectors."""
    workspace = Workspace(prepared[1].path.parent.parent)  # where the vocabulary of the release is too
    model = train_vectors.fn(*prepared, SMALL, workspace)
    words = read_vocabulary(prepared[1])
    some = slice(0, len(words.words) - 5)
    content = ReleaseContent(
        words.words[some], words.counts[some], read_vectors(model.path)[some], provenance("a-model-not-here")
    )
    release = publish_release(workspace, "news", content)
    whole = ReleaseContent(words.words, words.counts, read_vectors(model.path), provenance(model.digest))
    with_both = publish_release(workspace, "with-both", whole)
    starts = [find_start("previous", with_both, workspace), find_start(str(release.path), None, workspace)]
    for start, kept in zip(starts, (len(words.words), len(words.words) - 5), strict=True):
        assert start is not None
        with caplog.at_level("INFO", logger="tasks"):
            warm = train_vectors.fn(*prepared, SMALL.model_copy(update={"epochs": 1}), workspace, start)
        assert f"{kept} words kept, {len(words.words) - kept} new, 0 lost" in caplog.text
        assert warm.facts.epochs[0].mean_loss < model.facts.epochs[0].mean_loss
    assert starts[0] is not None
    assert starts[0].model == model.path
    # A distilled model has center vectors alone.
    distilled = tmp_path / "distilled"
    distilled.mkdir()
    write_vectors(distilled, read_vectors(model.path), np.zeros((len(words.words), 0), np.float32))
    warm = train_vectors.fn(*prepared, SMALL, workspace, replace(starts[0], digest="distilled", model=distilled))
    assert warm.facts.epochs[0].mean_loss < model.facts.epochs[0].mean_loss
    assert with_both.version == 1
    other = SMALL.model_copy(update={"dimension": 8})
    with pytest.raises(TrainingError, match=r"dimension 16, and training\.dimension is 8"):
        train_vectors.fn(*prepared, other, workspace, start)


def test_a_table_without_a_release_starts_from_random_vectors(tmp_path: Path) -> None:
    assert find_start(None, None, Workspace(tmp_path)) is None
    assert find_start("previous", None, Workspace(tmp_path)) is None
    with pytest.raises(ReleaseError, match=r"no such release file: .*none\.duckdb"):
        find_start("none.duckdb", None, Workspace(tmp_path))


@pytest.fixture
def threads() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


@pytest.mark.usefixtures("threads")
def test_an_interrupted_training_leaves_no_thread_behind(prepared: Prepared, tmp_path: Path) -> None:
    config = SMALL.model_copy(update={"workers": 2})
    with listening(RecordingListener(interrupt_at=0.1)), pytest.raises(KeyboardInterrupt):
        train_vectors.fn(*prepared, config, Workspace(tmp_path))


def test_a_retraining_from_the_previous_release_has_half_the_default_rate(prepared: Prepared) -> None:
    start = StartPoint("0", Path("v000001.duckdb"), None, None, "skip_gram")
    retrained = SMALL.model_copy(update={"start_from": "previous"})

    def rate(config: TrainingConfig, start: StartPoint | None) -> float:
        return float(training_stage(*prepared, config, start).config["learning_rate"])

    assert rate(retrained, start) == 0.025
    assert rate(retrained, None) == 0.05, "a first release starts from random vectors"
    assert rate(retrained.model_copy(update={"learning_rate": 0.04}), start) == 0.04
    assert rate(SMALL.model_copy(update={"start_from": "other.duckdb"}), start) == 0.05
    assert rate(CbowConfig(start_from="previous"), start) == 0.2
