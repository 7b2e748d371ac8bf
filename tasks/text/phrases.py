"""Phrases: pairs of words that occur together more often than chance, joined to one token (`new_york`).

Source: Mikolov et al. 2013, "Distributed Representations of Words and Phrases and their Compositionality", section 4,
with gensim's score: (count(a b) - min_count) / (count(a) * count(b)) * (distinct words + distinct pairs).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.text.cleaning import list_offsets
from tasks.text.options import TokenizerConfig
from tasks.text.vocabulary import WordCounts

# Distinct pairs in memory, 16 bytes each; beyond this the rarest go, as in word2vec's word2phrase.
MOST_PAIRS = 1 << 25
# Keys (P,) int64, ascending, first * words + second, and how often each pair occurs (P,) int64.
PairCounts = tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True)
class Phrases:
    """P pairs of words to join. words: of the text.  keys: (P,) int64, ascending, first * words + second.

    scores: (P,) float64.
    """

    words: pa.Array
    keys: NDArray[np.int64]
    scores: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.keys)

    def pairs(self) -> dict[tuple[str, str], float]:
        """First and second word -> score."""
        names = self.words.to_pylist()
        first, second = np.divmod(self.keys, max(1, len(names)))
        return {(names[a], names[b]): float(s) for a, b, s in zip(first, second, self.scores, strict=True)}


def choose_phrases(counted: WordCounts, parts: Iterable[PairCounts], config: TokenizerConfig) -> Phrases:
    """The pairs of neighbouring words that score above the threshold.

    counted: all words of the text.  parts: the pairs of each part of the text, as `count_pairs` returns them.
    """
    size = len(counted.words)
    keys, counts = _sum_pairs(parts)
    first, second = np.divmod(keys, max(1, size))
    scores = (
        (counts - config.phrase_min_count)
        / (counted.counts[first].astype(np.float64) * counted.counts[second])
        * (size + len(keys))
    )
    chosen = scores > config.phrase_threshold
    return Phrases(counted.words, keys[chosen], scores[chosen])


def join_all(lists: pa.Array, phrases: Iterable[Phrases], delimiter: str) -> pa.Array:
    """Token lists with the phrases of several passes joined, one pass after the other."""
    for found in phrases:
        lists = join_phrases(lists, found, delimiter)
    return lists


def join_phrases(lists: pa.Array, phrases: Phrases, delimiter: str) -> pa.Array:
    """Token lists with phrases joined, from left to right: of `a b c`, `a b` wins over `b c`. (N,) -> (N,)."""
    ids, offsets = _ids(lists, phrases.words)
    joins = np.isin(_pair_keys(ids, len(phrases.words)), phrases.keys) & ~_last_of_list(len(ids), offsets)
    starts = _every_other(joins)
    taken = np.concatenate([[False], starts[:-1]]) if len(ids) else starts
    tokens = lists.flatten()
    tokens = tokens.cast(pa.string()) if pa.types.is_dictionary(tokens.type) else tokens
    following = pc.take(tokens, pa.array(np.minimum(np.flatnonzero(starts) + 1, max(0, len(ids) - 1))))
    joined = pc.binary_join_element_wise(tokens.filter(pa.array(starts)), following, delimiter)
    kept = pc.replace_with_mask(tokens, pa.array(starts), joined).filter(pa.array(~taken))
    before = np.concatenate([[0], np.cumsum(~taken)])
    return pa.ListArray.from_arrays(pa.array(before[offsets], pa.int32()), kept)


def count_pairs(lists: pa.Array, words: pa.Array) -> PairCounts:
    """The neighbouring words of token lists."""
    ids, offsets = _ids(lists, words)
    keys = _pair_keys(ids, len(words))
    found, counts = np.unique(keys[(keys >= 0) & ~_last_of_list(len(ids), offsets)], return_counts=True)
    return found, counts.astype(np.int64)


def _sum_pairs(parts: Iterable[PairCounts]) -> PairCounts:
    keys, counts = np.empty(0, np.int64), np.empty(0, np.int64)
    waiting: list[PairCounts] = []
    floor = 0
    for part in parts:
        waiting.append(part)
        if sum(len(found) for found, _ in waiting) > max(1 << 20, len(keys) // 2):
            keys, counts = _summed([(keys, counts), *waiting])
            waiting = []
            while len(keys) > MOST_PAIRS:
                floor += 1
                frequent = counts > floor
                keys, counts = keys[frequent], counts[frequent]
    return _summed([(keys, counts), *waiting])


def _summed(parts: list[PairCounts]) -> PairCounts:
    keys, places = np.unique(np.concatenate([keys for keys, _ in parts]), return_inverse=True)
    counts = np.zeros(len(keys), np.int64)
    np.add.at(counts, places, np.concatenate([counts for _, counts in parts]))
    return keys, counts


def _ids(lists: pa.Array, words: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Position of each token in `words` (N,), -1 for unknown ones, and the offsets of the lists."""
    flat = lists.flatten()
    tokens = flat if pa.types.is_dictionary(flat.type) else flat.dictionary_encode()
    known = pc.index_in(tokens.dictionary, value_set=words).fill_null(-1).to_numpy().astype(np.int64)
    return known[tokens.indices.to_numpy()], list_offsets(lists)


def _pair_keys(ids: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Key of each token and the next one (N,); -1 if one is unknown, and for the last token."""
    following = np.concatenate([ids[1:], [-1]]) if len(ids) else ids
    return np.where((ids >= 0) & (following >= 0), ids * size + following, -1)


def _last_of_list(tokens: int, offsets: NDArray[np.int64]) -> NDArray[np.bool_]:
    last = np.zeros(tokens, bool)
    ends = offsets[1:][np.diff(offsets) > 0]
    last[ends - 1] = True
    return last


def _every_other(joins: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Of each run of True the first, third, fifth …: a token joins one neighbour only."""
    positions = np.arange(len(joins))
    before_run = np.maximum.accumulate(np.where(joins, -1, positions)) if len(joins) else positions
    chosen: NDArray[np.bool_] = joins & ((positions - before_run) % 2 == 1)
    return chosen
