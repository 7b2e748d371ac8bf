"""Look up words of one list in another, with or without regard to case."""

from collections.abc import Mapping, Sequence
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

# The form in which words are compared: upper case, as in gensim's evaluation. Nothing around it: an evaluation folds
# a million words.
fold_case = str.upper


def rows_by_folded_word(words: Sequence[str]) -> dict[str, int]:
    """Folded word -> row. Among words that differ only in case the first, most frequent one wins."""
    return rows_by_word(list(map(fold_case, words)))


def rows_by_word(words: Sequence[str]) -> dict[str, int]:
    """Exact word -> row; the first of duplicates."""
    # Backwards, so that the first of duplicates is the last to be stored.
    return dict(zip(reversed(words), range(len(words) - 1, -1, -1), strict=True))


def find_rows(rows: Mapping[str, int], words: Sequence[str]) -> NDArray[np.int64]:
    """Row of each word, (N,) int64; -1 for unknown words. rows: from `rows_by_folded_word`."""
    return np.fromiter(map(rows.get, map(fold_case, words), repeat(-1)), dtype=np.int64, count=len(words))


def shared_rows(
    words: Sequence[str], others: Sequence[str], *, fold: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the words that both lists have, in the order of the first: (S,) in the first and (S,) in the other.

    fold: ignore case; the first, most frequent spelling in each list then represents all of them.
    """
    first = rows_by_folded_word(words) if fold else rows_by_word(words)
    # Reference vectors have many more words than are shared: no index of all of them.
    keys = map(fold_case, others) if fold else others
    found = np.fromiter(map(first.get, keys, repeat(-1)), dtype=np.int64, count=len(others))
    known = np.flatnonzero(found >= 0)
    rows, firsts = np.unique(found[known], return_index=True)
    return rows, known[firsts]
