"""Which sequences lose their last item: a fixed share, by their items alone."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tasks.text.held_out import MOST_ITEMS, item_hashes, last_items

ITEMS = [f"item {number}" for number in range(500)]
HASHES = item_hashes(ITEMS)


def chosen(sequences: list[list[int]], share: float = 0.1, parts: list[int] | None = None) -> list[int]:
    offsets = np.cumsum([0, *map(len, sequences)])
    flat = np.array([item for sequence in sequences for item in sequence], np.int32)
    numbers = np.array(parts or [0] * len(sequences), np.int32)
    rows: NDArray[np.int64] = last_items(flat, offsets, numbers, HASHES, share)
    return [int(row) for row in rows]


def random_sequences(count: int) -> list[list[int]]:
    random = np.random.default_rng(5)
    return [random.choice(500, random.integers(2, 9), replace=False).tolist() for _ in range(count)]


def test_about_the_share_is_chosen_and_a_smaller_share_is_a_part_of_it() -> None:
    sequences = random_sequences(20_000)
    larger, smaller = chosen(sequences, 0.1), chosen(sequences, 0.02)
    assert 0.09 < len(larger) / len(sequences) < 0.11
    assert 0.016 < len(smaller) / len(sequences) < 0.024
    assert set(smaller) < set(larger)
    assert chosen(sequences, 0.9) == larger
    assert all(first < second for first, second in pairwise(larger))


def test_a_choice_depends_on_the_items_and_neither_on_order_nor_place() -> None:
    sequences = random_sequences(2000)
    before = {frozenset(sequences[row]) for row in chosen(sequences)}
    turned = [sequence[::-1] for sequence in sequences[::-1]]
    assert {frozenset(turned[row]) for row in chosen(turned)} == before
    assert item_hashes(ITEMS[:3]).tolist() == HASHES[:3].tolist()
    assert len(set(HASHES.tolist())) == len(ITEMS)


def test_single_repeated_long_and_continued_sequences_keep_their_items() -> None:
    eligible = random_sequences(400)
    rows = chosen(eligible)
    assert rows
    assert not chosen([sequence[:1] for sequence in eligible])
    assert not chosen([[sequence[-1], *sequence] for sequence in eligible])
    assert not chosen(eligible, parts=[1] * len(eligible))
    long = list(range(400)) * 3
    assert not any(chosen([[number, *long[:MOST_ITEMS], 499]]) for number in range(400))
    assert chosen([[]]) == []
