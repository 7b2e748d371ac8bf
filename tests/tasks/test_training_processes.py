"""Training over real processes, started by torch's launcher: the same bits as ranks in threads, and lost ranks."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil  # type: ignore[import-untyped]
import pytest
import torch

from storage.corpus.encoded import EncodedCorpus
from storage.corpus.vocabularies import read_vocabulary
from storage.errors import TrainingError
from storage.layout import Workspace
from storage.models.matrices import CHECKPOINT, read_vectors
from storage.stages import Manifest, find_stage
from tasks.checkpoints import processes_of_checkpoint
from tasks.corpus import fetch_corpus
from tasks.corpus_config import CorpusConfig
from tasks.progress import listening
from tasks.text.tokenizers import TokenizerConfig
from tasks.text.vocabulary import VocabularyConfig
from tasks.tokens import tokenize_corpus
from tasks.trainers.config import SkipGramConfig, training_config
from tasks.trainers.interface import Vocabulary
from tasks.trainers.processes.training import ShareTraining
from tasks.training import train_vectors, training_stage
from tasks.vocabulary import EncodedFacts, VocabularyFacts, build_vocabulary, encode_corpus
from tests.tasks.test_training import RecordingListener
from tests.trainers.processes.thread_group import ThreadGroup, run_ranks

SMALL = SkipGramConfig(
    dimension=16, epochs=3, workers=1, processes=2, backend="numba", narrowing_windows=True, finish_with_cbow=True
)
# Goes on for minutes, so that a test can interfere.
LONG = SMALL.model_copy(update={"epochs": 1000, "checkpoint_every_seconds": 0.2})
Prepared = tuple[Manifest[EncodedFacts], Manifest[VocabularyFacts]]


@pytest.fixture(scope="module")
def prepared(news_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    workspace = Workspace(tmp_path_factory.mktemp("prepared"))
    corpus = fetch_corpus.fn(CorpusConfig(source="files", path=str(news_file)), workspace)
    tokens = tokenize_corpus.fn(corpus, TokenizerConfig(), workspace)
    vocabulary = build_vocabulary.fn(tokens, VocabularyConfig(), workspace)
    return encode_corpus.fn(tokens, vocabulary, workspace), vocabulary


def test_two_processes_train_what_two_ranks_in_threads_train(prepared: Prepared, tmp_path: Path) -> None:
    encoded, vocabulary = prepared
    listener = RecordingListener()
    with listening(listener):
        manifest = train_vectors.fn(encoded, vocabulary, SMALL, Workspace(tmp_path))
    assert listener.heard == sorted(listener.heard)
    assert listener.heard[-1] == listener.total
    words = read_vocabulary(vocabulary.path)
    counts = Vocabulary(words.counts, words.keep_probability, words.noise_probability)

    def work(group: ThreadGroup) -> np.ndarray:
        # As torchrun does for each process: the rounding of products depends on the number of threads.
        torch.set_num_threads(1)
        config = SMALL.model_copy(update={"learning_rate": 0.05})
        return list(ShareTraining(EncodedCorpus(encoded.path), counts, config, group).steps())[-1].state.center_vectors

    np.testing.assert_array_equal(read_vectors(manifest.path), run_ranks(2, work)[0])
    facts = manifest.facts
    assert [epoch.epoch for epoch in facts.epochs] == [1, 2, 3]
    assert facts.processes is not None
    assert facts.processes.ranks == 2
    assert facts.processes.exchanged_bytes_per_word
    assert facts.processes.resumed_from is None
    assert not list(manifest.path.glob(f"*{CHECKPOINT}*"))


def test_one_process_has_the_digest_that_it_had_before_there_were_several(prepared: Prepared) -> None:
    alone = SMALL.model_copy(update={"processes": 1})
    stage = training_stage(*prepared, alone)
    assert not {"processes", "process_timeout_seconds", "exchange_version"} & set(stage.config)
    assert training_stage(*prepared, SMALL).digest != stage.digest
    patient = SMALL.model_copy(update={"process_timeout_seconds": 5.0})
    assert training_stage(*prepared, patient).digest == training_stage(*prepared, SMALL).digest


def test_what_cannot_train_over_processes_is_refused_with_a_reason(prepared: Prepared) -> None:
    for backend in ("torch",):
        with pytest.raises(TrainingError, match=r"training\.processes is 2"):
            training_stage(*prepared, SMALL.model_copy(update={"backend": backend}))
    for model in ("glove", "fasttext", "distilled"):
        with pytest.raises(ValueError, match="processes"):
            training_config({"model": model, "processes": 2})


def test_torchrun_with_another_number_of_processes_is_an_error(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(TrainingError, match=r"training\.processes=3"):
        train_vectors.fn(*prepared, SMALL, Workspace(tmp_path))


def ranks_below(process: psutil.Process) -> dict[int, int]:
    """Rank -> process id, of the running ranks that a process has started."""
    found = {}
    for child in process.children(recursive=True):
        try:
            if "tasks.training_rank" in child.cmdline() and "RANK" in child.environ():
                found[int(child.environ()["RANK"])] = child.pid
        except psutil.Error:
            continue
    return found


@pytest.fixture
def when_saved() -> Iterator[Callable[[Path, Callable[[], None]], None]]:
    """Do something as soon as a checkpoint is there."""
    threads = []

    def start(checkpoint: Path, act: Callable[[], None]) -> None:
        def wait() -> None:
            deadline = time.monotonic() + 120
            while not checkpoint.exists() and time.monotonic() < deadline:
                time.sleep(0.02)
            act()

        threads.append(threading.Thread(target=wait))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.join()


def checkpoint_of(prepared: Prepared, config: SkipGramConfig, workspace: Workspace) -> Path:
    stage = training_stage(*prepared, config)
    return workspace.partial_folder(stage.kind, stage.digest) / CHECKPOINT


@pytest.mark.long
@pytest.mark.parametrize("lost", [0, 1])
def test_a_killed_rank_is_named_and_three_ranks_go_on(
    lost: int, prepared: Prepared, tmp_path: Path, when_saved: Callable[[Path, Callable[[], None]], None]
) -> None:
    workspace = Workspace(tmp_path)
    checkpoint = checkpoint_of(prepared, LONG, workspace)
    when_saved(checkpoint, lambda: os.kill(ranks_below(psutil.Process())[lost], signal.SIGKILL))
    with pytest.raises(TrainingError, match=rf"rank {lost} of 2 \(process \d+\) was killed by SIGKILL.*resumes"):
        train_vectors.fn(*prepared, LONG, workspace)
    assert not ranks_below(psutil.Process())
    assert processes_of_checkpoint(checkpoint.parent) == 2
    if lost == 0:
        return
    stage = training_stage(*prepared, LONG.model_copy(update={"processes": 3}))
    with listening(RecordingListener(interrupt_at=0)), pytest.raises(KeyboardInterrupt):
        train_vectors.fn(*prepared, LONG.model_copy(update={"processes": 3}), workspace)
    assert processes_of_checkpoint(workspace.partial_folder(stage.kind, stage.digest)) == 3
    assert not checkpoint.exists()


@pytest.mark.long
def test_an_interrupted_training_saves_and_one_process_finishes_it(prepared: Prepared, tmp_path: Path) -> None:
    config = SMALL.model_copy(update={"epochs": 60})
    workspace = Workspace(tmp_path)
    with listening(RecordingListener(interrupt_at=0.2)), pytest.raises(KeyboardInterrupt):
        train_vectors.fn(*prepared, config, workspace)
    assert not ranks_below(psutil.Process())
    assert processes_of_checkpoint(checkpoint_of(prepared, config, workspace).parent) == 2
    assert find_stage(workspace, training_stage(*prepared, config)) is None

    alone = config.model_copy(update={"processes": 1})
    listener = RecordingListener()
    with listening(listener):
        finished = train_vectors.fn(*prepared, alone, workspace)
    assert listener.heard[0] >= 0.2 * listener.total
    assert [epoch.epoch for epoch in finished.facts.epochs] == list(range(1, 61))
    assert finished.facts.processes is not None
    assert (finished.facts.processes.ranks, finished.facts.processes.resumed_from) == (1, 2)


@pytest.mark.long
def test_a_divergence_in_a_process_names_the_remedy(prepared: Prepared, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"epoch 1.*learning_rate"):
        train_vectors.fn(
            *prepared, SMALL.model_copy(update={"learning_rate": 1.0, "dimension": 300}), Workspace(tmp_path)
        )
