"""The hit rate of held-out items agrees with a search of one sequence after the other."""

import numpy as np
import pytest

from tasks.metrics.hit_rate import RECOMMENDED, score_hits


def test_hits_and_baselines_are_those_of_a_plain_search() -> None:
    random = np.random.default_rng(2)
    vectors = random.standard_normal((200, 12)).astype(np.float32)
    sequences = [random.choice(200, random.integers(2, 30), replace=False) for _ in range(300)]
    sequences += [np.array([3, 3, 7]), np.array([5, 0])]
    offsets = np.cumsum([0, *map(len, sequences)])
    found = score_hits(vectors, np.concatenate(sequences).astype(np.int32), offsets)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    chances = []
    for number, (*known, target) in enumerate(map(np.ndarray.tolist, sequences)):
        others = [item for item in range(200) if item not in known]
        cosines = unit[others] @ unit[known].mean(axis=0)
        nearest = [others[place] for place in np.argsort(-cosines, kind="stable")[:RECOMMENDED]]
        assert found.hits[number] == (target in nearest)
        assert found.popular_hits[number] == (target in others[:RECOMMENDED])
        chances.append(RECOMMENDED / len(others))
    rate, popular, chance = found.rates
    assert rate == pytest.approx(found.hits.mean())
    assert popular == pytest.approx(found.popular_hits.mean())
    assert chance == pytest.approx(np.mean(chances))
    (interval, popular_interval, none) = found.intervals
    assert interval is not None
    assert popular_interval is not None
    assert none is None
    assert rate is not None
    assert interval.low < rate < interval.high


def test_vectors_that_are_all_equal_recommend_what_is_popular() -> None:
    random = np.random.default_rng(4)
    sequences = random.permuted(np.tile(np.arange(60), (100, 1)), axis=1)[:, :6].astype(np.int32)
    found = score_hits(np.ones((60, 8), np.float32), sequences.ravel(), np.arange(0, 601, 6))
    np.testing.assert_array_equal(found.hits, found.popular_hits)


def test_without_a_sequence_there_is_no_rate() -> None:
    found = score_hits(np.eye(20, dtype=np.float32), np.zeros(0, np.int32), np.zeros(1, np.int64))
    assert found.rates == (None, None, None)
    assert found.intervals == (None, None, None)


def test_all_items_are_recommended_where_there_are_few() -> None:
    found = score_hits(np.eye(4, 8, dtype=np.float32), np.array([0, 1, 2], np.int32), np.array([0, 3]))
    assert found.rates == (1.0, 1.0, 1.0)
