"""Words that a vocabulary lacks are named or composed from their tokens."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tasks.metrics.composed import compose_words, with_unseen_words

WORDS = ["Un", "##known", "new_york", "run"]
VECTORS = np.array([[2, 0], [0, 3], [1, 1], [-1, 0]], np.float32)


class Cutter:
    def spellings(self, word: str, tokens: list[str]) -> list[str]:
        return [word, word.replace(" ", "_"), *(["run"] if word == "ran" else [])]

    def cut(self, words: list[str]) -> list[list[str]]:
        tokens = {"unknown": ["un", "##known"], "half": ["un", "##x"], "ran": ["run"]}
        return [tokens.get(word, []) for word in words]


def test_a_word_has_its_row_its_spelling_its_mean_or_nothing() -> None:
    asked = ["UN", "new york", "ran", "unknown", "half", "", "run"]
    composed = compose_words(WORDS, VECTORS, asked, Cutter())
    assert composed.named(asked) == ["UN", "new_york", "run", "unknown", "half", "", "run"]
    assert list(composed.words) == [*WORDS, "unknown"]
    np.testing.assert_allclose(composed.vectors[-1], [0.5, 0.5])
    np.testing.assert_array_equal(composed.vectors[:4], VECTORS)


def test_unseen_words_are_composed_in_the_case_of_the_vocabulary() -> None:
    asked: list[list[str]] = []

    def compose(words: Sequence[str]) -> NDArray[np.float32]:
        asked.append(list(words))
        return np.array([[len(word), 0] if len(word) > 2 else [0, 0] for word in words], np.float32)

    vectors = np.eye(2, dtype=np.float32)
    words, found = with_unseen_words(["cat", "dog"], vectors, ["Cats", "DOG", "cats", "ox"], compose)
    assert (list(words), asked) == (["cat", "dog", "cats"], [["cats", "ox"]])
    np.testing.assert_array_equal(found, [[1, 0], [0, 1], [4, 0]])
    words, _ = with_unseen_words(["Cat", "dog"], vectors, ["Cats"], compose)
    assert list(words) == ["Cat", "dog", "Cats"]
    assert with_unseen_words(["cat"], vectors[:1], ["CAT"], compose)[0] == ["cat"]
