"""A tile as the GPU kernel trains it, against the same formulas in NumPy, for fixed draws."""

import numpy as np
import pytest
import torch

from tasks.trainers.config import SkipGramConfig
from tasks.trainers.interface import Vocabulary
from tests.trainers.corpora import some_vocabulary, topic_sentences
from tests.trainers.gpu.portions import DEVICE, drawn_tokens, model, one_portion, random_state
from tests.trainers.gpu.tile_reference import Schedule, train_in_numpy

WORDS = 150
SENTENCES = topic_sentences(topics=3, words_per_topic=50, sentences=5, length=14)
VOCABULARY = some_vocabulary(SENTENCES, WORDS, threshold=0.05)


@pytest.mark.parametrize("rounded", [False, True], ids=["exact", "bfloat16"])
@pytest.mark.parametrize(
    ("dimension", "radius", "negatives", "reduced"),
    [(8, 2, 2, True), (64, 1, 1, False), (100, 5, 5, True), (128, 5, 5, False), (200, 5, 5, True), (300, 10, 10, True)],
)
def test_tiles_are_trained_as_the_formula_says(
    dimension: int, radius: int, negatives: int, reduced: bool, rounded: bool
) -> None:
    config = SkipGramConfig(
        dimension=dimension,
        window_radius=radius,
        negatives_per_pair=negatives,
        reduced_windows=reduced,
        epochs=3,
        learning_rate=0.05,
        final_rate_fraction=0.1,
        # One program: several would see each other's updates or not, as it happens.
        centers_in_flight=16,
    )
    state = random_state(WORDS, dimension)
    centers, contexts = state.center_vectors.astype(float), state.context_vectors.astype(float)
    trained = model(VOCABULARY, config, state, exact=not rounded)
    portion = one_portion(SENTENCES, WORDS, start=200)
    draws = trained.draw(portion, epoch=1)

    loss, pairs = trained.train(portion, 1, draws).cpu().numpy()
    trained.read_into(state)

    schedule = Schedule(0.05, 0.005, progress_start=1200 / 3000, progress_step=1 / 3000)
    share = trained.shape.noise_share
    expected = train_in_numpy(centers, contexts, drawn_tokens(draws), share, schedule, radius, rounded)
    assert pairs == expected[1] > 0
    assert loss == pytest.approx(expected[0], rel=1e-5)
    errors = np.abs([state.center_vectors - centers, state.context_vectors - contexts])
    # A gradient between two bfloat16 numbers may be rounded to either, by a difference in its last float32 bit.
    assert errors.max() < (1e-3 if rounded else 1e-5)
    assert errors.mean() < (2e-5 if rounded else 1e-6)


def test_noise_of_every_word_has_the_expected_gradient_of_word2vec() -> None:
    words, negatives, rate = 48, 5, 0.01
    vocabulary = Vocabulary(np.ones(words, np.int64), np.ones(words), np.full(words, 1 / words))
    config = SkipGramConfig(dimension=16, window_radius=2, reduced_windows=False, learning_rate=rate, epochs=1)
    state = random_state(words, 16)
    before_in, before_out = state.center_vectors.astype(float), state.context_vectors.astype(float)
    trained = model(vocabulary, config, state, exact=True)
    sentence = np.array([3, 7, 20, 7, 11], np.int32)
    portion = one_portion([sentence], words)
    draws = trained.draw(portion, 0)
    draws.outputs[0, 16:] = torch.arange(words, device=DEVICE)
    trained.train(portion, 0, draws)
    trained.read_into(state)

    expected = before_in.copy()
    for place, center in enumerate(sentence):
        for other in (*sentence[max(0, place - 2) : place], *sentence[place + 1 : place + 3]):
            chances = 1 / (1 + np.exp(-before_out @ before_in[other]))
            noise = np.arange(words) != center
            expected[other] += rate * (1 - chances[center]) * before_out[center]
            expected[other] -= rate * negatives / words * (chances[noise] @ before_out[noise])
    np.testing.assert_allclose(state.center_vectors, expected, atol=1e-6)


def test_programs_share_the_tiles_without_gap_or_overlap() -> None:
    config = SkipGramConfig(dimension=16, epochs=1, learning_rate=1e-6)
    portion = one_portion(SENTENCES, WORDS)
    pairs = set()
    for in_flight in (16, 48, 1600):
        trained = model(VOCABULARY, config.model_copy(update={"centers_in_flight": in_flight}))
        loss, count = trained.train(portion, 0).tolist()
        # At a tiny rate, every order has the same loss.
        pairs.add((round(loss), count))
    assert len(pairs) == 1


def test_nan_reaches_the_loss() -> None:
    state = random_state(WORDS, 16)
    state.center_vectors[:] = np.nan
    trained = model(VOCABULARY, SkipGramConfig(dimension=16), state)
    assert np.isnan(float(trained.train(one_portion(SENTENCES, WORDS), 0)[0]))


def test_a_portion_whose_tokens_are_all_dropped_trains_nothing() -> None:
    vocabulary = Vocabulary(VOCABULARY.counts, np.full(WORDS, 1e-9), VOCABULARY.noise_probability)
    state = random_state(WORDS, 16)
    before = state.center_vectors.copy()
    trained = model(vocabulary, SkipGramConfig(dimension=16), state)
    assert trained.train(one_portion(SENTENCES, WORDS), 0).tolist() == [0, 0]
    trained.read_into(state)
    np.testing.assert_array_equal(state.center_vectors, before)
