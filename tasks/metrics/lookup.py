"""Finding words of one list in another, whatever their case."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray


def fold_case(word: str) -> str:
    """The form in which words are compared: upper case, as gensim's evaluation does."""
    return word.upper()


def rows_by_folded_word(words: Sequence[str]) -> dict[str, int]:
    """Folded word -> row. Of words that differ only in case the first counts, which is the most frequent one."""
    rows: dict[str, int] = {}
    for row, word in enumerate(words):
        rows.setdefault(fold_case(word), row)
    return rows


def rows_by_word(words: Sequence[str]) -> dict[str, int]:
    """Word as it is spelled -> row; the first of several."""
    rows: dict[str, int] = {}
    for row, word in enumerate(words):
        rows.setdefault(word, row)
    return rows


def find_rows(rows: Mapping[str, int], words: Sequence[str]) -> NDArray[np.int64]:
    """Row of each word, (N,) int64; -1 for a word that is not there. rows: from `rows_by_folded_word`."""
    return np.array([rows.get(fold_case(word), -1) for word in words], dtype=np.int64)


def shared_rows(
    words: Sequence[str], others: Sequence[str], *, fold: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the words that both lists have, in the order of the first: (S,) in the first and (S,) in the other.

    fold: whatever their case; the first spelling in each list, which is the most frequent one, then stands for all.
    """
    index = rows_by_folded_word if fold else rows_by_word
    first, other = index(words), index(others)
    rows = np.fromiter(first.values(), dtype=np.int64, count=len(first))
    in_other = np.fromiter((other.get(word, -1) for word in first), dtype=np.int64, count=len(first))
    return rows[in_other >= 0], in_other[in_other >= 0]
