"""N-grams and their buckets are gensim's, which are fastText's, for any text."""

import numpy as np
import pytest
from gensim.models.fasttext import ft_ngram_hashes
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.trainers.ngrams import ngram_buckets

LENGTHS = st.tuples(st.integers(1, 7), st.integers(0, 4)).map(lambda pair: (pair[0], sum(pair)))


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12), min_size=1), LENGTHS)
def test_buckets_are_those_of_gensim(words: list[str], lengths: tuple[int, int]) -> None:
    offsets, buckets = ngram_buckets(words, *lengths, 1009)
    assert (len(offsets), offsets[-1]) == (len(words) + 1, len(buckets))
    for word, first, last in zip(words, offsets, offsets[1:], strict=False):
        assert sorted(buckets[first:last].tolist()) == sorted(map(int, ft_ngram_hashes(word, *lengths, 1009)))


@pytest.mark.parametrize(("word", "count"), [("a", 1), ("ab", 3), ("", 0)])
def test_short_words(word: str, count: int) -> None:
    offsets, buckets = ngram_buckets([word], 3, 6, 100)
    assert len(buckets) == count
    assert np.array_equal(offsets, [0, count])
