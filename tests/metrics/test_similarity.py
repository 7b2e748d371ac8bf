"""Word similarity equals SciPy by hand and gensim on real vectors."""

from pathlib import Path

import numpy as np
import pytest
from gensim.models import KeyedVectors
from gensim.test.utils import datapath
from scipy.stats import spearmanr

from storage.gold.sets import read_word_pairs
from storage.vectors.reference import ReferenceVectors
from tasks.metrics import similarity
from tasks.metrics.bands import END
from tasks.metrics.similarity import score_bands, score_similarity
from tests.metrics.conftest import keyed_vectors

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
WORDS = ["cat", "dog", "car", "Cat", "zero"]
VECTORS = np.array([[1, 0], [1, 1], [0, 2], [0, 9], [0, 0]], dtype=np.float32)


def test_the_correlation_is_spearmans_over_covered_pairs() -> None:
    # cosines: cat-dog 0.707, cat-car 0, dog-car 0.707, cat-cat 1
    score = score_similarity(
        WORDS, VECTORS, ["cat", "cat", "dog", "cat", "cat"], ["dog", "car", "car", "cat", "bird"], np.arange(5.0)
    )
    assert (score.covered, score.total, score.coverage) == (4, 5, 0.8)
    assert score.spearman == pytest.approx(spearmanr([0.5**0.5, 0, 0.5**0.5, 1], [0, 1, 2, 3]).statistic)


def test_case_does_not_matter_and_the_most_frequent_spelling_counts() -> None:
    arguments = (np.array([1.0, 2.0]),)
    lower = score_similarity(WORDS, VECTORS, ["cat", "cat"], ["car", "dog"], *arguments)
    upper = score_similarity(WORDS, VECTORS, ["CAT", "Cat"], ["Car", "DOG"], *arguments)
    assert lower == upper
    assert lower.spearman == pytest.approx(1.0)


def test_a_vector_of_zeros_is_similar_to_nothing() -> None:
    score = score_similarity(WORDS, VECTORS, ["zero", "cat"], ["cat", "cat"], np.array([1.0, 2.0]))
    assert score.spearman == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("first", "second"),
    [([], []), (["bird"], ["fish"]), (["cat"], ["dog"]), (["zero", "zero"], ["cat", "dog"])],
    ids=["no pair", "no covered pair", "one pair", "all cosines the same"],
)
def test_a_correlation_that_is_undefined_is_none(first: list[str], second: list[str]) -> None:
    assert score_similarity(WORDS, VECTORS, first, second, np.arange(float(len(first)))).spearman is None


def test_pairs_are_banded_by_their_rarer_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similarity, "BANDS", ((1, 20), (21, 40), (41, END)))
    random = np.random.default_rng(2)
    words = [f"word{number}" for number in range(60)]
    vectors = random.standard_normal((60, 8)).astype(np.float32)
    first, second = random.integers(60, size=(2, 300))
    left, right = ([words[row] for row in rows] for rows in (first, second))
    scores = random.random(300)
    bands = score_bands(words, vectors, left, right, scores, ranked=50)
    rarer = np.maximum(first, second)
    for band, inside in (
        ("rank 1 to 20", rarer < 20),
        ("rank 21 to 40", (rarer >= 20) & (rarer < 40)),
        ("rank 41 on", (rarer >= 40) & (rarer < 50)),  # the last ten words have no rank
    ):
        picked = np.flatnonzero(inside)
        ours, theirs = ([own[row] for row in picked] for own in (left, right))
        alone = score_similarity(words, vectors, ours, theirs, scores[picked])
        assert bands.pop(band) == alone
    assert not bands
    # Nine pairs are too few to say anything.
    assert not score_bands(words, vectors, left[:9], right[:9], scores[:9], ranked=60)


def test_vectors_with_nan_have_no_correlation() -> None:
    score = score_similarity(WORDS, VECTORS * np.nan, ["cat", "cat"], ["dog", "car"], np.array([1.0, 2.0]))
    assert score.spearman is None


def test_the_interval_holds_the_correlation_and_narrows_with_more_pairs(glove: ReferenceVectors) -> None:
    widths = []
    for file in ("wordsim353.tsv", "simlex999.txt"):
        pairs = read_word_pairs(Path(datapath(file)))
        score = score_similarity(glove.words, glove.vectors, pairs.first, pairs.second, pairs.scores)
        assert score.interval is not None
        assert score.spearman is not None
        assert score.interval.low < score.spearman < score.interval.high
        widths.append(score.interval.high - score.interval.low)
    assert widths[1] < widths[0] < 0.25


def test_lengths_that_differ_are_a_misuse() -> None:
    with pytest.raises(ValueError, match="5 words, 4 vectors"):
        score_similarity(WORDS, VECTORS[:4], [], [], np.empty(0))
    with pytest.raises(ValueError, match="2 scores"):
        score_similarity(WORDS, VECTORS, ["cat"], ["dog"], np.ones(2))


@pytest.mark.parametrize("file", ["wordsim353.tsv", "simlex999.txt"])
@pytest.mark.parametrize("limit", [5000, 400_000])
def test_real_vectors_score_as_gensim_scores_them(glove: ReferenceVectors, file: str, limit: int) -> None:
    words, vectors = glove.words[:limit], glove.vectors[:limit]
    pairs = read_word_pairs(Path(datapath(file)))
    score = score_similarity(words, vectors, pairs.first, pairs.second, pairs.scores)
    _, spearman, missing_percent = keyed_vectors(words, vectors).evaluate_word_pairs(
        datapath(file), restrict_vocab=limit
    )
    assert score.spearman == pytest.approx(spearman.statistic, abs=1e-4)
    assert score.coverage == pytest.approx(1 - missing_percent / 100)


@pytest.mark.skipif(not DATA.is_dir(), reason=f"the optional Google News vectors are not in {DATA}")
@pytest.mark.parametrize(
    ("file", "spearman", "covered"), [("EN-WS-353-ALL.txt", 0.698, 253), ("EN-MEN-TR-3k.txt", 0.763, 1216)]
)
def test_google_news_scores_what_is_known_of_it(file: str, spearman: float, covered: int) -> None:
    keyed = KeyedVectors.load_word2vec_format(str(DATA / "vectors" / "googlenews_w2v_8000x300.bin"), binary=True)
    pairs = read_word_pairs(DATA / "gold" / file)
    score = score_similarity(keyed.index_to_key, keyed.vectors, pairs.first, pairs.second, pairs.scores)
    assert score.covered == covered
    assert score.spearman == pytest.approx(spearman, abs=5e-4)
