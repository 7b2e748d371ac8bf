"""How far the scores of two tables on the same gold sets differ, with paired intervals."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from storage.gold.sets import Analogies, GoldSets, WordPairs
from storage.models.rows import WHOLE, EvaluationRow
from storage.releases.named_vectors import NamedVectors
from tasks.metrics.analogies import AnalogyMethod, answer_questions, kind_of, section_slices
from tasks.metrics.changes import CHANGE, ScoreChange, accuracy_change, correlation_change
from tasks.metrics.composed import WordCutter
from tasks.metrics.intervals import FEWEST_OBSERVATIONS
from tasks.metrics.similarity import band_masks, pair_cosines
from tasks.scoring import (
    CUT,
    METHODS,
    EvaluationConfig,
    analogy_digest,
    ends,
    gold_set_metrics,
    known_pairs,
    known_questions,
)


@dataclass(frozen=True)
class ScoredTable:
    """A table whose scores are compared. cutter: cuts words of gold sets as its corpus was cut; None: plain words."""

    vectors: NamedVectors
    cutter: WordCutter | None


def change_metrics(config: EvaluationConfig) -> list[str]:
    """Names of the metrics that `score_change_rows` can yield."""
    return [f"{metric}{CHANGE}" for metric in gold_set_metrics(config)]


def score_change_rows(
    ours: ScoredTable, previous: ScoredTable, gold: GoldSets, config: EvaluationConfig
) -> list[EvaluationRow]:
    """For each gold set our score minus the previous one, on the pairs or questions that both tables know."""
    rows = [row for pairs in gold.similarity for row in _pairs_rows(ours, previous, pairs)]
    for analogies in gold.analogies:
        for method in METHODS:
            rows += _analogy_rows(ours, previous, analogies, config, method)
    return rows


def _pairs_rows(ours: ScoredTable, previous: ScoredTable, pairs: WordPairs) -> Iterator[EvaluationRow]:
    """The change on the whole set, then on each band of frequency in our table with enough pairs."""
    words, vectors, first, second = known_pairs(ours.vectors.words, ours.vectors.vectors, pairs, ours.cutter)
    known, cosines = pair_cosines(words, vectors, first, second)
    also_known, other_cosines = pair_cosines(
        *known_pairs(previous.vectors.words, previous.vectors.vectors, pairs, previous.cutter)
    )
    known &= also_known
    digest = pairs.digest + (CUT if ours.cutter else "")
    yield _row(pairs.name, WHOLE, correlation_change(cosines, other_cosines, pairs.scores, known), digest)
    for band, inside in band_masks(words, first, second, len(ours.vectors.words)).items():
        inside &= known
        if inside.sum() >= FEWEST_OBSERVATIONS:
            change = correlation_change(cosines[inside], other_cosines[inside], pairs.scores[inside], known[inside])
            # Unknown words have no rank, so a band has no coverage.
            yield _row(pairs.name, band, change, digest).model_copy(update={"coverage": None, "lost": None})


def _analogy_rows(
    ours: ScoredTable, previous: ScoredTable, analogies: Analogies, config: EvaluationConfig, method: AnalogyMethod
) -> Iterator[EvaluationRow]:
    """Changes on the whole set, its semantic and syntactic parts, then each section, as in the evaluation."""
    known, correct = _answers(ours, analogies, config, method)
    also_known, other_correct = _answers(previous, analogies, config, method)
    known &= also_known
    digest = analogy_digest(analogies, config, ours.cutter)
    for section, part in _parts(analogies).items():
        change = accuracy_change(correct[part], other_correct[part], known[part])
        yield _row(f"{analogies.name}{METHODS[method]}", section, change, digest)


def _answers(
    table: ScoredTable, analogies: Analogies, config: EvaluationConfig, method: AnalogyMethod
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    words, vectors = table.vectors.words, table.vectors.vectors
    questions = known_questions(words, vectors, analogies, table.cutter)
    return answer_questions(words, vectors, questions, config.analogy_max_rank, method)


def _parts(analogies: Analogies) -> dict[str, NDArray[np.bool_]]:
    """Name of each part -> which of all questions it has."""
    sections = section_slices(analogies.sections)
    total = sum(map(len, analogies.sections.values()))
    parts = {WHOLE: np.ones(total, dtype=bool)}
    kinds = dict.fromkeys(map(kind_of, sections))
    for kind in kinds if len(kinds) > 1 else ():
        parts[kind] = np.zeros(total, dtype=bool)
    for section, place in sections.items():
        parts[section] = np.zeros(total, dtype=bool)
        for name in {section, kind_of(section)} & parts.keys():
            parts[name][place] = True
    return parts


def _row(metric: str, section: str, change: ScoreChange, digest: str) -> EvaluationRow:
    return EvaluationRow(
        metric=f"{metric}{CHANGE}",
        section=section,
        value=change.value,
        **ends(change.interval),
        coverage=change.compared / change.total if change.total else 0.0,
        covered=change.compared,
        lost=change.total - change.compared,
        gold_digest=digest,
    )
