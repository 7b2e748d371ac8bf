"""Neighbour overlap is 1 with itself, near 0 for chance, and what gensim's neighbours say in between."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from storage.vectors.reference import ReferenceVectors
from tasks.metrics import neighbors as neighbors_module
from tasks.metrics.neighbors import NeighborOverlap, compare_neighbors, rank_biased_overlap
from tests.metrics.conftest import keyed_vectors


def table(rows: int, dimension: int, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((rows, dimension), dtype=np.float32)


def letters(count: int) -> list[str]:
    """Alphabetic words that are no English words."""
    return [f"x{chr(97 + number // 26)}{chr(97 + number % 26)}q" for number in range(count)]


def random_mean(result: NeighborOverlap) -> float:
    assert result.random is not None
    assert result.random.mean is not None
    return result.random.mean


def plain_rank_biased_overlap(first: list[int], second: list[int], p: float) -> float:
    """The formula of the paper, term by term."""
    depth = len(first)
    overlap = [len(set(first[:d]) & set(second[:d])) for d in range(1, depth + 1)]
    terms = sum(overlap[d - 1] / d * p**d for d in range(1, depth + 1))
    return overlap[-1] / depth * p**depth + (1 - p) / p * terms


@given(
    depth=st.integers(1, 12),
    shift=st.integers(0, 12),
    seed=st.integers(0, 1000),
    persistence=st.floats(0.1, 0.99),
)
def test_rank_biased_overlap_is_the_formula_of_the_paper(depth: int, shift: int, seed: int, persistence: float) -> None:
    random = np.random.default_rng(seed)
    first, second = random.permutation(depth), random.permutation(depth) + shift
    found = rank_biased_overlap(first[None], second[None], persistence)
    assert found[0] == pytest.approx(plain_rank_biased_overlap(first.tolist(), second.tolist(), persistence))


def test_rank_biased_overlap_counts_the_first_ranks_most() -> None:
    ranked = np.arange(10)[None]
    swapped_first, swapped_last = ranked.copy(), ranked.copy()
    swapped_first[0, :2], swapped_last[0, 8:] = [1, 0], [9, 8]
    same, first, last, disjoint = (
        rank_biased_overlap(ranked, other)[0] for other in (ranked, swapped_first, swapped_last, ranked + 10)
    )
    assert same == pytest.approx(1)
    assert same > last > first > disjoint == 0


def test_a_table_agrees_with_itself_turned_and_scaled() -> None:
    words, vectors = letters(200), table(200, 6, 2)
    rotation, _ = np.linalg.qr(table(6, 6, 3))
    turned = (vectors @ rotation * 3).astype(np.float32)
    result = compare_neighbors(words, vectors, words[::-1], turned[::-1])
    assert result.frequent.mean == 1.0
    assert result.frequent.rank_mean == pytest.approx(1.0, abs=1e-3)
    assert result.coverage == 1.0
    assert random_mean(result) < 0.15  # 10 of 199 by chance


def test_the_overlap_is_the_mean_share_of_common_neighbors() -> None:
    words, first, second = letters(60), table(60, 4, 4), table(60, 4, 5)
    result = compare_neighbors(words, first, words, second, neighbors=5)
    ours, theirs = (keyed_vectors(words, vectors) for vectors in (first, second))
    for row, overlap, rank_overlap in zip(
        result.frequent.rows.tolist(), result.frequent.overlaps, result.frequent.rank_overlaps, strict=True
    ):
        lists = [[int(words.index(w)) for w, _ in keyed.most_similar(words[row], topn=5)] for keyed in (ours, theirs)]
        assert overlap == pytest.approx(len(set(lists[0]) & set(lists[1])) / 5)
        assert rank_overlap == pytest.approx(plain_rank_biased_overlap(lists[0], lists[1], 0.9))


def test_the_words_that_agree_most_and_least_are_reported_with_their_neighbors() -> None:
    words, first = letters(60), table(60, 4, 4)
    second = first.copy()
    second[7] = -first[7]  # one word moved, the others stayed
    result = compare_neighbors(words, first, words, second, neighbors=5, shown=3)
    assert result.frequent.interval is not None
    assert len(result.most) == len(result.least) == 3
    assert result.most[0].overlap == 1.0
    assert result.most[0].only_here == result.most[0].only_there == []
    (moved, *_) = result.least
    assert (moved.word, moved.rank, moved.overlap) == (words[7], 8, 0.0)
    theirs = [word for word, _ in keyed_vectors(words, second).most_similar(words[7], topn=5)]
    assert moved.only_there == theirs


def test_bands_sample_words_of_every_frequency(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbors_module, "BANDS", ((1, 20), (21, 100), (101, 10**9)))
    monkeypatch.setattr(neighbors_module, "BAND_WORDS", 10)
    words, vectors = letters(120), table(120, 4, 4)
    damaged = vectors.copy()
    damaged[100:] = table(20, 4, 5)
    result = compare_neighbors(words, vectors, words, damaged, neighbors=3, word_limit=15)
    assert list(result.bands) == ["rank 1 to 20", "rank 21 to 100", "rank 101 on"]
    assert result.bands["rank 21 to 100"].rows.tolist() == [20, 28, 37, 46, 55, 63, 72, 81, 90, 99]
    assert result.frequent.rows.tolist() == list(range(15))
    means = [band.mean or 0.0 for band in result.bands.values()]
    assert means[2] < min(means[:2])
    assert "rank 101 on" not in compare_neighbors(words[:90], vectors[:90], words, vectors, neighbors=3).bands


def test_only_shared_words_are_searched() -> None:
    words, vectors = letters(50), table(50, 4, 6)
    strange = ["notinreference"]
    with_stranger = np.concatenate([vectors, vectors[:1]])
    result = compare_neighbors(words + strange, with_stranger, [*words, "notinmodel"], with_stranger, neighbors=3)
    assert (result.shared, result.total) == (50, 51)
    assert result.frequent.mean == 1.0


def test_stop_words_and_words_with_other_characters_are_not_compared() -> None:
    words = ["The", "x1", "don't", "사랑", *letters(30), "between"]
    vectors = table(len(words), 4, 7)
    result = compare_neighbors(words, vectors, words, vectors, neighbors=3, word_limit=10)
    assert [words[row] for row in result.frequent.rows] == ["사랑", *letters(9)]


def test_case_does_not_matter_and_the_most_frequent_spelling_counts() -> None:
    words, vectors = letters(30), table(30, 4, 8)
    cased = [word.title() for word in words]
    doubled = np.concatenate([vectors, vectors[:1]])
    result = compare_neighbors([*cased, words[0]], doubled, words, vectors, neighbors=3)
    assert (result.shared, result.folded, result.frequent.mean) == (30, 30, 1.0)


def test_case_matters_where_it_is_asked_to() -> None:
    words, vectors = letters(30), table(30, 4, 8)
    other = [words[0].title(), *words[1:]]
    result = compare_neighbors(words, vectors, other, vectors, neighbors=3, fold=False, random=False)
    assert (result.shared, result.folded, result.random) == (29, 0, None)


def test_with_too_few_shared_words_there_is_no_overlap() -> None:
    words, vectors = letters(10), table(10, 4, 9)
    result = compare_neighbors(words, vectors, words, vectors, neighbors=10)
    assert result.frequent.mean is None
    assert result.frequent.interval is None
    assert result.random is not None
    assert result.random.mean is None
    assert (result.bands, result.most, result.least) == ({}, [], [])
    assert result.coverage == 1.0
    assert compare_neighbors(words, vectors, ["other"], vectors[:1]).coverage == 0.0


def test_lengths_that_differ_are_a_misuse() -> None:
    with pytest.raises(ValueError, match="10 words, 9 vectors"):
        compare_neighbors(letters(10), table(9, 4, 1), [], table(0, 4, 1))


def test_real_vectors_compare_their_frequent_content_words(glove: ReferenceVectors) -> None:
    words = glove.words[:5000]
    halves = glove.vectors[:5000, :25], glove.vectors[:5000, 25:]
    result = compare_neighbors(words, halves[0], words, halves[1], word_limit=200)
    compared = [words[row] for row in result.frequent.rows]
    assert compared[:3] == ["said", "new", "year"]
    assert len(compared) == 200
    assert not ENGLISH_STOP_WORDS & set(compared)
    assert result.frequent.mean is not None
    assert result.frequent.mean > 10 * random_mean(result)
