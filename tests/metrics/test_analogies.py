"""Analogies are answered by 3CosAdd and 3CosMul, by hand and as gensim answers them on real vectors."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gensim.models import KeyedVectors
from gensim.test.utils import datapath

from storage.gold.sets import Analogies, read_analogies
from storage.vectors.reference import ReferenceVectors
from tasks.metrics import analogies
from tasks.metrics.analogies import AnalogyMethod, AnalogyScore, score_analogies, sum_by_kind
from tests.metrics.conftest import keyed_vectors

GOOGLE_NEWS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "vectors" / "googlenews_w2v_8000x300.bin"
# Two directions: royal and female. queen = king - man + woman.
WORDS = ["man", "woman", "king", "queen", "apple"]
VECTORS = np.array([[1, 0, 1], [1, 1, 1], [1, 0, 9], [1, 1, 9], [5, 0, 0]], dtype=np.float32)
FAMILY = {"family": [("man", "woman", "king", "queen"), ("king", "queen", "man", "woman")]}


@pytest.fixture(scope="module")
def google() -> Analogies:
    return read_analogies(Path(datapath("questions-words.txt")))


def test_the_nearest_word_that_is_not_in_the_question_is_the_answer() -> None:
    assert score_analogies(WORDS, VECTORS, FAMILY) == {"family": AnalogyScore(correct=2, covered=2, total=2)}


def test_sections_are_scored_apart_and_add_up() -> None:
    sections = {
        "wrong": [("man", "woman", "king", "apple"), ("man", "woman", "king", "prince")],
        "none": [("a", "b", "c", "d")],
        **FAMILY,
    }
    scores = score_analogies(WORDS, VECTORS, sections)
    assert scores["wrong"] == AnalogyScore(correct=0, covered=1, total=2)
    assert scores["none"].accuracy is None
    total = sum(scores.values(), start=AnalogyScore(0, 0, 0))
    assert total == AnalogyScore(correct=2, covered=3, total=5)
    assert total.accuracy == pytest.approx(2 / 3)
    assert total.coverage == pytest.approx(3 / 5)


def test_words_below_the_cut_are_neither_known_nor_answers() -> None:
    assert score_analogies(WORDS, VECTORS, FAMILY, max_rank=3)["family"] == AnalogyScore(0, 0, 2)
    assert score_analogies(WORDS, VECTORS, FAMILY, max_rank=4)["family"] == AnalogyScore(2, 2, 2)


def test_other_spellings_of_the_question_are_no_answers_and_those_of_the_answer_are() -> None:
    words = ["man", "woman", "king", "queen", "KING", "Queen"]
    vectors = np.concatenate([VECTORS[:4], VECTORS[2:4]]).astype(np.float32)
    # KING and Queen stand exactly where 3CosAdd looks.
    vectors[[4, 5]] = vectors[2] - vectors[0] + vectors[1]
    vectors[3] = -vectors[3]
    assert score_analogies(words, vectors, {"family": FAMILY["family"][:1]})["family"].correct == 1


def test_no_question_at_all_is_no_error() -> None:
    assert score_analogies(WORDS, VECTORS, {}) == {}
    assert score_analogies(WORDS, VECTORS, {"empty": []})["empty"].coverage == 0


def test_lengths_that_differ_are_a_misuse() -> None:
    with pytest.raises(ValueError, match="5 words, 4 vectors"):
        score_analogies(WORDS, VECTORS[:4], FAMILY)


def test_the_size_of_a_block_does_not_change_the_answers(
    glove: ReferenceVectors, google: Analogies, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, vectors = glove.words[:2000], glove.vectors[:2000]
    whole = score_analogies(words, vectors, google.sections)
    monkeypatch.setattr(analogies, "BLOCK_CANDIDATES", 333)
    monkeypatch.setattr(analogies, "BLOCK_QUESTIONS", 7)
    assert score_analogies(words, vectors, google.sections) == whole


def test_semantic_and_syntactic_sections_are_summed_apart(google: Analogies) -> None:
    scores = {name: AnalogyScore(1, 2, len(section)) for name, section in google.sections.items()}
    assert sum_by_kind(scores) == {"semantic": AnalogyScore(5, 10, 8869), "syntactic": AnalogyScore(9, 18, 10675)}
    assert sum_by_kind({"family": AnalogyScore(1, 2, 3)}) == {}


def test_an_accuracy_has_the_interval_of_a_share() -> None:
    assert AnalogyScore(0, 0, 5).interval is None
    interval = AnalogyScore(30, 100, 200).interval
    assert interval is not None
    assert interval.low < 0.3 < interval.high


class MultiplyingVectors(KeyedVectors):  # type: ignore[misc]
    """gensim's evaluation knows 3CosAdd alone; it asks `most_similar`, which answers by 3CosMul here."""

    def most_similar(self, positive: list[str], negative: list[str], topn: int, restrict_vocab: int) -> Any:
        return self.most_similar_cosmul(positive, negative, topn=topn, restrict_vocab=restrict_vocab)


def assert_same_as_gensim(
    keyed: KeyedVectors, google: Analogies, max_rank: int, method: AnalogyMethod = "3CosAdd"
) -> None:
    scores = score_analogies(keyed.index_to_key, keyed.vectors, google.sections, max_rank, method)
    accuracy, sections = keyed.evaluate_word_analogies(datapath("questions-words.txt"), restrict_vocab=max_rank)
    total = sum(scores.values(), start=AnalogyScore(0, 0, 0))
    assert total.covered > 100
    assert total.accuracy == pytest.approx(accuracy, abs=1e-4)
    for section in sections[:-1]:
        score = scores[section["section"]]
        assert score.correct == len(section["correct"])
        assert score.covered == len(section["correct"]) + len(section["incorrect"])


@pytest.mark.parametrize("max_rank", [1000, 4000])
def test_real_vectors_score_as_gensim_scores_them(glove: ReferenceVectors, google: Analogies, max_rank: int) -> None:
    keyed = keyed_vectors(glove.words[:5000], glove.vectors[:5000])
    assert_same_as_gensim(keyed, google, max_rank)


def test_real_vectors_multiply_as_gensim_multiplies_them(glove: ReferenceVectors, google: Analogies) -> None:
    keyed = MultiplyingVectors(vector_size=50)
    keyed.add_vectors(glove.words[:1500], glove.vectors[:1500])
    assert_same_as_gensim(keyed, google, 1500, "3CosMul")


@pytest.mark.skipif(not GOOGLE_NEWS.is_file(), reason=f"the optional Google News vectors are not at {GOOGLE_NEWS}")
def test_words_in_several_spellings_score_as_in_gensim(google: Analogies) -> None:
    assert_same_as_gensim(KeyedVectors.load_word2vec_format(str(GOOGLE_NEWS), binary=True), google, 1000)


@pytest.mark.long
@pytest.mark.skipif(not GOOGLE_NEWS.is_file(), reason=f"the optional Google News vectors are not at {GOOGLE_NEWS}")
def test_all_of_google_news_scores_as_in_gensim(google: Analogies) -> None:
    assert_same_as_gensim(KeyedVectors.load_word2vec_format(str(GOOGLE_NEWS), binary=True), google, 8000)
