"""Gold sets: word pairs with a human score, and analogy questions, read from the files they are shared as.

WordSim-353, SimLex-999 and the Google analogies come with gensim's wheel, so the default evaluation needs no network.
"""

import hashlib
import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from storage.errors import GoldSetError
from storage.gold_files import Question, holds_questions, parse_pairs, parse_questions
from storage.named_paths import named_path

logger = logging.getLogger(__name__)

# metric -> file in gensim/test/test_data
SIMILARITY_FILES = {"wordsim353": "wordsim353.tsv", "simlex999": "simlex999.txt"}
ANALOGY_FILES = {"google_analogies": "questions-words.txt"}
BAD_ROWS_SHOWN = 5
NOT_IN_A_NAME = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class WordPairs:
    """Word pairs that people scored by similarity; pair i is first[i], second[i], scores[i].

    scores: (P,) float64, on whatever scale the file has.  digest: sha256 of the file.
    left_out: numbers of the lines that are no pair.
    """

    name: str
    first: tuple[str, ...]
    second: tuple[str, ...]
    scores: NDArray[np.float64]
    digest: str
    left_out: tuple[int, ...] = ()


@dataclass(frozen=True)
class Analogies:
    """Analogy questions "a is to b as c is to d", by section.

    sections: section name -> its questions (a, b, c, d), in the order of the file.  digest: sha256 of the file.
    left_out: numbers of the lines that are no question.
    """

    name: str
    sections: dict[str, tuple[Question, ...]]
    digest: str
    left_out: tuple[int, ...] = ()


@dataclass(frozen=True)
class GoldSets:
    """All the sets of one evaluation."""

    similarity: tuple[WordPairs, ...]
    analogies: tuple[Analogies, ...]

    @property
    def digests(self) -> dict[str, str]:
        """Name of each set -> sha256 of its file."""
        return {gold.name: gold.digest for gold in self._all}

    @property
    def left_out(self) -> dict[str, tuple[int, ...]]:
        """Name of each set that has bad rows -> numbers of their lines."""
        return {gold.name: gold.left_out for gold in self._all if gold.left_out}

    @property
    def _all(self) -> tuple[WordPairs | Analogies, ...]:
        return (*self.similarity, *self.analogies)


def metric_name(stem: str) -> str:
    """The name of a file as that of a metric: lower case, everything but letters and digits a `_`."""
    return NOT_IN_A_NAME.sub("_", stem.lower()).strip("_") or "gold"


def gold_metrics(files: Iterable[str] = ()) -> list[str]:
    """Names of the metrics of the default gold sets and of those in `files`.

    Raises GoldSetError if two are the same.
    """
    names = [*SIMILARITY_FILES, *ANALOGY_FILES]
    for file in files:
        name = metric_name(Path(file).stem)
        if name in names:
            raise GoldSetError(f"the gold set {file} would be called {name}, as another one is; rename the file")
        names.append(name)
    return names


def read_default_gold_sets() -> GoldSets:
    """WordSim-353, SimLex-999 and the Google analogies. Raises GoldSetError if gensim does not carry them."""
    folder = _gensim_test_data()
    return GoldSets(
        similarity=tuple(read_word_pairs(folder / file, name) for name, file in SIMILARITY_FILES.items()),
        analogies=tuple(read_analogies(folder / file, name) for name, file in ANALOGY_FILES.items()),
    )


def read_gold_sets(files: Sequence[str] = ()) -> GoldSets:
    """The default sets and those in further files, pairs or analogies as their rows show.

    Raises GoldSetError for a file that cannot be read or has no usable row, or two of the same name.
    """
    default = read_default_gold_sets()
    similarity, analogies = list(default.similarity), list(default.analogies)
    for file, name in zip(files, gold_metrics(files)[-len(files) :] if files else (), strict=True):
        path = named_path(file, "evaluation.gold")
        if holds_questions(_read_text(path)[0]):
            analogies.append(read_analogies(path, name))
        else:
            similarity.append(read_word_pairs(path, name))
    return GoldSets(tuple(similarity), tuple(analogies))


def read_word_pairs(path: Path, name: str | None = None) -> WordPairs:
    """Read rows of word, word and score, separated by tabs, commas or blanks; see `parse_pairs`.

    Bad rows are left out, and named by file and line in the log.
    Raises GoldSetError for a file that cannot be read or has no usable row.
    """
    text, digest = _read_text(path)
    pairs, bad = parse_pairs(text)
    _tell_bad_rows(path, bad, len(pairs), "word, word and a number")
    return WordPairs(
        name=name or path.stem,
        first=tuple(pair.first for pair in pairs),
        second=tuple(pair.second for pair in pairs),
        scores=np.array([pair.score for pair in pairs], dtype=np.float64),
        digest=digest,
        left_out=tuple(bad),
    )


def read_analogies(path: Path, name: str | None = None) -> Analogies:
    """Read questions in Google's form, or with their section in the first of five columns; see `parse_questions`.

    Bad rows are left out, and named by file and line in the log.
    Raises GoldSetError for a file that cannot be read or has no usable row.
    """
    text, digest = _read_text(path)
    sections, bad = parse_questions(text, first_section=name or path.stem)
    _tell_bad_rows(path, bad, sum(map(len, sections.values())), "four words, `: section`, or a section and four words")
    return Analogies(
        name=name or path.stem,
        sections={section: tuple(questions) for section, questions in sections.items()},
        digest=digest,
        left_out=tuple(bad),
    )


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


def _tell_bad_rows(path: Path, bad: Sequence[int], usable: int, expected: str) -> None:
    lines = ", ".join(f"{path}:{number}" for number in bad[:BAD_ROWS_SHOWN])
    more = f" and {len(bad) - BAD_ROWS_SHOWN} more" if len(bad) > BAD_ROWS_SHOWN else ""
    if not usable:
        found = f"; its bad rows are {lines}{more}" if bad else ""
        raise GoldSetError(f"the gold set {path} has no row (expected {expected}){found}; correct it or name another")
    if bad:
        logger.warning("left out %d bad rows of a gold set: %s%s (expected %s)", len(bad), lines, more, expected)
