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


def find_rows(rows: Mapping[str, int], words: Sequence[str]) -> NDArray[np.int64]:
    """Row of each word, (N,) int64; -1 for a word that is not there. rows: from `rows_by_folded_word`."""
    return np.array([rows.get(fold_case(word), -1) for word in words], dtype=np.int64)
