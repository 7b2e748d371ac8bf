"""Compare two tables of word vectors: scores, words, neighbours, and how similar they are up to a rotation."""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from storage.gold.sets import read_gold_sets
from storage.layout import Workspace
from storage.models.rows import ComparedWordRow, EvaluationRow
from storage.releases.diff import MetricChange
from storage.releases.named_vectors import NamedVectors, read_release_vectors
from tasks.metrics.alignment import fit_rotation, mean_cosine
from tasks.metrics.gates import CHANGE
from tasks.metrics.lookup import shared_rows
from tasks.metrics.neighbors import compare_neighbors
from tasks.release_reader import release_word_reader
from tasks.score_changes import ScoredTable, score_change_rows
from tasks.scoring import EvaluationConfig, agreement_rows, word_rows

NEIGHBORS, CHANGED_WORDS = 10, 50
OVERLAP, RANK_OVERLAP, COSINE, TURNED_COSINE = "overlap", "rbo", "cosine", "cosine_aligned"


class TableComparison(BaseModel):
    """Two tables side by side.

    words: size of each vocabulary.  metrics: of both releases, `older` is the first and `newer` the second, with the
    interval of the difference for the gold sets that come with vecmill.
    agreement: mean overlap and rank-biased overlap of neighbours, overall and by frequency band, and the mean cosine
    between the vectors of shared words, before and after the best rotation; no cosine if the dimensions differ.
    changed: frequent words whose neighbours agree least, least first.
    """

    model_config = ConfigDict(frozen=True)

    first: str
    second: str
    words: tuple[int, int]
    shared_words: int
    metrics: list[MetricChange]
    agreement: list[EvaluationRow]
    changed: list[ComparedWordRow]


def compare_tables(workspace: Workspace, first: str, second: str, words: int = 1000) -> TableComparison:
    """Compare the current releases of two tables.

    words: number of the most frequent shared content words to compare.
    Raises ReleaseError if a table does not exist or cannot be read.
    """
    ours, theirs = (read_release_vectors(workspace, table) for table in (first, second))
    overlap = compare_neighbors(
        ours.words, ours.vectors, theirs.words, theirs.vectors, NEIGHBORS, words,
        fold=False, random=False, shown=CHANGED_WORDS,
    )  # fmt: skip
    return TableComparison(
        first=ours.name,
        second=theirs.name,
        words=(len(ours.words), len(theirs.words)),
        shared_words=overlap.shared,
        metrics=_metrics(ours, theirs, _differences(ours, theirs)),
        agreement=agreement_rows(OVERLAP, RANK_OVERLAP, overlap) + _cosines(ours, theirs),
        changed=word_rows(theirs.name, overlap.least),
    )


def _cosines(ours: NamedVectors, theirs: NamedVectors) -> list[EvaluationRow]:
    rows, other_rows = shared_rows(ours.words, theirs.words, fold=False)
    if ours.vectors.shape[1] != theirs.vectors.shape[1] or not len(rows):
        return []
    rotation = fit_rotation(ours.vectors, rows, theirs.vectors, other_rows)
    return [
        EvaluationRow(
            metric=name,
            value=mean_cosine(ours.vectors, rows, theirs.vectors, other_rows, turned),
            coverage=len(rows) / len(ours.words),
            covered=len(rows),
        )
        for name, turned in ((COSINE, None), (TURNED_COSINE, rotation))
    ]


def _differences(ours: NamedVectors, theirs: NamedVectors) -> dict[str, EvaluationRow]:
    """Metric -> the score of the second table minus that of the first, on the pairs or questions that both know."""
    first, second = (
        ScoredTable(table, release_word_reader(table.release.path) if table.release else None)
        for table in (ours, theirs)
    )
    rows = score_change_rows(second, first, read_gold_sets(), EvaluationConfig())
    return {metric.removesuffix(CHANGE): row for metric, row in _totals(rows).items()}


def _metrics(ours: NamedVectors, theirs: NamedVectors, differences: Mapping[str, EvaluationRow]) -> list[MetricChange]:
    """The scores that the releases hold. An interval belongs to scores that were measured as the difference was."""
    first, second = (_totals(table.release.evaluation if table.release else ()) for table in (ours, theirs))
    changes = []
    for name in dict.fromkeys([*first, *second]):
        digests = {rows[name].gold_digest if name in rows else None for rows in (first, second)}
        difference = differences.get(name)
        measured_alike = difference is not None and digests == {difference.gold_digest}
        changes.append(
            MetricChange(
                metric=name,
                older=first[name].value if name in first else None,
                newer=second[name].value if name in second else None,
                comparable=name in first and name in second and len(digests) == 1,
                change_low=difference.low if difference and measured_alike else None,
                change_high=difference.high if difference and measured_alike else None,
            )
        )
    return changes


def _totals(rows: Sequence[EvaluationRow]) -> dict[str, EvaluationRow]:
    return {row.metric: row for row in rows if row.is_whole}
