"""Counting, selecting and the two probabilities, against the standard library and gensim."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from gensim.models import Word2Vec
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.text import counting
from tasks.text.looking_up import WordLookup
from tasks.text.vocabulary import (
    VocabularyConfig,
    WordCounts,
    count_words,
    keep_probability,
    noise_probability,
    token_ids,
)

SENTENCES = [["the", "cat", "sat"], [], ["the", "dog", "and", "the", "cat"]]
# Words of more than 15 bytes are compared in another way.
WORDS = st.one_of(st.text("abc가é", min_size=1, max_size=2), st.sampled_from(["a" * n for n in (7, 8, 9, 15, 16, 17)]))
TOKEN_LISTS = st.lists(st.lists(st.lists(WORDS, max_size=6), max_size=4), max_size=4)


def list_array(sentences: list[list[str]], encoded: bool = False) -> pa.Array:
    lists = pa.array(sentences, pa.list_(pa.string()))
    return lists.cast(pa.list_(pa.dictionary(pa.int32(), pa.string()))) if encoded else lists


def counted(sentences: list[list[str]]) -> WordCounts:
    return count_words([list_array(sentences)])


def test_the_most_frequent_word_comes_first_and_ties_are_in_order() -> None:
    found = counted(SENTENCES)
    assert found.words.to_pylist() == ["the", "cat", "and", "dog", "sat"]
    assert found.counts.tolist() == [3, 2, 1, 1, 1]
    assert found.total == 8


@settings(deadline=None)
@given(batches=TOKEN_LISTS, encoded=st.booleans())
def test_counts_are_those_of_a_counter(batches: list[list[list[str]]], encoded: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        # So small that the table and the text of the words grow.
        patch.setattr(counting, "SMALLEST_TABLE", 2)
        patch.setattr(counting, "SMALLEST_TEXT", 1)
        found = count_words(list_array(batch, encoded) for batch in batches)
    expected = Counter(token for batch in batches for sentence in batch for token in sentence)
    assert list(zip(found.words.to_pylist(), found.counts.tolist(), strict=True)) == sorted(
        expected.items(), key=lambda item: (-item[1], item[0])
    )


def test_keep_probability_by_hand() -> None:
    # 90 of 100 tokens: t / f = 1e-3 / 0.9, and the chance is its square root plus itself.
    found = keep_probability(np.array([90, 10]), 1e-3)
    np.testing.assert_allclose(found, [0.0333333 + 0.0011111, 0.1 + 0.01], rtol=1e-5)


def test_rare_words_are_always_kept() -> None:
    assert keep_probability(np.array([10_000, 1]), 1e-3)[1] == 1.0


def test_a_count_that_is_not_positive_is_an_error() -> None:
    with pytest.raises(ValueError, match="positive"):
        keep_probability(np.array([3, 0]), 1e-3)


@settings(deadline=None)
@given(
    counts=st.lists(st.integers(1, 10**6), min_size=2, max_size=50).map(lambda c: np.array(sorted(c, reverse=True))),
    threshold=st.floats(1e-6, 1),
    exponent=st.floats(0, 1),
)
def test_probabilities_are_in_range_and_follow_the_order_of_counts(
    counts: np.ndarray, threshold: float, exponent: float
) -> None:
    keep = keep_probability(counts, threshold)
    assert np.all((keep > 0) & (keep <= 1))
    assert np.all(np.diff(keep) >= 0)
    noise = noise_probability(counts, exponent)
    assert noise.sum() == pytest.approx(1)
    assert np.all(np.diff(noise) <= 0)


@pytest.mark.parametrize("threshold", [1e-2, 1e-3, 1e-4])
def test_both_probabilities_are_gensims(threshold: float) -> None:
    words = [f"w{number}" for number in range(40)]
    sentences = [words[: 1 + number % 40] for number in range(4_000)]
    model = Word2Vec(min_count=5, sample=threshold, ns_exponent=0.75)
    model.build_vocab(sentences)
    found = counted(sentences)
    kept = WordCounts(found.words.filter(pa.array(found.counts >= 5)), found.counts[found.counts >= 5])
    names = kept.words.to_pylist()
    sampled = np.array([model.wv.get_vecattr(word, "sample_int") for word in names])
    # gensim keeps an occurrence if a random 32-bit number is below sample_int, and rounds that down.
    np.testing.assert_allclose(keep_probability(kept.counts, threshold), sampled / (2**32 - 1), rtol=1e-6)
    assert model.wv.index_to_key == names
    drawn = np.diff(model.cum_table, prepend=0) / model.cum_table[-1]
    np.testing.assert_allclose(noise_probability(kept.counts, 0.75), drawn, rtol=1e-6)


@settings(deadline=None)
@given(batch=st.lists(st.lists(st.sampled_from(["a", "b", "c", "가"]), max_size=5), max_size=5), encoded=st.booleans())
def test_tokens_are_looked_up_and_unknown_ones_left_out(batch: list[list[str]], encoded: bool) -> None:
    ids, offsets = token_ids(list_array(batch, encoded), WordLookup(["c", "가", "a"]))
    expected = [[["c", "가", "a"].index(token) for token in sentence if token != "b"] for sentence in batch]
    assert ids.dtype == np.int32
    assert offsets.dtype == np.int64
    assert [ids[begin:end].tolist() for begin, end in pairwise(offsets)] == expected


@pytest.mark.parametrize(
    "setting",
    [{"min_count": 0}, {"max_size": 1}, {"subsample_threshold": 0}, {"subsample_threshold": 1.1},
     {"noise_exponent": -0.1}, {"noise_exponent": 1.1}, {"mincount": 5}],
)  # fmt: skip
def test_a_setting_out_of_range_or_unknown_is_refused(setting: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        VocabularyConfig.model_validate(setting)
