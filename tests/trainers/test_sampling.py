"""Tables and thresholds behind the random draws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.trainers.sampling import alias_table, chunk_key, initial_state, probability_thresholds
from tests.trainers.corpora import some_vocabulary


@given(st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=200))
def test_an_alias_table_holds_exactly_its_probabilities(weights: list[float]) -> None:
    probabilities = np.array(weights) / np.sum(weights)
    chances, aliases = alias_table(probabilities)
    assert ((chances > 0) & (chances <= 1)).all()
    held = chances.copy()
    np.add.at(held, aliases, 1 - chances)
    np.testing.assert_allclose(held / len(weights), probabilities, atol=1e-9)


def test_an_alias_table_refuses_what_is_no_probability() -> None:
    for wrong in ([0.5, 0.0], [0.5, -1.0], [0.5, np.nan]):
        with pytest.raises(ValueError, match="not a positive number"):
            alias_table(np.array(wrong))


def test_thresholds_are_exact_at_the_ends() -> None:
    thresholds = probability_thresholds(np.array([1.0, 0.5, 2.0**-32, 1e-12]))
    assert thresholds.tolist() == [2**32 - 1, 2**31 - 1, 0, 0]
    with pytest.raises(ValueError, match="outside"):
        probability_thresholds(np.array([1.1]))
    with pytest.raises(ValueError, match="outside"):
        probability_thresholds(np.array([0.0]))


def test_keys_differ_by_seed_epoch_and_chunk() -> None:
    keys = {int(chunk_key(seed, epoch, chunk)) for seed in range(5) for epoch in range(5) for chunk in range(5)}
    assert len(keys) == 125


def test_initial_vectors_are_small_and_depend_on_the_seed() -> None:
    vocabulary = some_vocabulary([np.arange(500, dtype=np.int32)], 500)
    state = initial_state(vocabulary, 40, seed=1)
    assert state.center_vectors.dtype == np.float32
    assert np.abs(state.center_vectors).max() <= 0.5 / 40
    assert state.center_vectors.std() == pytest.approx(1 / 40 / np.sqrt(12), rel=0.02)
    assert not state.context_vectors.any()
    assert (state.center_vectors != initial_state(vocabulary, 40, seed=2).center_vectors).any()
