"""Terminal views of scores and table comparisons."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from flows.cli.table_views import number, plain_table, shown
from storage.models.rows import ComparedWordRow, EvaluationRow
from tasks.metrics.intervals import interval_text

if TYPE_CHECKING:
    from tasks.table_comparison import TableComparison

SHOWN_NEIGHBORS = 5


def score_table(rows: Sequence[EvaluationRow], *, sections: bool) -> Table:
    """All measures with interval and coverage. sections: also show the parts of each measure."""
    table = plain_table("measure", "value", "95 % interval", "coverage", "used", "left out")
    for row in rows:
        if not row.is_whole and not sections:
            continue
        table.add_row(
            shown(row.metric if row.is_whole else f"  {row.section}"),
            number(row.value),
            interval_text(row.low, row.high),
            "" if row.coverage is None else f"{row.coverage:.1%}",
            "" if row.covered is None else f"{row.covered:,}",
            "" if row.lost is None else f"{row.lost:,}",
        )
    return table


def agreement_lines(words: Sequence[ComparedWordRow]) -> Iterator[str]:
    """For each reference, the words with the highest and the lowest agreement."""
    for name in dict.fromkeys(row.compared_with for row in words):
        own = sorted((row for row in words if row.compared_with == name), key=lambda row: row.rank_overlap)
        half = len(own) // 2
        most = ", ".join(shown(row.word) for row in reversed(own[half:]))
        least = ", ".join(shown(row.word) for row in own[:half])
        yield f"highest agreement with {shown(name)}: {most}"
        yield f"lowest agreement with {shown(name)}: {least}"


def changed_table(found: "TableComparison", shown_words: int) -> Table:
    """The words with the lowest neighbour overlap."""
    table = plain_table("word", "rank", "overlap", f"only in {shown(found.first)}", f"only in {shown(found.second)}")
    for word in found.changed[:shown_words]:
        here, there = (shown(" ".join(own[:SHOWN_NEIGHBORS])) for own in (word.only_here, word.only_there))
        table.add_row(shown(word.word), f"{word.rank:,}", f"{word.overlap:.2f}", here, there)
    return table
