"""The vocabulary: which words are kept, their subsampling and their noise probabilities."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from tasks.text.looking_up import WordLookup


class VocabularyConfig(BaseModel):
    """Which words get a vector, and how frequent words are subsampled."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_count: int = Field(default=5, ge=1, description="words with fewer occurrences are dropped")
    max_size: int | None = Field(
        default=None, ge=2, description="keep at most this many of the most frequent words; none: no limit"
    )
    subsample_threshold: float = Field(
        default=1e-3,
        gt=0,
        le=1,
        description="word frequency above which occurrences are randomly dropped; 1: almost none",
    )
    noise_exponent: float = Field(
        default=0.75, ge=0, le=1, description="noise words are drawn in proportion to count to this power"
    )


@dataclass(frozen=True)
class WordCounts:
    """Distinct words (V,) and how often each occurs (V,) int64, most frequent first, ties by word."""

    words: pa.Array
    counts: NDArray[np.int64]

    @property
    def total(self) -> int:
        """Occurrences of all words."""
        return int(self.counts.sum())


def count_words(token_lists: Iterable[pa.Array]) -> WordCounts:
    """Count every distinct token. token_lists: arrays of lists of strings, dictionary-encoded or not."""
    # Deferred: Numba takes half a second to import, and most commands count nothing.
    from tasks.text.counting import WordCounter

    counter = WordCounter()
    for lists in token_lists:
        counter.add(lists)
    return _sort_counts(_counts_table(*counter.take()))


def add_counts(counted: Iterable[WordCounts]) -> WordCounts:
    """Sum the counts of several texts."""
    summed = pa.concat_tables([_counts_table(part.words, part.counts) for part in counted])
    summed = summed.group_by("word").aggregate([("count", "sum")])
    return _sort_counts(summed.rename_columns(["word", "count"]))


def keep_probability(counts: NDArray[np.int64], subsample_threshold: float) -> NDArray[np.float64]:
    """Chance that one occurrence of each word survives subsampling.

    counts: (V,) int64, occurrences of the words of the vocabulary, all > 0.  subsample_threshold: t in (0, 1].
    Returns (V,) float64 in (0, 1]: min(1, (sqrt(f / t) + 1) * t / f), where f is a word's count over the sum of
    `counts`; words outside the vocabulary do not count.  Raises ValueError if a count is not positive.
    Source: word2vec.c and gensim. The paper (Mikolov et al. 2013, section 2.3) has only sqrt(t / f), which keeps
    fewer.
    """
    if np.any(counts <= 0):
        raise ValueError("counts must be positive")
    ratio = subsample_threshold * counts.sum() / counts
    probability: NDArray[np.float64] = np.minimum(1.0, np.sqrt(ratio) + ratio)
    return probability


def noise_probability(counts: NDArray[np.int64], noise_exponent: float) -> NDArray[np.float64]:
    """Probability of each word as noise: its count to the power `noise_exponent`, normalised.

    counts: (V,) int64, all > 0.  Returns (V,) float64 that sums to 1.
    Source: Mikolov et al. 2013, section 2.2, where the exponent is 0.75.
    """
    weights = counts.astype(np.float64) ** noise_exponent
    probability: NDArray[np.float64] = weights / weights.sum()
    return probability


def token_ids(token_lists: pa.Array, known: "WordLookup") -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Replace each token by its id and drop tokens outside the vocabulary.

    token_lists: (R,) lists of strings, dictionary-encoded or not.
    Returns the ids (N,) int32 of all rows, and offsets (R + 1,) int64: row r is ids[offsets[r]:offsets[r + 1]].
    """
    # Deferred: Numba takes half a second to import, and most commands encode nothing.
    from tasks.text.looking_up import keep_known

    flat = token_lists.flatten()
    tokens = flat if pa.types.is_dictionary(flat.type) else flat.dictionary_encode()
    ends = np.cumsum(token_lists.value_lengths().to_numpy(), dtype=np.int64)
    return keep_known(tokens.indices.to_numpy(), known.ids(tokens.dictionary), ends)


def _counts_table(words: pa.Array | list[str], counts: NDArray[np.int64] | list[int]) -> pa.Table:
    return pa.table({"word": pa.array(words, pa.string()), "count": pa.array(counts, pa.int64())})


def _sort_counts(table: pa.Table) -> WordCounts:
    # Arrow sorts strings by bytes, which for UTF-8 is code point order.
    ordered = table.sort_by([("count", "descending"), ("word", "ascending")])
    return WordCounts(ordered["word"].combine_chunks(), ordered["count"].to_numpy())
