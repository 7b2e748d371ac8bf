"""Gold sets: word pairs with a human score, and analogy questions, read from the files they are shared as.

WordSim-353, SimLex-999 and the Google analogies come with gensim's wheel, so the default evaluation needs no network.
"""

import csv
import hashlib
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from storage.errors import GoldSetError

# metric -> file in gensim/test/test_data
SIMILARITY_FILES = {"wordsim353": "wordsim353.tsv", "simlex999": "simlex999.txt"}
ANALOGY_FILES = {"google_analogies": "questions-words.txt"}
BAD_ROWS_SHOWN = 5

Question = tuple[str, str, str, str]


@dataclass(frozen=True)
class WordPairs:
    """Word pairs that people scored by similarity; pair i is first[i], second[i], scores[i].

    scores: (P,) float64, on whatever scale the file has.  digest: sha256 of the file.
    """

    name: str
    first: tuple[str, ...]
    second: tuple[str, ...]
    scores: NDArray[np.float64]
    digest: str


@dataclass(frozen=True)
class Analogies:
    """Analogy questions "a is to b as c is to d", by section.

    sections: section name -> its questions (a, b, c, d), in the order of the file.  digest: sha256 of the file.
    """

    name: str
    sections: dict[str, tuple[Question, ...]]
    digest: str


@dataclass(frozen=True)
class GoldSets:
    """All the sets of one evaluation."""

    similarity: tuple[WordPairs, ...]
    analogies: tuple[Analogies, ...]

    @property
    def digests(self) -> dict[str, str]:
        """Name of each set -> sha256 of its file."""
        return {pairs.name: pairs.digest for pairs in self.similarity} | {
            analogies.name: analogies.digest for analogies in self.analogies
        }


def read_default_gold_sets() -> GoldSets:
    """WordSim-353, SimLex-999 and the Google analogies. Raises GoldSetError if gensim does not carry them."""
    folder = _gensim_test_data()
    return GoldSets(
        similarity=tuple(read_word_pairs(folder / file, name) for name, file in SIMILARITY_FILES.items()),
        analogies=tuple(read_analogies(folder / file, name) for name, file in ANALOGY_FILES.items()),
    )


def read_word_pairs(path: Path, name: str | None = None) -> WordPairs:
    """Read rows of word, word and score, separated by tabs, commas or blanks.

    A byte order mark, empty lines, lines that begin with `#` and one heading row are passed over. The score is the
    first number after the two words, so files with further columns between or after (SimLex-999 as published, RW)
    are read too.
    Raises GoldSetError naming file and line of each bad row, and for a file without any row.
    """
    text, digest = _read_text(path)
    rows: list[tuple[str, str, float]] = []
    bad: list[int] = []
    heading_possible = True
    for number, line in _content_lines(text, comments=("#",)):
        row = _parse_pair(line)
        if row is not None:
            rows.append(row)
        elif not (heading_possible and len(_fields(line)) >= 3):
            bad.append(number)
        heading_possible = False
    _check_rows(path, bad, len(rows), "word, word and a number")
    return WordPairs(
        name=name or path.stem,
        first=tuple(row[0] for row in rows),
        second=tuple(row[1] for row in rows),
        scores=np.array([row[2] for row in rows], dtype=np.float64),
        digest=digest,
    )


def read_analogies(path: Path, name: str | None = None) -> Analogies:
    """Read questions in Google's format: `: section` lines, and below each of them lines of four words.

    A byte order mark, empty lines and lines that begin with `#` or `//` are passed over.
    Raises GoldSetError naming file and line of each bad row, and for a file without any question.
    """
    text, digest = _read_text(path)
    sections: dict[str, list[Question]] = {}
    bad: list[int] = []
    section = name or path.stem
    for number, line in _content_lines(text, comments=("#", "//")):
        words = line.split()
        if line.startswith(":"):
            section = line.lstrip(": ").strip()
        elif len(words) == 4:
            sections.setdefault(section, []).append((words[0], words[1], words[2], words[3]))
        else:
            bad.append(number)
    _check_rows(path, bad, sum(map(len, sections.values())), "four words, or `: section`")
    return Analogies(name or path.stem, {key: tuple(questions) for key, questions in sections.items()}, digest)


def _gensim_test_data() -> Path:
    # Importing gensim takes a second; finding its folder takes none.
    spec = find_spec("gensim")
    if spec is None or not spec.submodule_search_locations:
        raise GoldSetError("the gold sets come with gensim, which is not installed: pip install gensim")
    return Path(spec.submodule_search_locations[0], "test", "test_data")


def _read_text(path: Path) -> tuple[str, str]:
    """A file's text and the sha256 of its bytes."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise GoldSetError(f"the gold set {path} cannot be read: {error.strerror or error}; check its path") from error
    try:
        return data.decode("utf-8-sig"), hashlib.sha256(data).hexdigest()
    except UnicodeDecodeError as error:
        raise GoldSetError(
            f"the gold set {path} is not UTF-8 text: bad byte at offset {error.start}; convert it to UTF-8"
        ) from error


def _content_lines(text: str, comments: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """Line number from 1 and stripped line, for the lines that say something."""
    # str.splitlines would also split at characters that words may hold, such as a line separator.
    for number, raw in enumerate(io.StringIO(text, newline=None), start=1):
        line = raw.strip()
        if line and not line.startswith(comments):
            yield number, line


def _fields(line: str) -> list[str]:
    if "\t" in line:
        fields = line.split("\t")
    elif "," in line:
        try:
            fields = next(csv.reader([line]))
        except csv.Error:  # a field of more than 128 KB: certainly no word
            return []
    else:
        fields = line.split()
    return [field.strip() for field in fields]


def _parse_pair(line: str) -> tuple[str, str, float] | None:
    """Word, word and score of a row, or None if it is not one."""
    fields = _fields(line)
    if len(fields) < 3 or not fields[0] or not fields[1]:
        return None
    for field in fields[2:]:
        try:
            score = float(field)
        except ValueError:
            continue
        return (fields[0], fields[1], score) if math.isfinite(score) else None
    return None


def _check_rows(path: Path, bad: list[int], usable: int, expected: str) -> None:
    if bad:
        lines = ", ".join(f"{path}:{number}" for number in bad[:BAD_ROWS_SHOWN])
        more = f" and {len(bad) - BAD_ROWS_SHOWN} more" if len(bad) > BAD_ROWS_SHOWN else ""
        raise GoldSetError(
            f"bad rows in a gold set: {lines}{more} (expected {expected}); correct them or begin each with '#'"
        )
    if not usable:
        raise GoldSetError(f"the gold set {path} has no row (expected {expected}); name another file")
