"""Phrases score and join like gensim's, on synthetic and on real text."""

from pathlib import Path

import pyarrow as pa
import pytest
from gensim.models.phrases import Phrases as GensimPhrases
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.text.options import TokenizerConfig
from tasks.text.phrases import Phrases, choose_phrases, count_pairs, join_phrases
from tasks.text.tokenizers import unicode_words
from tasks.text.vocabulary import WordCounts, count_words

SENTENCES = st.lists(st.lists(st.sampled_from("abcd"), max_size=8), min_size=1, max_size=6)


def lists_of(sentences: list[list[str]], encoded: bool = False) -> pa.Array:
    lists = pa.array(sentences, pa.list_(pa.string()))
    return lists.cast(pa.list_(pa.dictionary(pa.int32(), pa.string()))) if encoded else lists


def phrases_of(counted: WordCounts, parts: list[pa.Array], config: TokenizerConfig) -> Phrases:
    return choose_phrases(counted, (count_pairs(lists, counted.words) for lists in parts), config)


def one_pass(sentences: list[list[str]], config: TokenizerConfig) -> tuple[dict[str, float], list[list[str]]]:
    lists = lists_of(sentences)
    found = phrases_of(count_words([lists]), [lists[:1], lists[1:]], config)
    joined: list[list[str]] = join_phrases(lists, found, config.phrase_delimiter).to_pylist()
    scores = {config.phrase_delimiter.join(pair): score for pair, score in found.pairs().items()}
    return scores, joined


def gensim_pass(sentences: list[list[str]], config: TokenizerConfig) -> tuple[dict[str, float], list[list[str]]]:
    model = GensimPhrases(
        sentences,
        min_count=config.phrase_min_count,
        threshold=config.phrase_threshold,
        delimiter=config.phrase_delimiter,
    )
    # gensim's find_phrases walks the sentences, so it misses a pair that always overlaps an earlier one.
    return dict(model.find_phrases(sentences)), [list(model[sentence]) for sentence in sentences]


@settings(deadline=None, max_examples=200)
@given(sentences=SENTENCES, min_count=st.integers(1, 3), threshold=st.sampled_from([0.1, 0.5, 1.0, 2.0]))
def test_scores_and_joined_text_are_those_of_gensim(
    sentences: list[list[str]], min_count: int, threshold: float
) -> None:
    config = TokenizerConfig(phrases=1, phrase_min_count=min_count, phrase_threshold=threshold)
    scores, joined = one_pass(sentences, config)
    expected, expected_text = gensim_pass(sentences, config)
    assert joined == expected_text
    assert {phrase: scores[phrase] for phrase in expected} == pytest.approx(expected)


def test_two_passes_over_news_are_those_of_gensim(news_file: Path) -> None:
    config = TokenizerConfig(phrases=2, phrase_threshold=5)
    text = unicode_words(pa.array(news_file.read_text(encoding="utf-8").splitlines())).to_pylist()
    ours = theirs = text
    for _ in range(2):
        scores, ours = one_pass(ours, config)
        expected, theirs = gensim_pass(theirs, config)
        assert ours == theirs
        assert {phrase: scores[phrase] for phrase in expected} == pytest.approx(expected)
    assert sum(token.count("_") > 1 for sentence in ours for token in sentence) > 10


def test_a_word_joins_one_neighbour_and_no_pair_spans_two_lists() -> None:
    sentences = [["new", "york", "new", "york", "new"], [], ["york"], ["new", "york"]] * 5
    config = TokenizerConfig(phrases=1, phrase_min_count=1, phrase_threshold=0.1)
    _, joined = one_pass(sentences, config)
    assert joined[:4] == [["new_york", "new_york", "new"], [], ["york"], ["new_york"]]


def test_dictionary_encoded_lists_join_alike() -> None:
    sentences = [["a", "b", "c"]] * 4
    config = TokenizerConfig(phrases=1, phrase_min_count=1, phrase_threshold=0.1, phrase_delimiter="+")
    found = phrases_of(count_words([lists_of(sentences)]), [lists_of(sentences, encoded=True)], config)
    assert join_phrases(lists_of(sentences, encoded=True), found, "+").to_pylist() == [["a+b", "c"]] * 4
    assert phrases_of(count_words([]), [], config).pairs() == {}
