"""Words that a vocabulary lacks are named or composed from their tokens."""

import numpy as np

from tasks.metrics.composed import compose_words

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
