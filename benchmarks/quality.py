"""The quality of vectors, scored by gensim's functions rather than our own."""

from pathlib import Path

from gensim.models import KeyedVectors
from gensim.test.utils import datapath

# In the order of the tables; `men` only if its file is next to the project.
METRICS = ("wordsim353", "simlex999", "men", "google_analogies")
ANALOGY_WORDS = 30_000
SHARED_DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
MEN = SHARED_DATA / "gold" / "EN-MEN-TR-3k.txt"


def evaluate_quality(vectors: KeyedVectors) -> dict[str, float]:
    """Spearman correlations, and the accuracy of analogies among the ANALOGY_WORDS most frequent words."""
    scores = {
        "wordsim353": vectors.evaluate_word_pairs(datapath("wordsim353.tsv"))[1][0],
        "simlex999": vectors.evaluate_word_pairs(datapath("simlex999.txt"))[1][0],
    }
    if MEN.exists():
        scores["men"] = vectors.evaluate_word_pairs(str(MEN))[1][0]
    analogies = vectors.evaluate_word_analogies(datapath("questions-words.txt"), restrict_vocab=ANALOGY_WORDS)[0]
    return {name: float(score) for name, score in scores.items()} | {"google_analogies": float(analogies)}
