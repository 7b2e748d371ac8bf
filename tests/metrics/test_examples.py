"""The words that show what vectors have learnt."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tasks.metrics.examples import choose_examples

STOP_WORDS = frozenset({"a", "one", "the", "without"})


def numbered(count: int) -> list[str]:
    """Words of letters alone: 0 becomes aaaaaa, 1 aaaaab, …"""
    return ["".join(chr(ord("a") + number // 26**place % 26) for place in range(5, -1, -1)) for number in range(count)]


def unit_vectors(rows: int, dimension: int = 24) -> NDArray[np.float32]:
    vectors = np.random.default_rng(4).normal(size=(rows, dimension)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def near(vectors: NDArray[np.float32], row: int, others: list[int]) -> None:
    vectors[others] = 0.95 * vectors[row] + 0.05 * vectors[others]
    vectors[others] /= np.linalg.norm(vectors[others], axis=1, keepdims=True)


def test_the_word_with_the_closest_neighbors_of_each_band_of_ranks_is_chosen() -> None:
    words, vectors = numbered(800)[::-1], unit_vectors(800)
    close = {15: "horror", 40: "drama", 100: "한국어영화"}
    for row, word in close.items():
        words[row] = word
        near(vectors, row, list(range(700 - row, 705 - row)))
    chosen = choose_examples(words, vectors, STOP_WORDS)
    assert chosen[:3] == list(close)
    assert chosen == sorted(chosen)
    assert len(chosen) <= 5


@pytest.mark.parametrize("spoilt", ["without", "2001", "a-b", "horrors"])
def test_stop_words_numbers_and_forms_of_the_word_are_no_close_neighbors(spoilt: str) -> None:
    words, vectors = numbered(400)[::-1], unit_vectors(400)
    words[20], words[25] = "horror", "drama"
    near(vectors, 20, [390, 391, 392, 393, 394])
    near(vectors, 25, [380, 381, 382])
    for row in (390, 391, 392, 393, 394):
        words[row] = spoilt if spoilt != "horrors" else f"horror{'s' * (row - 389)}"
    band = [words[row] for row in choose_examples(words, vectors, STOP_WORDS, count=1)]
    assert band == ["drama"]


@pytest.mark.parametrize(
    "words", [["one"], ["a", "b", "kino"], ["the", "1", "?", "horror", "movie", "film", "story", "end"], ["1", "2"]]
)
def test_a_small_vocabulary_yields_some_of_its_content_words(words: list[str]) -> None:
    chosen = [words[row] for row in choose_examples(words, unit_vectors(len(words)), STOP_WORDS)]
    assert chosen == [word for word in words if word in chosen]
    assert set(chosen) <= set(words) - {"the", "1", "2", "?", "one", "a"}
    assert bool(chosen) == bool(set(words) & {"kino", "horror", "b"})
