"""Analogies: is the word nearest to b - a + c the one that completes "a is to b as c is to"?"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.metrics.cosines import score_blocks, unit_rows
from tasks.metrics.lookup import find_rows, fold_case, rows_by_folded_word


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
) -> dict[str, AnalogyScore]:
    """Accuracy of 3CosAdd on analogy questions (a, b, c, d), by section.

    words, vectors: V words, most frequent first, and their (V, D) vectors.
    max_rank: only the first so many words are known and can be answers; None: all.
    Words are matched without regard to case, and neither a, b, c nor their other spellings count as answers.
    Same as gensim's `KeyedVectors.evaluate_word_analogies(..., restrict_vocab=max_rank)`.
    Source: Mikolov et al. 2013, "Linguistic Regularities in Continuous Space Word Representations".
    Raises ValueError if words and vectors differ in number.
    """
    if len(words) != len(vectors):
        raise ValueError(f"{len(words)} words, {len(vectors)} vectors")
    words = words[:max_rank]
    rows = rows_by_folded_word(words)
    spellings: dict[int, list[int]] = defaultdict(list)
    for row, word in enumerate(words):
        spellings[rows[fold_case(word)]].append(row)

    questions = [question for section in sections.values() for question in section]
    question_rows = find_rows(rows, [word for question in questions for word in question]).reshape(-1, 4)
    covered = np.asarray((question_rows >= 0).all(axis=1))
    correct = np.zeros(len(questions), dtype=bool)
    if covered.any():
        correct[covered] = _answered(unit_rows(vectors, slice(max_rank)), question_rows[covered], spellings)

    result, start = {}, 0
    for name, section in sections.items():
        part = slice(start, start + len(section))
        result[name] = AnalogyScore(int(correct[part].sum()), int(covered[part].sum()), len(section))
        start += len(section)
    return result


def _answered(
    unit: NDArray[np.float32], questions: NDArray[np.int64], spellings: Mapping[int, list[int]]
) -> NDArray[np.bool_]:
    """Whether each of (Q, 4) questions is answered, (Q,) bool. spellings: row -> it and its other spellings."""
    answered = np.empty(len(questions), dtype=bool)
    a, b, c, d = questions.T
    # 3CosAdd: the cosine with b - a + c; its length changes no order.
    for block, scores in score_blocks(unit[b] - unit[a] + unit[c], unit):
        for score, question in zip(scores, questions[block, :3].tolist(), strict=True):
            score[[row for word in question for row in spellings[word]]] = -np.inf
        best = scores.argmax(axis=1)
        answered[block] = [row in spellings[word] for row, word in zip(best.tolist(), d[block].tolist(), strict=True)]
    return answered
