"""What is drawn on the GPU follows the probabilities it should, and is a function of key and place alone."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2, chisquare

from tasks.trainers.config import SkipGramConfig
from tasks.trainers.interface import Vocabulary
from tests.trainers.gpu.portions import drawn_tokens, model, one_portion, triton_model
from tests.trainers.gpu.tile_reference import DrawnTokens

WORDS = 40
COUNTS = np.arange(WORDS, 0, -1)
NOISE = COUNTS**0.75 / (COUNTS**0.75).sum()
LEAST_P_VALUE = 1e-4
TOKENS = 20_000


def words_alike(tokens: int) -> list[Any]:
    """Sentences of 50 tokens in which every word is as frequent as any other."""
    flat = np.random.default_rng(3).permutation(np.arange(tokens, dtype=np.int32) % WORDS)
    return [*flat.reshape(-1, 50)]


def draw(
    tokens: int = TOKENS, keep: Any = None, config: SkipGramConfig | None = None, start: int = 0, epoch: int = 0
) -> DrawnTokens:
    config = config or SkipGramConfig(dimension=8, seed=5, early_threshold_fraction=1, narrowing_windows=False)
    vocabulary = Vocabulary(COUNTS, np.ones(WORDS) if keep is None else keep, NOISE)
    return drawn_tokens(model(vocabulary, config).draw(one_portion(words_alike(tokens), WORDS, start), epoch))


def test_each_word_survives_with_its_probability() -> None:
    keep = np.linspace(0.01, 1.0, WORDS)
    survived = np.bincount(draw(keep=keep).words, minlength=WORDS)
    occurrences = TOKENS // WORDS
    assert survived[-1] == occurrences
    z = (survived - occurrences * keep)[:-1] / np.sqrt(occurrences * keep * (1 - keep))[:-1]
    assert chi2.sf((z**2).sum(), len(z)) > LEAST_P_VALUE


def test_early_epochs_keep_the_words_of_the_lower_threshold() -> None:
    vocabulary, lower = (
        Vocabulary(COUNTS, np.minimum(1, np.sqrt(ratio) + ratio), NOISE)
        for ratio in (1e-3 * COUNTS.sum() / COUNTS, 1e-4 * COUNTS.sum() / COUNTS)
    )
    config = SkipGramConfig(dimension=8, epochs=3, early_threshold_fraction=0.1)
    portion = one_portion(words_alike(2000), WORDS)
    for epoch, expected in enumerate((lower, vocabulary, vocabulary)):
        drawn = drawn_tokens(model(vocabulary, config).draw(portion, epoch))
        same = config.model_copy(update={"early_threshold_fraction": 1.0})
        np.testing.assert_array_equal(drawn.words, drawn_tokens(model(expected, same).draw(portion, epoch)).words)


def test_survivors_keep_order_sentence_and_position() -> None:
    drawn = draw(tokens=2000, keep=np.full(WORDS, 0.5))
    flat = np.concatenate(words_alike(2000))
    assert (np.diff(drawn.positions) > 0).all()
    np.testing.assert_array_equal(drawn.words, flat[drawn.positions])
    np.testing.assert_array_equal(drawn.sentences, drawn.positions // 50 + 1)
    assert 0.4 < len(drawn.words) / 2000 < 0.6


@pytest.mark.parametrize("radius", [1, 5, 50])
def test_every_radius_is_as_likely_as_any_other(radius: int) -> None:
    # Few negatives, so that a wide window does not ask for many noise words.
    drawn = draw(config=SkipGramConfig(dimension=8, window_radius=radius, negatives_per_pair=1, epochs=1))
    counts = np.bincount(drawn.radii)
    assert len(counts) == radius + 1
    assert counts[0] == 0
    assert radius == 1 or chisquare(counts[1:]).pvalue > LEAST_P_VALUE


def test_fixed_windows_have_the_radius_of_their_epoch() -> None:
    config = SkipGramConfig(dimension=8, window_radius=7, reduced_windows=False, epochs=3, narrowing_windows=False)
    narrowing = config.model_copy(update={"narrowing_windows": True})
    for epoch, radius in enumerate((14, 7, 7)):
        assert set(draw(1000, config=config, epoch=epoch).radii) == {7}
        assert set(draw(1000, config=narrowing, epoch=epoch).radii) == {radius}


def test_radius_does_not_depend_on_survival() -> None:
    drawn = draw(keep=np.full(WORDS, 0.3))
    assert chisquare(np.bincount(drawn.radii)[1:]).pvalue > LEAST_P_VALUE


def test_noise_follows_its_probabilities_in_every_slot() -> None:
    drawn = draw()
    noise = drawn.outputs[:, 16:]
    assert noise.shape == (TOKENS // 16, 48)
    assert chisquare(np.bincount(noise.ravel(), minlength=WORDS), NOISE * noise.size).pvalue > LEAST_P_VALUE
    slots = [chisquare(np.bincount(slot, minlength=WORDS), NOISE * len(slot)).pvalue for slot in noise.T]
    assert min(slots) > LEAST_P_VALUE / len(slots)
    # Neighbouring slots and tiles are the same word as often as chance has it.
    for first, second in ((noise[:, 1:], noise[:, :-1]), (noise[1:], noise[:-1])):
        same, chance = (first == second).sum(), (NOISE**2).sum()
        assert abs(same - first.size * chance) < 5 * np.sqrt(first.size * chance)


def test_the_first_outputs_of_a_tile_are_its_centers() -> None:
    drawn = draw(tokens=1000)
    np.testing.assert_array_equal(drawn.outputs[:, :16].ravel()[:1000], drawn.words)


def test_draws_do_not_depend_on_where_the_corpus_is_cut() -> None:
    keep = np.full(WORDS, 0.6)
    vocabulary = Vocabulary(COUNTS, keep, NOISE)
    sentences = words_alike(4000)
    drawing = model(vocabulary, SkipGramConfig(dimension=8, early_threshold_fraction=1))
    whole = drawn_tokens(drawing.draw(one_portion(sentences, WORDS), 2))
    later = drawn_tokens(drawing.draw(one_portion(sentences[40:], WORDS, start=2000), 2))
    tail = whole.positions >= 2000
    np.testing.assert_array_equal(whole.words[tail], later.words)
    np.testing.assert_array_equal(whole.radii[tail], later.radii)
    np.testing.assert_array_equal(whole.positions[tail] - 2000, later.positions)


@pytest.mark.parametrize(
    "other",
    [
        {"epoch": 1},
        {"config": SkipGramConfig(dimension=8, seed=6)},
        {"start": 1000},
        {"start": 1 << 32},
    ],
    ids=["epoch", "seed", "start", "far start"],
)
def test_another_epoch_seed_or_place_draws_anew(other: dict[str, Any]) -> None:
    first, again, second = draw(2000), draw(2000), draw(2000, **other)
    np.testing.assert_array_equal(first.radii, again.radii)
    np.testing.assert_array_equal(first.outputs, again.outputs)
    assert 0.1 < (first.radii == second.radii).mean() < 0.3
    assert (first.outputs[:, 16:] == second.outputs[:, 16:]).mean() < 0.1


def test_keys_fit_into_a_signed_integer_and_differ() -> None:
    keys = [triton_model.draw_key(seed, epoch) for seed in range(30) for epoch in range(30)]
    assert len(set(keys)) == 900
    assert all(0 <= key < 1 << 63 for key in keys)
