"""The lower subsampling threshold of the first epochs: its probabilities, and the words that each backend trains."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.text.vocabulary import keep_probability, noise_probability
from tasks.trainers.backends import train
from tasks.trainers.config import CbowConfig, FastTextConfig, SkipGramConfig
from tasks.trainers.interface import ArrayTokenSource, Vocabulary
from tasks.trainers.sampling import keep_probabilities


def vocabulary_of(counts: list[int], threshold: float) -> Vocabulary:
    ordered = np.array(sorted(counts, reverse=True), np.int64)
    return Vocabulary(ordered, keep_probability(ordered, threshold), noise_probability(ordered, 0.75))


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=30), st.floats(1e-6, 1.0), st.floats(0.01, 1.0))
def test_the_early_probabilities_are_those_of_the_lower_threshold(
    counts: list[int], threshold: float, fraction: float
) -> None:
    vocabulary = vocabulary_of(counts, threshold)
    early, late = keep_probabilities(vocabulary, SkipGramConfig(early_threshold_fraction=fraction))
    np.testing.assert_array_equal(late, vocabulary.keep_probability)
    if late[0] < 1.0:
        np.testing.assert_allclose(early, keep_probability(vocabulary.counts, threshold * fraction), rtol=1e-9)
    else:
        np.testing.assert_array_equal(early, late)


@pytest.mark.parametrize(("epochs", "early"), [(1, 0), (2, 0), (3, 1), (5, 2), (10, 4)])
def test_two_fifths_of_the_epochs_are_early(epochs: int, early: int) -> None:
    assert SkipGramConfig(epochs=epochs).early_epochs == early
    assert SkipGramConfig(epochs=epochs, early_threshold_fraction=1.0).early_epochs == 0


def test_cbow_and_fasttext_keep_one_threshold_by_default() -> None:
    assert CbowConfig(model="cbow").early_epochs == FastTextConfig(model="fasttext").early_epochs == 0


@pytest.mark.parametrize("backend", ["numba", "torch"])
def test_early_epochs_train_the_pairs_of_the_lower_threshold(backend: str) -> None:
    random = np.random.default_rng(7)
    tokens = random.choice(50, size=20_000, p=np.arange(50, 0, -1) / 1275).astype(np.int32)
    counts = np.bincount(tokens, minlength=50)
    order = np.argsort(-counts, kind="stable")
    tokens, counts = np.argsort(order)[tokens].astype(np.int32), counts[order]
    vocabulary = Vocabulary(counts, keep_probability(counts, 1e-2), noise_probability(counts, 0.75))
    source = ArrayTokenSource(np.split(tokens, 400))
    base = {"dimension": 8, "workers": 1, "epochs": 3, "backend": backend, "device": "cpu", "learning_rate": 0.001}

    def pairs(words: Vocabulary, fraction: float) -> list[int]:
        config = SkipGramConfig.model_validate(base | {"early_threshold_fraction": fraction})
        return [step.epoch_result.pairs for step in train(source, words, config) if step.epoch_result]

    lower = replace(vocabulary, keep_probability=keep_probability(counts, 1e-3))
    assert pairs(vocabulary, 0.1) == [pairs(lower, 1.0)[0], *pairs(vocabulary, 1.0)[1:]]
