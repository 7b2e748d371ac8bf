"""Analogies: which word is to c as b is to a?"""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tasks.metrics.cosines import unit_rows
from tasks.metrics.intervals import Interval, share_interval
from tasks.metrics.lookup import find_rows, rows_by_folded_word

AnalogyMethod = Literal["3CosAdd", "3CosMul"]

# Levy and Goldberg's epsilon, which keeps the quotient of 3CosMul finite.
EPSILON = 1e-6
# Candidates and questions of one block: their scores fit in the processor's cache.
BLOCK_CANDIDATES = 2048
BLOCK_QUESTIONS = 256
# Each thread holds the scores of one block, 30 MB for Google's questions.
MOST_THREADS = 4
# Prefix of the morphological sections in Google's set and in sets modelled on it.
SYNTACTIC_SECTIONS = ("gram", "syntactic", "morph")


@dataclass(frozen=True)
class AnalogyScore:
    """Questions answered correctly, questions with all four words known, and all questions."""

    correct: int
    covered: int
    total: int

    @property
    def accuracy(self) -> float | None:
        """Share of the covered questions answered correctly, None if none is covered."""
        return self.correct / self.covered if self.covered else None

    @property
    def interval(self) -> Interval | None:
        """95 % interval of the accuracy, treating questions as independent."""
        return share_interval(self.correct, self.covered)

    @property
    def coverage(self) -> float:
        """Share of questions with all four words known."""
        return self.covered / self.total if self.total else 0.0

    def __add__(self, other: "AnalogyScore") -> "AnalogyScore":
        return AnalogyScore(self.correct + other.correct, self.covered + other.covered, self.total + other.total)


def score_analogies(
    words: Sequence[str],
    vectors: NDArray[np.float32],
    sections: Mapping[str, Sequence[tuple[str, str, str, str]]],
    max_rank: int | None = None,
    method: AnalogyMethod = "3CosAdd",
) -> dict[str, AnalogyScore]:
    """Accuracy on analogy questions (a, b, c, d), by section.

    words, vectors: V words, most frequent first, and their (V, D) vectors.
    max_rank: only the max_rank most frequent words are known and can be answers; None: all.
    method: 3CosAdd takes the word nearest to b - a + c, 3CosMul multiplies the three cosines instead of adding them.
    Words are matched without regard to case, and neither a, b, c nor their other spellings count as answers.
    Same as gensim's `KeyedVectors.evaluate_word_analogies(..., restrict_vocab=max_rank)`, which has 3CosAdd only.
    Sources: Mikolov et al. 2013, "Linguistic Regularities in Continuous Space Word Representations"; Levy and Goldberg
    2014, "Linguistic Regularities in Sparse and Explicit Word Representations", equation 4.
    Raises ValueError if words and vectors differ in number.
    """
    covered, correct = answer_questions(words, vectors, sections, max_rank, method)
    return {
        name: AnalogyScore(int(correct[part].sum()), int(covered[part].sum()), part.stop - part.start)
        for name, part in section_slices(sections).items()
    }


def section_slices(sections: Mapping[str, Sequence[object]]) -> dict[str, slice]:
    """Section -> where its questions are among all questions."""
    ends = np.cumsum([len(section) for section in sections.values()]).tolist()
    return {name: slice(end - len(sections[name]), end) for name, end in zip(sections, ends, strict=True)}


def answer_questions(
    words: Sequence[str],
    vectors: NDArray[np.float32],
    sections: Mapping[str, Sequence[tuple[str, str, str, str]]],
    max_rank: int | None = None,
    method: AnalogyMethod = "3CosAdd",
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which of the Q questions of all sections have four known words, (Q,), and which are answered correctly, (Q,).

    The arguments and errors are those of `score_analogies`.
    """
    if len(words) != len(vectors):
        raise ValueError(f"{len(words)} words, {len(vectors)} vectors")
    words = words[:max_rank]
    rows = rows_by_folded_word(words)
    # The row that represents all spellings of a word.
    spelled = find_rows(rows, words)

    asked = find_rows(rows, [word for section in sections.values() for question in section for word in question])
    questions = asked.reshape(-1, 4)
    covered = np.asarray((questions >= 0).all(axis=1))
    correct = np.zeros(len(questions), dtype=bool)
    if covered.any():
        known = questions[covered]
        answers = _answers(vectors[:max_rank], known[:, :3], spelled, method)
        correct[covered] = spelled[answers] == known[:, 3]
    return covered, correct


def sum_by_kind(scores: Mapping[str, AnalogyScore]) -> dict[str, AnalogyScore]:
    """Scores of the semantic and the syntactic sections; empty unless there are both."""
    kinds: dict[str, AnalogyScore] = {}
    for section, score in scores.items():
        kind = kind_of(section)
        kinds[kind] = kinds.get(kind, AnalogyScore(0, 0, 0)) + score
    return kinds if len(kinds) > 1 else {}


def kind_of(section: str) -> str:
    """Whether a section of Google's set, or of one modelled on it, is semantic or syntactic."""
    return "syntactic" if section.lower().startswith(SYNTACTIC_SECTIONS) else "semantic"


def _answers(
    vectors: NDArray[np.float32], questions: NDArray[np.int64], spelled: NDArray[np.int64], method: AnalogyMethod
) -> NDArray[np.int64]:
    """The row that answers each of (Q, 3) questions, (Q,).

    spelled: (V,) row that represents all spellings of a word; questions refer to these rows.
    """
    # Questions share few distinct words, so their cosines are computed once and then summed; and few distinct pairs
    # of a and b, so their difference is, too.
    asked, places = np.unique(questions, return_inverse=True)
    a, b, c = places.reshape(questions.shape).T
    pairs, pair = np.unique(np.stack([a, b]), axis=1, return_inverse=True)
    queries = unit_rows(vectors, asked)
    barred_question, barred_row = _barred(questions, spelled)

    def best_of_block(start: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Best score and row of each question among the candidates from `start` on."""
        stop = min(start + BLOCK_CANDIDATES, len(vectors))
        toward, away = _terms(queries @ unit_rows(vectors, slice(start, stop)).T, method)
        offsets = toward[pairs[1]] - away[pairs[0]]
        inside = (barred_row >= start) & (barred_row < stop)
        questions_inside, rows_inside = barred_question[inside], barred_row[inside] - start
        best_score = np.empty(len(questions), dtype=np.float32)
        best_row = np.empty(len(questions), dtype=np.int64)
        summed, added = np.empty((2, BLOCK_QUESTIONS, stop - start), dtype=np.float32)
        for block in _blocks(len(questions)):
            count = block.stop - block.start
            # With mode "raise" NumPy copies `out`.
            scores = np.take(offsets, pair[block], axis=0, out=summed[:count], mode="clip")
            scores += np.take(toward, c[block], axis=0, out=added[:count], mode="clip")
            first, last = np.searchsorted(questions_inside, (block.start, block.stop))
            scores[questions_inside[first:last] - block.start, rows_inside[first:last]] = -np.inf
            found = scores.argmax(axis=1)
            best_score[block] = scores[np.arange(count), found]
            best_row[block] = found + start
        return best_score, best_row

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else MOST_THREADS
    with ThreadPoolExecutor(min(MOST_THREADS, cores)) as threads:
        blocks = list(threads.map(best_of_block, range(0, len(vectors), BLOCK_CANDIDATES)))
    scores, rows = (np.stack(parts) for parts in zip(*blocks, strict=True))
    # Of equal scores the first, and so the more frequent word.
    return np.asarray(rows[scores.argmax(axis=0), np.arange(len(questions))], dtype=np.int64)


def _terms(cosines: NDArray[np.float32], method: AnalogyMethod) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Terms that are added for b and c and subtracted for a, from (U, B) cosines; logarithms turn 3CosMul into sums."""
    if method == "3CosAdd":
        return cosines, cosines
    halved = np.maximum((1 + cosines) / 2, np.float32(1e-12))
    return np.log(halved), np.log(halved + np.float32(EPSILON))


def _barred(questions: NDArray[np.int64], spelled: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows excluded as answers, all spellings of a question's words: (N,) questions, ascending, and (N,) rows."""
    order = np.argsort(spelled, kind="stable")
    firsts = np.searchsorted(spelled[order], questions, side="left").reshape(-1)
    counts = np.searchsorted(spelled[order], questions, side="right").reshape(-1) - firsts
    # Index of each spelling within its word: 0, 1, …
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(np.arange(len(questions)).repeat(3), counts), order[np.repeat(firsts, counts) + within]


def _blocks(count: int) -> Iterator[slice]:
    for start in range(0, count, BLOCK_QUESTIONS):
        yield slice(start, min(start + BLOCK_QUESTIONS, count))
