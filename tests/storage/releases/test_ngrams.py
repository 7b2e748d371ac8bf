"""Vectors of unknown words in SQL against NumPy and gensim's hashes, for any word and n-gram length."""

from pathlib import Path

import duckdb
import numpy as np
import pytest
from gensim.models.fasttext import ft_ngram_hashes
from numpy.typing import NDArray

from storage.releases.file import ReleaseContent, write_release_file
from storage.releases.ngrams import NgramContent, quantized
from storage.releases.reader import check_release_file, read_content
from tests.storage.sample_releases import provenance

WORDS = [f"word{number}" for number in range(60)] + ["naïve", "日本語"]
UNSEEN = ["wordy", "swordfish", "naïvely", "日本", "it's", "ab", "''", "unforgettableness", "x" * 200]
RANDOM = np.random.default_rng(7)
VECTORS = RANDOM.normal(size=(len(WORDS), 20)).astype(np.float32)
UNIT = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
BUCKETS = RANDOM.normal(size=(500, 20)).astype(np.float32)


@pytest.fixture(scope="module", params=[(3, 6), (1, 4), (5, 5)], ids=str)
def release(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, int]:
    lowest, highest = request.param
    path = tmp_path_factory.mktemp("release") / "news.duckdb"
    settings = {"training": {"minimum_ngram": lowest, "maximum_ngram": highest}}
    counts = np.arange(len(WORDS), 0, -1, dtype=np.int64)
    ngrams = NgramContent(lowest, highest, BUCKETS)
    content = ReleaseContent(WORDS, counts, VECTORS, provenance(), settings=settings, ngrams=ngrams)
    write_release_file(path, "news", 1, content)
    check_release_file(path)
    return path, lowest, highest


def composed(word: str, lowest: int, highest: int) -> NDArray[np.float64] | None:
    """The unit vector of a word's n-grams, from the rounded rows."""
    numbers, scales = quantized(BUCKETS)
    rows = (numbers * scales[:, None].astype(np.float64))[list(map(int, ft_ngram_hashes(word, lowest, highest, 500)))]
    total = rows.sum(axis=0)
    return total / np.linalg.norm(total) if len(rows) else None


def test_an_unknown_word_has_the_vector_of_its_ngrams(release: tuple[Path, int, int]) -> None:
    path, lowest, highest = release
    with duckdb.connect(str(path), read_only=True) as connection:
        for word in UNSEEN:
            ((found,),) = connection.execute("SELECT word_vector(?)", [word]).fetchall()
            expected = composed(word, lowest, highest)
            if expected is None:
                assert found is None
                assert connection.execute("FROM nearest(?)", [word]).fetchall() == []
                continue
            np.testing.assert_allclose(found, expected, atol=1e-6)
            rows = connection.execute("SELECT word, similarity FROM nearest(?, k := 5)", [word]).fetchall()
            cosines = UNIT @ expected
            best = np.argsort(-cosines)[:5]
            assert [row[0] for row in rows] == [WORDS[row] for row in best]
            np.testing.assert_allclose([row[1] for row in rows], cosines[best], atol=1e-6)


def test_known_words_answer_from_their_own_vectors(release: tuple[Path, int, int]) -> None:
    with duckdb.connect(str(release[0]), read_only=True) as connection:
        for row, word in enumerate(WORDS[:3] + WORDS[-2:]):
            place = row if row < 3 else len(WORDS) - 5 + row
            ((found,),) = connection.execute("SELECT word_vector(?)", [word]).fetchall()
            np.testing.assert_allclose(found, UNIT[place], atol=1e-6)
            neighbors = connection.execute("SELECT word FROM nearest(?, k := 4)", [word]).fetchall()
            order = [WORDS[other] for other in np.argsort(-(UNIT @ UNIT[place])) if other != place]
            assert [name for (name,) in neighbors] == order[:4]


def test_both_answer_for_a_column_of_words(release: tuple[Path, int, int]) -> None:
    words = [*UNSEEN, *WORDS[:5]]
    with duckdb.connect(str(release[0]), read_only=True) as connection:
        single = [connection.execute("SELECT word_vector(?)", [word]).fetchall()[0][0] for word in words]
        together = connection.execute(
            "SELECT word_vector(w) FROM (SELECT unnest(?) AS w, generate_subscripts(?, 1) AS i) ORDER BY i",
            [words, words],
        ).fetchall()
        for one, (other,) in zip(single, together, strict=True):
            assert (one is None) == (other is None)
            if one is not None:
                np.testing.assert_allclose(one, other, atol=1e-6)
        counted = connection.execute(
            "SELECT w, count(*) FROM (SELECT unnest(?) AS w) t, nearest(t.w, k := 3) GROUP BY w", [words]
        ).fetchall()
        assert dict(counted) == {word: 3 for word, vector in zip(words, single, strict=True) if vector is not None}
        assert connection.execute("SELECT word_vector(NULL)").fetchall() == [(None,)]


def test_the_ngrams_are_read_back_and_stay_small(release: tuple[Path, int, int], tmp_path: Path) -> None:
    path, lowest, highest = release
    found = read_content(path).ngrams
    assert found is not None
    assert (found.minimum, found.maximum) == (lowest, highest)
    step = np.abs(BUCKETS).max(axis=1, keepdims=True) / 127
    assert np.all(np.abs(found.vectors - BUCKETS) <= step / 2 + 1e-6)
    again = tmp_path / "again.duckdb"
    write_release_file(again, "news", 1, read_content(path))
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"ATTACH '{again}' AS again")
        ((same,),) = connection.execute(
            "SELECT bool_and(a.vector = b.vector) FROM ngram_vectors a JOIN again.ngram_vectors b USING (bucket)"
        ).fetchall()
    assert same
