"""Words of gold sets in the terms of a vocabulary of morphemes, word pieces or phrases, or composed of n-grams.

A word that the vocabulary lacks is tokenized like the corpus. If it has one token, that is used. If it has several
and the vocabulary has them all, the mean of their unit vectors does, as in fastText. Else the word stays unknown.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tasks.metrics.cosines import unit_rows
from tasks.metrics.lookup import fold_case, rows_by_folded_word

# (N,) words -> (N, D) vectors, 0 for a word that cannot be composed.
Composer = Callable[[Sequence[str]], NDArray[np.float32]]


class WordCutter(Protocol):
    """Cuts words as the corpus was cut."""

    def spellings(self, word: str, tokens: list[str]) -> list[str]:
        """What a vocabulary may call a word that has these tokens, most exact first."""

    def cut(self, words: list[str]) -> list[list[str]]:
        """The tokens of each word."""


@dataclass(frozen=True)
class Composed:
    """names: word -> its name in `words`, for words that have another one.

    words, vectors: the vocabulary (V), then words that several tokens compose, with their means.
    """

    names: dict[str, str]
    words: Sequence[str]
    vectors: NDArray[np.float32]

    def named(self, words: Iterable[str]) -> list[str]:
        """The words as `self.words` has them."""
        return [self.names.get(word, word) for word in words]


def compose_words(
    words: Sequence[str], vectors: NDArray[np.float32], asked: Iterable[str], cutter: WordCutter
) -> Composed:
    """Names or mean vectors for the asked words that the vocabulary lacks.

    words, vectors: V words, most frequent first, and their (V, D) vectors.
    """
    rows = rows_by_folded_word(words)
    names: dict[str, str] = {}
    means: dict[str, NDArray[np.float32]] = {}
    distinct = list(dict.fromkeys(asked))
    # All at once: a call takes milliseconds, whatever it cuts.
    for word, cut in zip(distinct, cutter.cut(distinct), strict=True):
        known = [name for name in cutter.spellings(word, cut) if fold_case(name) in rows]
        if known:
            names[word] = known[0]
            continue
        tokens = [rows.get(fold_case(token), -1) for token in cut]
        if len(tokens) > 1 and min(tokens) >= 0:
            means[word] = unit_rows(vectors, np.array(tokens)).mean(axis=0)
    if means:
        vectors = np.concatenate([vectors, np.stack(list(means.values())).astype(vectors.dtype)])
    return Composed(names, [*words, *means], vectors)


def with_unseen_words(
    words: Sequence[str], vectors: NDArray[np.float32], asked: Iterable[str], compose: Composer
) -> tuple[Sequence[str], NDArray[np.float32]]:
    """The vocabulary and its vectors, then those of the asked words that it lacks and that can be composed.

    words, vectors: V words and their (V, D) vectors. A vocabulary in lower case has its words composed so.
    """
    rows = rows_by_folded_word(words)
    unseen = [word for word in dict.fromkeys(asked) if fold_case(word) not in rows]
    if unseen and all(word == word.lower() for word in words):
        unseen = list(dict.fromkeys(word.lower() for word in unseen))
    if not unseen:
        return words, vectors
    found = compose(unseen)
    composed = np.flatnonzero(found.any(axis=1))
    return [*words, *(unseen[row] for row in composed.tolist())], np.concatenate([vectors, found[composed]])
