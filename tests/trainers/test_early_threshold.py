"""Thresholds and windows that change over the epochs: their values, and the pairs that each backend trains."""

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


@pytest.mark.parametrize(("epochs", "early"), [(1, 0), (2, 1), (3, 1), (5, 3), (10, 6)])
def test_three_fifths_of_the_epochs_are_early(epochs: int, early: int) -> None:
    assert SkipGramConfig(epochs=epochs).early_epochs == early
    assert SkipGramConfig(epochs=epochs, early_threshold_fraction=1.0).early_epochs == 0


def test_families_that_were_not_measured_keep_threshold_and_windows() -> None:
    assert FastTextConfig().early_epochs == 0
    assert not FastTextConfig().narrowing_windows
    assert SkipGramConfig().narrowing_windows is None
    assert SkipGramConfig().finish_with_cbow is None
    assert not CbowConfig().narrowing_windows


@pytest.mark.parametrize(
    ("epochs", "radius", "radii"),
    [(1, 5, [5]), (2, 5, [10, 5]), (3, 5, [10, 5, 5]), (5, 5, [10, 10, 10, 5, 5]), (4, 1, [2, 2, 1, 1])],
)
def test_windows_are_wide_in_three_fifths_of_the_epochs(epochs: int, radius: int, radii: list[int]) -> None:
    config = SkipGramConfig(epochs=epochs, window_radius=radius, narrowing_windows=True)
    assert [config.window_radius_in(epoch) for epoch in range(epochs)] == radii
    assert config.largest_window_radius == max(radii)
    constant = config.model_copy(update={"narrowing_windows": False})
    assert {constant.window_radius_in(epoch) for epoch in range(epochs)} == {radius}


def text() -> tuple[ArrayTokenSource, Vocabulary]:
    random = np.random.default_rng(7)
    tokens = random.choice(50, size=20_000, p=np.arange(50, 0, -1) / 1275).astype(np.int32)
    counts = np.bincount(tokens, minlength=50)
    order = np.argsort(-counts, kind="stable")
    tokens, counts = np.argsort(order)[tokens].astype(np.int32), counts[order]
    vocabulary = Vocabulary(counts, keep_probability(counts, 1e-2), noise_probability(counts, 0.75))
    return ArrayTokenSource(np.split(tokens, 400)), vocabulary


def pairs(source: ArrayTokenSource, words: Vocabulary, backend: str, **changes: object) -> list[int]:
    """The positive pairs of each of three epochs."""
    base = {"dimension": 8, "workers": 1, "epochs": 3, "backend": backend, "device": "cpu", "learning_rate": 0.001}
    config = SkipGramConfig.model_validate(base | changes)
    return [step.epoch_result.pairs for step in train(source, words, config) if step.epoch_result]


@pytest.mark.parametrize("backend", ["numba", "torch"])
def test_early_epochs_train_the_pairs_of_the_lower_threshold(backend: str) -> None:
    source, words = text()
    lower = replace(words, keep_probability=keep_probability(words.counts, 1e-3))
    expected = [pairs(source, lower, backend, early_threshold_fraction=1)[0]]
    expected += pairs(source, words, backend, early_threshold_fraction=1)[1:]
    assert pairs(source, words, backend, early_threshold_fraction=0.1) == expected


@pytest.mark.parametrize("backend", ["numba", "torch"])
def test_each_epoch_trains_the_pairs_of_its_windows(backend: str) -> None:
    source, words = text()
    expected = [
        pairs(source, words, backend, narrowing_windows=False, window_radius=radius)[epoch]
        for epoch, radius in enumerate([10, 5, 5])
    ]
    assert pairs(source, words, backend) == expected
