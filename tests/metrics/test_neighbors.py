"""Neighbour overlap is 1 with itself, near 0 for chance, and what gensim's neighbours say in between."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS
from sklearn.neighbors import NearestNeighbors

from storage.reference_vectors import ReferenceVectors
from tasks.metrics import cosines
from tasks.metrics.cosines import unit_rows
from tasks.metrics.neighbors import compare_neighbors, nearest_rows
from tests.metrics.conftest import keyed_vectors


def table(rows: int, dimension: int, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((rows, dimension), dtype=np.float32)


def letters(count: int) -> list[str]:
    """Alphabetic words that are no English words."""
    return [f"x{chr(97 + number // 26)}{chr(97 + number % 26)}q" for number in range(count)]


def test_the_nearest_rows_are_those_scikit_learn_finds() -> None:
    unit = unit_rows(table(300, 8, 1))
    queries = np.arange(0, 300, 7)
    found = nearest_rows(unit, queries, 5)
    peer = NearestNeighbors(n_neighbors=6, metric="cosine").fit(unit).kneighbors(unit[queries], return_distance=False)
    for query, row, peer_row in zip(queries, found, peer, strict=True):
        assert set(row.tolist()) == set(peer_row.tolist()) - {query}


def test_the_size_of_a_block_does_not_change_the_neighbors(monkeypatch: pytest.MonkeyPatch) -> None:
    unit = unit_rows(table(100, 8, 1))
    whole = nearest_rows(unit, np.arange(100), 5)
    monkeypatch.setattr(cosines, "BLOCK_SCORES", 300)
    np.testing.assert_array_equal(np.sort(nearest_rows(unit, np.arange(100), 5)), np.sort(whole))


def test_too_few_rows_are_a_misuse() -> None:
    with pytest.raises(ValueError, match="5 rows have no 5 neighbors"):
        nearest_rows(unit_rows(table(5, 3, 1)), np.arange(2), 5)


def test_a_table_agrees_with_itself_turned_and_scaled() -> None:
    words, vectors = letters(200), table(200, 6, 2)
    rotation, _ = np.linalg.qr(table(6, 6, 3))
    turned = (vectors @ rotation * 3).astype(np.float32)
    result = compare_neighbors(words, vectors, words[::-1], turned[::-1])
    assert result.mean == 1.0
    assert result.coverage == 1.0
    assert result.random_mean is not None
    assert result.random_mean < 0.15  # 10 of 199 by chance


def test_the_overlap_is_the_mean_share_of_common_neighbors() -> None:
    words, first, second = letters(60), table(60, 4, 4), table(60, 4, 5)
    result = compare_neighbors(words, first, words, second, neighbors=5)
    ours, theirs = (keyed_vectors(words, vectors) for vectors in (first, second))
    for row, overlap in zip(result.rows.tolist(), result.overlaps, strict=True):
        neighbors = [{word for word, _ in keyed.most_similar(words[row], topn=5)} for keyed in (ours, theirs)]
        assert overlap == pytest.approx(len(neighbors[0] & neighbors[1]) / 5)


def test_only_shared_words_are_searched() -> None:
    words, vectors = letters(50), table(50, 4, 6)
    strange = ["notinreference"]
    with_stranger = np.concatenate([vectors, vectors[:1]])
    result = compare_neighbors(words + strange, with_stranger, [*words, "notinmodel"], with_stranger, neighbors=3)
    assert (result.shared, result.total) == (50, 51)
    assert result.mean == 1.0


def test_stop_words_and_words_with_other_characters_are_not_compared() -> None:
    words = ["The", "x1", "don't", "사랑", *letters(30), "between"]
    vectors = table(len(words), 4, 7)
    result = compare_neighbors(words, vectors, words, vectors, neighbors=3, word_limit=10)
    assert [words[row] for row in result.rows] == ["사랑", *letters(9)]


def test_case_does_not_matter_and_the_most_frequent_spelling_counts() -> None:
    words, vectors = letters(30), table(30, 4, 8)
    cased = [word.title() for word in words]
    result = compare_neighbors([*cased, words[0]], np.concatenate([vectors, vectors[:1]]), words, vectors, neighbors=3)
    assert (result.shared, result.mean) == (30, 1.0)


def test_with_too_few_shared_words_there_is_no_overlap() -> None:
    words, vectors = letters(10), table(10, 4, 9)
    result = compare_neighbors(words, vectors, words, vectors, neighbors=10)
    assert result.mean is None
    assert result.random_mean is None
    assert result.coverage == 1.0
    assert compare_neighbors(words, vectors, ["other"], vectors[:1]).coverage == 0.0


def test_lengths_that_differ_are_a_misuse() -> None:
    with pytest.raises(ValueError, match="10 words, 9 vectors"):
        compare_neighbors(letters(10), table(9, 4, 1), [], table(0, 4, 1))


def test_real_vectors_compare_their_frequent_content_words(glove: ReferenceVectors) -> None:
    words = glove.words[:5000]
    halves = glove.vectors[:5000, :25], glove.vectors[:5000, 25:]
    result = compare_neighbors(words, halves[0], words, halves[1], word_limit=200)
    compared = [words[row] for row in result.rows]
    assert compared[:3] == ["said", "new", "year"]
    assert len(compared) == 200
    assert not ENGLISH_STOP_WORDS & set(compared)
    assert result.mean is not None
    assert result.random_mean is not None
    assert result.mean > 10 * result.random_mean
