"""A warm start copies what both models know, keeps fresh rows for new words and drops lost ones."""

import numpy as np
import pytest

from tasks.trainers.interface import TrainingState
from tasks.trainers.warm_start import Overlap, start_from


def fresh(rows: int, dimension: int = 3) -> TrainingState:
    return TrainingState(np.full((rows, dimension), 7, np.float32), np.zeros((rows, dimension), np.float32))


def test_shared_words_are_copied_new_ones_stay_fresh_and_lost_ones_are_dropped() -> None:
    state = fresh(3)
    centers = np.arange(12, dtype=np.float32).reshape(4, 3)
    overlap = start_from(state, ["b", "new", "a"], ["a", "b", "lost", "gone"], centers, -centers)
    assert overlap == Overlap(kept=2, new=1, lost=2)
    np.testing.assert_array_equal(state.center_vectors, [[3, 4, 5], [7, 7, 7], [0, 1, 2]])
    np.testing.assert_array_equal(state.context_vectors, [[-3, -4, -5], [0, 0, 0], [0, -1, -2]])


def test_without_context_vectors_those_of_the_state_stay() -> None:
    state = fresh(1)
    start_from(state, ["a"], ["a"], np.ones((1, 3), np.float32), None)
    np.testing.assert_array_equal(state.context_vectors, np.zeros((1, 3)))


def test_no_shared_word_leaves_the_state_fresh() -> None:
    state = fresh(1)
    assert start_from(state, ["a"], ["b"], np.ones((1, 3), np.float32), None) == Overlap(0, 1, 1)


def test_another_dimension_is_named() -> None:
    with pytest.raises(ValueError, match=r"dimension 4, and training\.dimension is 3"):
        start_from(fresh(1), ["a"], ["a"], np.ones((1, 4), np.float32), None)
