"""The vector code of a window against the same formulas in NumPy, and the random draws against what they should be."""

from typing import Any

import numpy as np
import pytest
from numba import njit
from numpy.typing import NDArray
from scipy.special import expit, log_expit
from scipy.stats import chisquare

from tasks.trainers.config import WindowConfig, training_config
from tasks.trainers.cpu.kernel import (
    Copies,
    Radii,
    Rates,
    _aligned_floats,
    _copy_rows,
    _draw_outputs,
    _exchange_rows,
    _random_bits,
    _settle_losses,
    train_chunk,
)
from tasks.trainers.cpu.vector_code import LANES, ROW_MULTIPLE
from tasks.trainers.cpu.window_code import (
    INPUT_BLOCK,
    OUTPUTS_IN_REGISTERS,
    grouped_blocks,
    output_blocks,
    window_gradients,
    window_update,
)
from tasks.trainers.sampling import alias_table, probability_thresholds
from tests.trainers.cpu.plain_word2vec import PlainTrainer

Floats = NDArray[np.float32]


@njit
def train_window(centers: Any, inputs: Any, contexts: Any, outputs: Any, slots: Any, rate: Any, blocks: Any) -> Any:
    """Run both passes of one window; returns its loss and gradients."""
    gradients = _aligned_floats(LANES * blocks * len(inputs))
    old = _aligned_floats(LANES * len(inputs))
    losses = _aligned_floats(2 * LANES * blocks)
    losses[:] = 1.0
    _settle_losses(losses)
    window_gradients(centers, inputs, 0, len(inputs), contexts, outputs, slots, np.float32(rate), gradients, losses)
    # What is prefetched changes nothing.
    window_update(
        centers, inputs, 0, len(inputs), contexts, outputs, slots, gradients, old, outputs, centers, inputs[0]
    )
    return _settle_losses(losses), gradients


@njit
def draw_noise(word: Any, times: Any, noise_thresholds: Any, noise_aliases: Any, stride: Any) -> Any:
    drawn = np.empty((times, 6), np.int64)
    for time in range(times):
        _draw_outputs(drawn[time], word, time, np.uint64(3), noise_thresholds, noise_aliases, stride, Copies(0, 0))
    return drawn // stride


@njit
def draw_bits(times: Any) -> Any:
    bits = np.empty(times, np.uint64)
    for time in range(times):
        bits[time] = _random_bits(np.uint64(11), time)
    return bits


def aligned(values: Floats) -> Floats:
    """A copy with padded rows, as the trainer makes them."""
    width = -(-values.shape[1] // ROW_MULTIPLE) * ROW_MULTIPLE
    buffer: Floats = _aligned_floats(len(values) * width)
    padded = buffer.reshape(len(values), width)
    padded[:] = 0
    padded[:, : values.shape[1]] = values
    return padded


@pytest.mark.parametrize("dimension", [8, 50, 100, 300])
@pytest.mark.parametrize("negatives", [1, 2, 3, 5, 7, 10, 25])
@pytest.mark.parametrize("count", [1, 2, 5, 10])
def test_a_window_is_trained_as_the_formula_says(dimension: int, negatives: int, count: int) -> None:
    generator = np.random.default_rng(dimension * 100 + negatives * 10 + count)
    before_in, before_out = generator.normal(0, 0.3, (2, 40, dimension)).astype(np.float32)
    inputs = generator.choice(40, count, replace=False)
    outputs = generator.choice(40, negatives + 1, replace=False)
    centers, contexts = aligned(before_in), aligned(before_out)
    width = centers.shape[1]

    blocks = len(output_blocks(negatives + 1))
    slots = (0,) * (negatives + 1)
    loss, _ = train_window(centers, inputs * width, contexts, outputs * width, slots, 0.05, blocks)

    x = before_in[inputs].astype(float) @ before_out[outputs].astype(float).T
    labels = np.arange(negatives + 1) == 0
    gradient = 0.05 * (labels - expit(x))
    expected_in, expected_out = before_in.copy(), before_out.copy()
    expected_in[inputs] += (gradient @ before_out[outputs]).astype(np.float32)
    expected_out[outputs] += (gradient.T @ before_in[inputs]).astype(np.float32)
    np.testing.assert_allclose(centers[:, :dimension], expected_in, atol=2e-6)
    np.testing.assert_allclose(contexts[:, :dimension], expected_out, atol=2e-6)
    assert not centers[:, dimension:].any()
    assert not contexts[:, dimension:].any()
    assert loss == pytest.approx(-log_expit(np.where(labels, x, -x)).sum(), rel=1e-5)


def test_the_gradients_are_those_of_the_loss_by_finite_differences() -> None:
    generator = np.random.default_rng(5)
    before = generator.normal(0, 0.5, (2, 9, 16)).astype(np.float32)
    rows, outputs, rate = np.array([0, 2, 3]), np.array([4, 1, 7, 8]), 1e-3
    centers, contexts = aligned(before[0]), aligned(before[1])
    train_window(centers, rows * 16, contexts, outputs * 16, (0,) * 4, rate, len(output_blocks(4)))

    def loss(vectors: NDArray[np.float64]) -> float:
        x = vectors[0, rows] @ vectors[1, outputs].T
        return float(-log_expit(np.where(np.arange(4) == 0, x, -x)).sum())

    numeric = np.zeros(before.shape)
    for place in np.ndindex(before.shape):
        step = np.zeros(before.shape)
        step[place] = 1e-5
        numeric[place] = (loss(before + step) - loss(before - step)) / 2e-5
    moved = np.stack([centers, contexts]).astype(float) - before
    np.testing.assert_allclose(moved / -rate, numeric, atol=2e-4)


def test_a_noise_word_drawn_twice_gets_both_gradients() -> None:
    generator = np.random.default_rng(2)
    before_in, before_out = generator.normal(0, 0.3, (2, 9, 16)).astype(np.float32)
    inputs, outputs = np.array([0, 1, 2]), np.array([3, 4, 4])
    centers, contexts = aligned(before_in), aligned(before_out)
    train_window(centers, inputs * 16, contexts, outputs * 16, (0,) * 3, 0.1, len(output_blocks(3)))
    chance = expit(before_in[inputs] @ before_out[4])
    np.testing.assert_allclose(contexts[4], before_out[4] - 2 * 0.1 * chance @ before_in[inputs], atol=2e-6)


@pytest.mark.parametrize("size", [1e-4, 1.0, 20.0, 1000.0])
def test_the_loss_is_right_for_tiny_and_huge_logits(size: float) -> None:
    generator = np.random.default_rng(3)
    before_in, before_out = generator.normal(0, np.sqrt(size) / 4, (2, 20, 16)).astype(np.float32)
    inputs, outputs = np.arange(6), np.arange(6)
    x = before_in[inputs].astype(float) @ before_out[outputs].astype(float).T
    loss, _ = train_window(
        aligned(before_in), inputs * 16, aligned(before_out), outputs * 16, (0,) * 6, 0.05, len(output_blocks(6))
    )
    labels = np.arange(6) == 0
    assert loss == pytest.approx(-log_expit(np.where(labels, x, -x)).sum(), rel=1e-4)


def test_nan_reaches_the_loss() -> None:
    vectors = np.full((4, 16), np.nan, np.float32)
    zeros = np.zeros((4, 16), np.float32)
    rows = np.array([0, 16])
    loss, _ = train_window(aligned(vectors), rows, aligned(zeros), rows, (0,) * 2, 0.05, 1)
    assert np.isnan(loss)


def test_random_bits_are_uniform() -> None:
    bits = draw_bits(200_000)
    for shift in (0, 8, 24, 40, 56):
        counts = np.bincount(((bits >> np.uint64(shift)) & np.uint64(255)).astype(int), minlength=256)
        assert chisquare(counts).pvalue > 1e-4
    assert len(np.unique(bits)) == len(bits)


def test_noise_follows_its_probabilities_and_avoids_the_word() -> None:
    probability = np.arange(30.0, 0.0, -1.0) ** 0.75
    probability /= probability.sum()
    chances, aliases = alias_table(probability)
    drawn = draw_noise(4, 40_000, probability_thresholds(chances), aliases, ROW_MULTIPLE)
    assert (drawn[:, 0] == 4).all()
    expected = probability.copy()
    expected[4] = 0
    expected /= expected.sum()
    counts = np.bincount(drawn[:, 1:].ravel(), minlength=30)
    assert counts[4] == 0
    others = expected > 0
    assert chisquare(counts[others], expected[others] * counts.sum()).pvalue > 1e-4


def count_pairs(
    sentences: list[list[int]],
    radius: int,
    keep: Floats | None = None,
    seed: int = 1,
    *,
    least_radius: int = 1,
    averaged: bool = False,
) -> int:
    """Positive pairs of one chunk, with vectors of 16 dimensions."""
    words = max(max(sentence, default=0) for sentence in sentences) + 1
    centers, contexts = (aligned(np.zeros((words, 16), np.float32)) for _ in range(2))
    probabilities = np.ones(words) if keep is None else keep
    pairs = train_chunk(
        np.concatenate([np.array(sentence, np.int32) for sentence in sentences]),
        np.cumsum([0, *map(len, sentences)]),
        0.0,
        1e-6,
        centers,
        contexts,
        probability_thresholds(np.asarray(probabilities, float)),
        np.full(words, 2**32 - 1, np.uint32),
        np.arange(words, dtype=np.int32),
        (0,) * 6,
        Radii(least_radius, radius),
        averaged,
        Rates(0.05, 0.005),
        np.uint64(seed),
        Copies(0, 0),
        0,
    )[1]
    return int(pairs)


def test_windows_do_not_cross_sentences() -> None:
    assert count_pairs([[0], [1], [2]], radius=1) == 0
    assert count_pairs([[0, 1], [2], [1, 0, 2]], radius=1) == 2 + 4
    assert count_pairs([[], [0, 1], []], radius=50) == 2


def test_windows_are_reduced_uniformly() -> None:
    tokens, radius = 50_000, 5
    pairs = count_pairs([[0, 1] * (tokens // 2)], radius)
    # Twice the mean of 1..radius for each word, with the standard deviation of that mean.
    deviation = 2 * np.sqrt((radius**2 - 1) / 12 / tokens)
    assert abs(pairs / tokens - (radius + 1)) < 5 * deviation


def test_fixed_windows_reach_the_largest_radius_every_time() -> None:
    words, radius = 100, 4
    pairs = count_pairs([[0, 1] * (words // 2)], radius, least_radius=radius)
    assert pairs == 2 * radius * words - radius * (radius + 1)


def test_cbow_has_one_positive_pair_for_each_window() -> None:
    assert count_pairs([[0, 1, 2, 0], [1], [2, 1]], radius=3, averaged=True) == 6


def test_dropped_words_vanish_before_windows_are_made() -> None:
    generator = np.random.default_rng(1)
    sentence = generator.integers(2, size=60_000).tolist()
    kept = count_pairs([sentence], 1, keep=np.array([1.0, 0.25], np.float32)) / 2 + 1
    expected = sentence.count(0) + 0.25 * sentence.count(1)
    assert abs(kept - expected) < 5 * np.sqrt(sentence.count(1) * 0.25 * 0.75)


def test_rare_words_are_always_kept() -> None:
    assert count_pairs([[0, 1] * 5000], 1, keep=np.array([1.0, 1.0], np.float32)) == 2 * 9999


@pytest.mark.parametrize("model", ["skip_gram", "cbow"])
@pytest.mark.parametrize("reduced_windows", [True, False])
@pytest.mark.parametrize(("window_radius", "negatives", "copied"), [(2, 5, 0), (8, 9, 0), (2, 5, 20), (8, 9, 60)])
def test_a_chunk_is_trained_as_the_plain_trainer_does(
    model: str, reduced_windows: bool, window_radius: int, negatives: int, copied: int
) -> None:
    config = training_config(
        {
            "model": model,
            "reduced_windows": reduced_windows,
            "window_radius": window_radius,
            "negatives_per_pair": negatives,
            "learning_rate": 0.1,
            "final_rate_fraction": 0.2,
        }
    )
    assert isinstance(config, WindowConfig)
    generator = np.random.default_rng(window_radius)
    words = 60
    # No word twice in a sentence: the second gradient of an input that appears twice sees the first.
    sentences = [generator.permutation(words)[:length].tolist() for length in (40, 1, 0, 25, 2)]
    keep_thresholds = probability_thresholds(generator.uniform(0.5, 1, words))
    chances, noise_aliases = alias_table(generator.uniform(0.1, 1, words))
    noise_thresholds = probability_thresholds(chances)
    before_in, before_out = generator.normal(0, 0.3, (2, words, 20)).astype(np.float32)

    # The copies stand behind the rows, the last of two workers' here.
    room = np.full((2 * copied, 20), np.nan, np.float32)
    centers, contexts = (aligned(np.vstack([before, room])) for before in (before_in, before_out))
    tokens = np.concatenate([np.array(sentence, np.int32) for sentence in sentences])
    loss, pairs = train_chunk(
        tokens,
        np.cumsum([0, *map(len, sentences)]),
        0.0,
        1 / len(tokens),
        centers,
        contexts,
        keep_thresholds,
        noise_thresholds,
        noise_aliases,
        (0,) * (1 + negatives),
        Radii(1 if reduced_windows else window_radius, window_radius),
        model == "cbow",
        Rates(0.1, 0.02),
        np.uint64(17),
        Copies(copied, words + copied),
        7,
    )

    tables = (keep_thresholds, noise_thresholds, noise_aliases)
    plain = PlainTrainer(before_in.astype(float), before_out.astype(float), config, tables)
    plain.train(sentences, key=17)
    assert pairs == plain.pairs > 30
    assert loss == pytest.approx(plain.loss, rel=1e-5)
    np.testing.assert_allclose(centers[:words, :20], plain.centers, atol=1e-5)
    np.testing.assert_allclose(contexts[:words, :20], plain.contexts, atol=1e-5)
    assert not centers[:words, 20:].any()


def test_the_changes_of_two_workers_add_up() -> None:
    before = np.random.default_rng(4).normal(size=(5, 16)).astype(np.float32)
    matrix = aligned(np.vstack([before, np.zeros((6, 16), np.float32)]))
    workers = [(Copies(3, first_row), np.empty((3, 16), np.float32)) for first_row in (5, 8)]
    for copies, copied in workers:
        _copy_rows(matrix, copies, copied)
    matrix[5] += 1
    matrix[8:10] += 10
    for copies, copied in [*workers, workers[0]]:
        _exchange_rows(matrix, copies, copied)
    np.testing.assert_allclose(matrix[:5], before + np.array([[11], [10], [0], [0], [0]]), atol=1e-5)
    np.testing.assert_array_equal(matrix[5:8], matrix[:3])
    np.testing.assert_array_equal(matrix[8:11], matrix[:3])


def test_only_the_words_of_the_text_and_noise_are_touched() -> None:
    vectors = np.random.default_rng(0).normal(size=(6, 16)).astype(np.float32)
    centers, contexts = aligned(vectors), aligned(vectors)
    only_word_3 = np.zeros(6, np.int32) + 3
    train_chunk(
        np.array([0, 1], np.int32),
        np.array([0, 2]),
        0.0,
        1e-6,
        centers,
        contexts,
        np.full(6, 2**32 - 1, np.uint32),
        np.zeros(6, np.uint32),
        only_word_3,
        (0,) * 6,
        Radii(1, 1),
        False,
        Rates(0.05, 0.05),
        np.uint64(9),
        Copies(0, 0),
        0,
    )
    changed_in = np.flatnonzero((centers != vectors).any(axis=1))
    changed_out = np.flatnonzero((contexts != vectors).any(axis=1))
    assert changed_in.tolist() == [0, 1]
    assert changed_out.tolist() == [0, 1, 3]


def test_blocks_cover_the_outputs_evenly() -> None:
    for outputs in range(2, 27):
        blocks = output_blocks(outputs)
        sizes = [block.size for block in blocks]
        assert sum(sizes) == outputs
        assert max(sizes) - min(sizes) <= 1
        assert max(sizes) * INPUT_BLOCK <= LANES
        assert [block.first for block in blocks] == np.cumsum([0, *sizes[:-1]]).tolist()


def test_blocks_are_grouped_while_they_fit_into_registers() -> None:
    for outputs in range(2, 27):
        groups = grouped_blocks(outputs)
        assert [block for group in groups for block in group] == output_blocks(outputs)
        for group, following in zip(groups, [*groups[1:], []], strict=True):
            assert group[-1].end - group[0].first <= OUTPUTS_IN_REGISTERS
            assert not following or following[0].end - group[0].first > OUTPUTS_IN_REGISTERS
