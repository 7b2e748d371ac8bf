"""Small corpora with known structure, and ways to run the trainers on them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tasks.trainers.backends import train
from tasks.trainers.config import CbowConfig, SkipGramConfig
from tasks.trainers.interface import ArrayTokenSource, EpochResult, TrainingState, TrainingStep, Vocabulary

FloatMatrix = NDArray[np.float32]


def some_vocabulary(sentences: Sequence[NDArray[np.int32]], words: int, threshold: float | None = None) -> Vocabulary:
    """Counts of the sentences, unigram^0.75 noise, and subsampling as word2vec.c does it, or none."""
    counts = np.maximum(np.bincount(np.concatenate(sentences), minlength=words), 1)
    noise = counts**0.75
    keep = np.ones(words)
    if threshold is not None:
        ratio = threshold * counts.sum() / counts
        keep = np.minimum(1.0, np.sqrt(ratio) + ratio)
    return Vocabulary(counts, keep, noise / noise.sum())


def topic_sentences(
    topics: int, words_per_topic: int, sentences: int, length: int = 12, seed: int = 5
) -> list[NDArray[np.int32]]:
    """Sentences that each draw all their words from one topic: topic t has the ids t, t + topics, t + 2 * topics, …"""
    generator = np.random.default_rng(seed)
    return [
        (generator.integers(topics) + topics * generator.integers(words_per_topic, size=length)).astype(np.int32)
        for _ in range(sentences)
    ]


def run_training(
    source: ArrayTokenSource,
    vocabulary: Vocabulary,
    config: SkipGramConfig | CbowConfig,
    state: TrainingState | None = None,
) -> tuple[TrainingState, list[EpochResult]]:
    """Train to the end; the last state and the results of all epochs."""
    steps: list[TrainingStep] = list(train(source, vocabulary, config, state))
    return steps[-1].state, [step.epoch_result for step in steps if step.epoch_result]


def nearest_rows(vectors: FloatMatrix, count: int) -> NDArray[np.int64]:
    """(V, count) rows with the largest cosine to each row, itself left out."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -np.inf)
    return np.argsort(-cosine, axis=1)[:, :count]
