"""Example neighbours of a release, for the end of a build."""

from pathlib import Path

from storage.releases.querying import Neighbor, neighbors_of_words
from storage.releases.reports import read_frequent_words
from tasks.metrics.examples import choose_examples
from tasks.metrics.stop_words import english_stop_words

# Among these the example words and, to judge them, their neighbours are looked for.
COMPARED_WORDS = 20_000


def example_neighbors(path: Path, words: int = 5, k: int = 5) -> list[tuple[str, list[Neighbor]]]:
    """Some frequent content words of a release file with their k nearest words, the most frequent word first."""
    frequent = read_frequent_words(path, COMPARED_WORDS)
    rows = choose_examples(frequent.words, frequent.vectors, english_stop_words(), words, k)
    return neighbors_of_words(path, [frequent.words[row] for row in rows], k)
