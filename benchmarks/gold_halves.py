"""Gold sets in two halves: one that settings are searched on, and one for reports that no search has looked at.

Scored by vecmill's functions, which match gensim's on the same vectors (tests/metrics) and take a tenth of their time.
"""

from dataclasses import replace

from gensim.models import KeyedVectors

from benchmarks.quality import ANALOGY_WORDS, MEN, SHARED_DATA
from storage.gold.sets import WordPairs, read_default_gold_sets, read_word_pairs
from tasks.metrics.analogies import AnalogyScore, score_analogies
from tasks.metrics.similarity import score_similarity

GOLD = SHARED_DATA / "gold"
KOREAN_PAIRS = GOLD / "WS353_korean.csv"
# WordSim-353 is not split: its two parts by kind are searched on, and the whole is what everybody reports.
SEARCHED_FILES = {"ws353_similarity": "EN-WS-353-SIM.txt", "ws353_relatedness": "EN-WS-353-REL.txt"}
SEARCHED_FILES |= {"mturk771": "EN-MTurk-771.txt"}
KOREAN = "wordsim353_korean"
REPORTED = ("wordsim353", "simlex999", "men_even", "analogies_even", KOREAN)


def searched_scores(vectors: KeyedVectors, *, korean: bool) -> dict[str, float]:
    """What settings may be chosen by: three sets, the odd pairs of MEN and the odd sections of Google's analogies.

    korean: the odd pairs of the Korean WordSim-353 alone. Sets whose file is absent are left out.
    """
    if korean:
        return {f"{KOREAN}_odd": _every_other_pair(vectors, read_word_pairs(KOREAN_PAIRS, KOREAN), 0)}
    files = {name: GOLD / file for name, file in SEARCHED_FILES.items()}
    scores = {name: _spearman(vectors, read_word_pairs(path, name)) for name, path in files.items() if path.exists()}
    if MEN.exists():
        scores["men_odd"] = _every_other_pair(vectors, read_word_pairs(MEN, "men"), 0)
    return scores | {"analogies_odd": _every_other_section(vectors, 0)}


def reported_scores(vectors: KeyedVectors, *, korean: bool) -> dict[str, float]:
    """What a report shows: WordSim-353, SimLex-999, the even pairs of MEN and the even sections of the analogies.

    korean: the whole Korean WordSim-353 alone.
    """
    if korean:
        return {KOREAN: _spearman(vectors, read_word_pairs(KOREAN_PAIRS, KOREAN))}
    scores = {pairs.name: _spearman(vectors, pairs) for pairs in read_default_gold_sets().similarity}
    if MEN.exists():
        scores["men_even"] = _every_other_pair(vectors, read_word_pairs(MEN, "men"), 1)
    return scores | {"analogies_even": _every_other_section(vectors, 1)}


def _spearman(vectors: KeyedVectors, pairs: WordPairs) -> float:
    score = score_similarity(vectors.index_to_key, vectors.vectors, pairs.first, pairs.second, pairs.scores)
    return score.spearman or 0.0


def _every_other_pair(vectors: KeyedVectors, pairs: WordPairs, first: int) -> float:
    half = slice(first, None, 2)
    return _spearman(
        vectors,
        replace(pairs, first=pairs.first[half], second=pairs.second[half], scores=pairs.scores[half]),
    )


def _every_other_section(vectors: KeyedVectors, first: int) -> float:
    (analogies,) = read_default_gold_sets().analogies
    sections = dict(list(analogies.sections.items())[first::2])
    scores = score_analogies(vectors.index_to_key, vectors.vectors, sections, ANALOGY_WORDS)
    return sum(scores.values(), start=AnalogyScore(0, 0, 0)).accuracy or 0.0
