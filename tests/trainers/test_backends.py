"""Choosing a backend, and what the reference and the fast backend agree on."""

import os
import subprocess
import sys

import numpy as np
import pytest

from tasks.trainers import backends
from tasks.trainers.backends import (
    BackendStatus,
    available_backends,
    resolve_backend,
    resolve_config,
    resolve_workers,
)
from tasks.trainers.config import CbowConfig, SkipGramConfig
from tasks.trainers.interface import ArrayTokenSource
from tests.trainers.corpora import nearest_rows, run_training, some_vocabulary, topic_sentences

CONFIG = SkipGramConfig(dimension=16, window_radius=3, epochs=4, workers=1)


def without_numba() -> BackendStatus:
    return BackendStatus("numba", False, "the package numba is not installed")


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Choose as on a machine without a GPU."""
    monkeypatch.setattr(backends, "obstacle", lambda: "no CUDA device")


@pytest.mark.usefixtures("no_gpu")
def test_auto_takes_numba_and_all_cores() -> None:
    assert resolve_backend(SkipGramConfig()) == "numba"
    assert resolve_workers(SkipGramConfig()) == len(os.sched_getaffinity(0))
    assert resolve_workers(SkipGramConfig(workers=7)) == 7
    resolved = resolve_config(SkipGramConfig())
    assert isinstance(resolved, SkipGramConfig)
    assert (resolved.backend, resolved.device, resolved.workers) == ("numba", "cpu", len(os.sched_getaffinity(0)))
    assert [status.name for status in available_backends()] == ["triton", "numba", "torch"]


def test_auto_falls_back_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    _, numba, torch = backends.BACKENDS
    missing = backends.Backend("numba", without_numba, numba.loaders)
    monkeypatch.setattr(backends, "BACKENDS", (missing, torch))
    assert resolve_backend(SkipGramConfig()) == "torch"
    with pytest.raises(ValueError, match="numba cannot run here: the package numba is not installed"):
        resolve_backend(SkipGramConfig(backend="numba"))
    monkeypatch.setattr(backends, "BACKENDS", (missing,))
    with pytest.raises(ValueError, match="no training backend can run here"):
        resolve_backend(SkipGramConfig())


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize(("backend", "default"), [("numba", 0.05), ("torch", 0.002)])
@pytest.mark.parametrize("asked", [None, 0.002])
def test_the_learning_rate_is_the_one_that_is_set_else_the_trainers_own(
    backend: str, default: float, asked: float | None
) -> None:
    changes = {"backend": backend, "learning_rate": asked, "final_rate_fraction": 1.0, "finish_with_cbow": False}
    config = CONFIG.model_copy(update=changes)
    sentences = topic_sentences(topics=2, words_per_topic=5, sentences=20)
    _, results = run_training(ArrayTokenSource(sentences), some_vocabulary(sentences, 10), config)
    rate = asked or default
    resolved = resolve_config(config)
    assert isinstance(resolved, SkipGramConfig)
    assert resolved.learning_rate == rate
    assert [result.learning_rate for result in results] == pytest.approx([rate] * 4)


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("backend", ["auto", "numba", "torch"])
def test_an_unknown_model_is_refused_and_not_trained_as_skip_gram(backend: str) -> None:
    config = CONFIG.model_copy(update={"backend": backend, "model": "elmo"})
    with pytest.raises(ValueError, match=r"skip_gram and cbow.*, and training\.model is elmo"):
        resolve_config(config)
    for status in backends.BACKENDS:
        if status.name == "triton":
            continue
        sentences = topic_sentences(topics=2, words_per_topic=5, sentences=20)
        with pytest.raises(ValueError, match="not elmo"):
            next(status.loaders["skip_gram"]()(ArrayTokenSource(sentences), some_vocabulary(sentences, 10), config))


# A small corpus has only 10 steps of Adam an epoch, so these are large.
@pytest.mark.parametrize(("backend", "learning_rate"), [("numba", 0.05), ("torch", 0.02)])
def test_both_backends_find_the_neighbors_of_a_topic(backend: str, learning_rate: float) -> None:
    sentences = topic_sentences(topics=4, words_per_topic=10, sentences=400)
    config = CONFIG.model_copy(update={"backend": backend, "epochs": 8, "learning_rate": learning_rate})
    state, results = run_training(ArrayTokenSource(sentences), some_vocabulary(sentences, 40), config)
    neighbors = nearest_rows(state.center_vectors, 5)
    assert (neighbors % 4 == (np.arange(40) % 4)[:, None]).mean() > 0.95
    # Vectors that separate topics have logits of log(4 / 5) within a topic, and 1.2 of 5 noise words fall into it;
    # early epochs and noise that is dropped rather than drawn again move the mean a little.
    assert results[-1].mean_loss == pytest.approx(0.81 + 1.2 * 0.59, abs=0.12)


@pytest.mark.parametrize(("backend", "learning_rate", "epochs"), [("numba", 0.4, 12), ("torch", 0.032, 5)])
def test_both_backends_find_the_neighbors_of_a_topic_by_cbow(backend: str, learning_rate: float, epochs: int) -> None:
    sentences = topic_sentences(topics=4, words_per_topic=10, sentences=400)
    changes = {"model": "cbow", "backend": backend, "epochs": epochs, "learning_rate": learning_rate}
    of_skip_gram = {"centers_in_flight", "finish_with_cbow"}
    config = CbowConfig.model_validate(CONFIG.model_dump(exclude=of_skip_gram) | changes)
    source = ArrayTokenSource(sentences)
    state, results = run_training(source, some_vocabulary(sentences, 40), config)
    neighbors = nearest_rows(state.center_vectors, 5)
    assert (neighbors % 4 == (np.arange(40) % 4)[:, None]).mean() > 0.95
    # One window for each word of the text.
    assert results[-1].pairs == source.token_count
    assert results[-1].mean_loss == pytest.approx(0.81 + 1.2 * 0.59, abs=0.2)


def test_the_reference_is_reproducible_and_resumes_after_an_epoch() -> None:
    sentences = topic_sentences(topics=3, words_per_topic=8, sentences=60)
    source, vocabulary = ArrayTokenSource(sentences, 200), some_vocabulary(sentences, 24, threshold=0.02)
    config = CONFIG.model_copy(update={"backend": "torch", "epochs": 3, "device": "cpu"})
    whole, _ = run_training(source, vocabulary, config)
    stopped = next(step.state for step in backends.train(source, vocabulary, config) if step.resumable)
    assert stopped.epoch == 1
    resumed, _ = run_training(source, vocabulary, config, stopped)
    np.testing.assert_array_equal(resumed.center_vectors, whole.center_vectors)
    np.testing.assert_array_equal(resumed.context_vectors, whole.context_vectors)


def test_the_reference_refuses_to_resume_within_an_epoch() -> None:
    sentences = topic_sentences(topics=3, words_per_topic=8, sentences=60)
    source, vocabulary = ArrayTokenSource(sentences, 200), some_vocabulary(sentences, 24)
    state = next(backends.train(source, vocabulary, CONFIG)).state
    assert state.next_chunk
    with pytest.raises(ValueError, match="only at the end of an epoch"):
        run_training(source, vocabulary, CONFIG.model_copy(update={"backend": "torch"}), state)


def test_cuda_that_is_not_there_is_refused() -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    with pytest.raises(ValueError, match="no CUDA device; use cpu or auto"):
        resolve_config(SkipGramConfig(backend="torch", device="cuda"))


def test_importing_the_backends_loads_no_heavy_library() -> None:
    code = (
        "import sys, tasks.trainers.backends as b; b.available_backends(); print({'numba', 'torch'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
