"""What only a real GPU shows: concurrent kernels, short memory, and quality compared with the CPU."""

import copy
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from tasks.trainers.backends import available_backends, train
from tasks.trainers.config import SkipGramConfig
from tasks.trainers.interface import ArrayTokenSource, EpochResult, TrainingState, Vocabulary
from tests.trainers.corpora import nearest_rows, some_vocabulary, topic_sentences

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    pytest.mark.skipif(
        torch.cuda.is_available() and not available_backends()[0].available, reason=available_backends()[0].reason
    ),
]
TEXT8LIKE = Path(__file__).resolve().parents[3].parent / "shared/data/corpora/enwiki2015_text8like_100MB.txt.gz"
CONFIG = SkipGramConfig(dimension=128, epochs=3, learning_rate=0.025, backend="triton")
TOPICS = 20


@cache
def corpus() -> tuple[ArrayTokenSource, Vocabulary]:
    sentences = topic_sentences(topics=TOPICS, words_per_topic=100, sentences=50_000)
    return ArrayTokenSource(sentences), some_vocabulary(sentences, 2000, threshold=1e-3)


def run(config: SkipGramConfig, state: TrainingState | None = None) -> tuple[TrainingState, list[EpochResult]]:
    steps = list(train(*corpus(), config, state))
    return steps[-1].state, [step.epoch_result for step in steps if step.epoch_result]


@pytest.mark.parametrize("dimension", [50, 128, 300])
def test_topics_become_neighbors_at_the_loss_of_the_cpu_trainer(dimension: int) -> None:
    pytest.importorskip("numba")
    config = CONFIG.model_copy(update={"dimension": dimension})
    state, results = run(config)
    neighbors = nearest_rows(state.center_vectors, 5)
    assert (neighbors % TOPICS == (np.arange(2000) % TOPICS)[:, None]).mean() > 0.95
    _, on_cpu = run(config.model_copy(update={"backend": "numba"}))
    for own, other in zip(results, on_cpu, strict=True):
        assert own.pairs == pytest.approx(other.pairs, rel=0.01)
        assert own.mean_loss == pytest.approx(other.mean_loss, rel=0.05)


@pytest.mark.parametrize("in_flight", [16, 1024, 4096])
def test_more_centers_in_flight_end_at_a_finite_loss(in_flight: int) -> None:
    _, results = run(CONFIG.model_copy(update={"centers_in_flight": in_flight}))
    losses = [result.mean_loss for result in results]
    assert losses == sorted(losses, reverse=True)


def test_a_resumed_run_trains_the_same_pairs() -> None:
    _, whole = run(CONFIG)
    steps = train(*corpus(), CONFIG, resumable_every_seconds=0)
    stopped = copy.deepcopy(next(step.state for step in steps if step.resumable))
    _, resumed = run(CONFIG, stopped)
    assert [result.pairs for result in resumed] == [result.pairs for result in whole[-len(resumed) :]]
    assert resumed[-1].mean_loss == pytest.approx(whole[-1].mean_loss, rel=0.02)


def test_a_full_gpu_is_reported_with_needed_and_free_memory() -> None:
    torch.cuda.empty_cache()
    held = torch.empty(torch.cuda.mem_get_info()[0] - (100 << 20), dtype=torch.uint8, device="cuda")
    try:
        with pytest.raises(MemoryError, match=r"too little memory on .* GB needed .* GB free; set training.backend"):
            run(CONFIG)
    finally:
        del held
        torch.cuda.empty_cache()


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.skipif(not TEXT8LIKE.exists(), reason="the text8-like corpus of the data folder is not there")
def test_quality_on_real_text_is_that_of_the_cpu_trainer(tmp_path: Path) -> None:
    pytest.importorskip("numba")
    corpora = pytest.importorskip("benchmarks.corpora")
    trainers = pytest.importorskip("benchmarks.trainers")
    evaluate_quality = pytest.importorskip("benchmarks.quality").evaluate_quality
    text = corpora.load_corpus(TEXT8LIKE, tmp_path)
    means = {}
    for backend in ("triton", "numba"):
        scores = []
        for seed in (1, 2, 3):
            settings = trainers.BenchmarkSettings(backend=backend, epochs=4, seed=seed)
            scores.append(evaluate_quality(trainers.train_vecmill(text, settings).vectors))
        means[backend] = {name: np.mean([score[name] for score in scores]) for name in scores[0]}
    for name, largest_drop in (("wordsim353", 0.01), ("simlex999", 0.01), ("google_analogies", 0.01)):
        assert means["triton"][name] > means["numba"][name] - largest_drop
