"""Gold sets: word pairs with human scores, and analogy questions, in their original file formats.

WordSim-353, SimLex-999 and the Google analogies are part of gensim's wheel, so the default evaluation needs no network.
"""

import hashlib
import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from storage.disk import sha256_of
from storage.errors import GoldSetError
from storage.files.compressed import DamagedFileError, UnreadableFileError, open_decompressed, recognize_file
from storage.files.signatures import COMPRESSION_SUFFIXES, UNDECIDED, FileKind, describe, remedy
from storage.gold.files import GoldRows, Question, parse_gold
from storage.named_paths import named_path

logger = logging.getLogger(__name__)

# metric -> file in gensim/test/test_data
SIMILARITY_FILES = {"wordsim353": "wordsim353.tsv", "simlex999": "simlex999.txt"}
ANALOGY_FILES = {"google_analogies": "questions-words.txt"}
BAD_ROWS_SHOWN = 5
NOT_IN_A_NAME = re.compile(r"[\W_]+")
# A file and the columns to read: two commas for pairs, three or four for questions.
WITH_COLUMNS = re.compile(r"(?P<file>.+):(?P<columns>[^:/,]+(?:,[^:/,]+){2,4})")
PAIR_FORM = "word, word and a number"
QUESTION_FORM = "four words, `: section`, or a section and four words"
# Bytes. The largest list in use has 20,000 rows.
LARGEST_FILE = 1 << 28
READ_KINDS = UNDECIDED | {FileKind.EMPTY}

# A run reads the same sets when it starts and when it evaluates; parsing takes .2 s.
_parsed = lru_cache(maxsize=8)(parse_gold)


@dataclass(frozen=True)
class WordPairs:
    """Word pairs with human similarity scores; pair i is first[i], second[i], scores[i].

    scores: (P,) float64, on the scale of the file.  digest: sha256 of the file.
    left_out: numbers of the malformed lines.  columns: description of the columns, for people.
    """

    name: str
    first: tuple[str, ...]
    second: tuple[str, ...]
    scores: NDArray[np.float64]
    digest: str
    left_out: tuple[int, ...] = ()
    columns: str = ""


@dataclass(frozen=True)
class Analogies:
    """Analogy questions "a is to b as c is to d", by section.

    sections: section name -> its questions (a, b, c, d), in the order of the file.  digest: sha256 of the file.
    left_out: numbers of the malformed lines.  columns: description of the columns, for people.
    """

    name: str
    sections: dict[str, tuple[Question, ...]]
    digest: str
    left_out: tuple[int, ...] = ()
    columns: str = ""


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
    def columns(self) -> dict[str, str]:
        """Name of each set that a user named -> which of its columns were read."""
        known = {*SIMILARITY_FILES, *ANALOGY_FILES}
        return {gold.name: gold.columns for gold in self._all if gold.name not in known}

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
        path, _ = split_columns(file)
        name = metric_name(_without_compression(Path(path).name))
        if name in names:
            raise GoldSetError(f"the name of the gold set {file} collides with another, {name}; rename the file")
        names.append(name)
    return names


def read_default_gold_sets() -> GoldSets:
    """WordSim-353, SimLex-999 and the Google analogies. Raises GoldSetError if gensim does not carry them."""
    folder = _gensim_test_data()
    return GoldSets(
        similarity=tuple(read_word_pairs(folder / file, name) for name, file in SIMILARITY_FILES.items()),
        analogies=tuple(read_analogies(folder / file, name) for name, file in ANALOGY_FILES.items()),
    )


def split_columns(spec: str) -> tuple[str, tuple[str, ...]]:
    """The file and the columns of a gold set that is named as `FILE` or `FILE:word1,word2,score`."""
    match = WITH_COLUMNS.fullmatch(spec)
    if match is None or Path(spec).is_file():
        return spec, ()
    return match["file"], tuple(column.strip() for column in match["columns"].split(","))


def read_gold_sets(files: Sequence[str] = ()) -> GoldSets:
    """The default sets and those in further files, each detected as pairs or analogies.

    files: each a path, or `PATH:word1,word2,score` to select columns.
    Raises GoldSetError for an unreadable file, one without usable rows or with ambiguous columns, and duplicate names.
    """
    default = read_default_gold_sets()
    similarity, analogies = list(default.similarity), list(default.analogies)
    for file, name in zip(files, gold_metrics(files)[-len(files) :] if files else (), strict=True):
        spec, columns = split_columns(file)
        path = named_path(spec, "evaluation.gold")
        rows, digest = _read_rows(path, name, columns)
        if rows.sections:
            analogies.append(_analogies(name, rows, digest))
        else:
            similarity.append(_word_pairs(name, rows, digest))
        logger.info("gold set %s: %s", path, rows.columns)
    return GoldSets(tuple(similarity), tuple(analogies))


def read_word_pairs(path: Path, name: str | None = None, columns: Sequence[str] = ()) -> WordPairs:
    """Read rows of two words and a score; see `parse_gold`.

    Malformed rows are skipped and logged with file and line.
    Raises GoldSetError for an unreadable file, or one without usable rows or with ambiguous columns.
    """
    rows, digest = _read_rows(path, path.stem, columns, questions=False)
    return _word_pairs(name or path.stem, rows, digest)


def read_analogies(path: Path, name: str | None = None, columns: Sequence[str] = ()) -> Analogies:
    """Read questions in Google's format, or with the section in a separate column; see `parse_gold`.

    Malformed rows are skipped and logged with file and line.
    Raises GoldSetError for an unreadable file, or one without usable rows or with ambiguous columns.
    """
    rows, digest = _read_rows(path, name or path.stem, columns, pairs=False)
    return _analogies(name or path.stem, rows, digest)


def _read_rows(
    path: Path, first_section: str, columns: Sequence[str], *, pairs: bool = True, questions: bool = True
) -> tuple[GoldRows, str]:
    """The rows of a file, and a digest of its content and the selected columns."""
    text, digest = _read_text(path)
    try:
        rows = _parsed(text, first_section, tuple(columns), pairs=pairs, questions=questions)
    except ValueError as error:
        raise GoldSetError(
            f"the gold set {path} cannot be read: {error}; select the columns by name, as in {path}:word1,word2,score, "
            f"or by number, as in {path}:1,2,3 (analogies: four words, or the section and four words)"
        ) from error
    expected = [form for form, wanted in ((PAIR_FORM, pairs), (QUESTION_FORM, questions)) if wanted]
    if rows.pairs or rows.sections:
        expected = [PAIR_FORM if rows.pairs else QUESTION_FORM]
    usable = len(rows.pairs) + sum(map(len, rows.sections.values()))
    _warn_of_bad_rows(path, rows.bad, usable, " or ".join(expected))
    if columns:
        # The same file with other columns is a different gold set.
        digest = hashlib.sha256(f"{digest}:{','.join(columns)}".encode()).hexdigest()
    return rows, digest


def _word_pairs(name: str, rows: GoldRows, digest: str) -> WordPairs:
    return WordPairs(
        name=name,
        first=tuple(pair.first for pair in rows.pairs),
        second=tuple(pair.second for pair in rows.pairs),
        scores=np.array([pair.score for pair in rows.pairs], dtype=np.float64),
        digest=digest,
        left_out=tuple(rows.bad),
        columns=rows.columns,
    )


def _analogies(name: str, rows: GoldRows, digest: str) -> Analogies:
    sections = {section: tuple(questions) for section, questions in rows.sections.items()}
    return Analogies(name=name, sections=sections, digest=digest, left_out=tuple(rows.bad), columns=rows.columns)


def _without_compression(name: str) -> str:
    """The stem of a file name, without a compression suffix."""
    path = Path(name)
    return Path(path.stem if path.suffix.lower() in COMPRESSION_SUFFIXES else path.name).stem


def _gensim_test_data() -> Path:
    # Importing gensim takes a second; locating its folder doesn't.
    spec = find_spec("gensim")
    if spec is None or not spec.submodule_search_locations:
        raise GoldSetError("the gold sets are part of gensim, which is not installed: pip install gensim")
    return Path(spec.submodule_search_locations[0], "test", "test_data")


def _read_text(path: Path) -> tuple[str, str]:
    """The text of a file, decompressed if necessary, and the sha256 of its bytes."""
    try:
        kind = recognize_file(path).kind
        with open_decompressed(path) as file:
            data = file.read(LARGEST_FILE + 1)
        digest = sha256_of(path)
    except (UnreadableFileError, DamagedFileError) as error:
        raise GoldSetError(f"the gold set {path} cannot be read: {error}") from error
    except OSError as error:
        raise GoldSetError(f"the gold set {path} cannot be read: {error.strerror or error}; check its path") from error
    if kind not in READ_KINDS:
        raise GoldSetError(f"the gold set {path} is {describe(kind)}, not rows of text; {remedy(kind)}")
    if len(data) > LARGEST_FILE:
        raise GoldSetError(f"the gold set {path} is larger than {LARGEST_FILE >> 20} MiB; use a list of word pairs")
    try:
        return data.decode("utf-8-sig"), digest
    except UnicodeDecodeError as error:
        raise GoldSetError(
            f"the gold set {path} is not UTF-8 text: invalid byte at offset {error.start}; convert it to UTF-8"
        ) from error


def _warn_of_bad_rows(path: Path, bad: Sequence[int], usable: int, expected: str) -> None:
    lines = ", ".join(f"{path}:{number}" for number in bad[:BAD_ROWS_SHOWN])
    more = f" and {len(bad) - BAD_ROWS_SHOWN} more" if len(bad) > BAD_ROWS_SHOWN else ""
    if not usable:
        shown = f"; malformed rows: {lines}{more}" if bad else ""
        raise GoldSetError(f"the gold set {path} has no usable rows (expected {expected}){shown}; fix it")
    if bad:
        logger.warning("skipped %d malformed rows of a gold set: %s%s (expected %s)", len(bad), lines, more, expected)
