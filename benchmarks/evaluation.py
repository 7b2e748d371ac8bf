"""`python -m benchmarks evaluation`: seconds and memory of each measure, on a table of random vectors of any size.

Random vectors cost what real ones cost, and 1,000,000 words can be had. Each measure's memory is the peak of the
process while it runs, as Linux counts it, less what the process held before: the table itself is not in it.
"""

import gc
import json
import time
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from pydantic import BaseModel

from storage.gold.sets import GoldSets, WordPairs, read_default_gold_sets
from tasks.metrics.alignment import fit_rotation, mean_cosine
from tasks.metrics.analogies import score_analogies
from tasks.metrics.lookup import fold_case, shared_rows
from tasks.metrics.neighbors import compare_neighbors
from tasks.metrics.similarity import SimilarityScore, score_similarity

STATUS, CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")
# Has the kernel count the peak anew.
RESET_PEAK = "5"
ALPHABET = "abcdefghijklmnopqrstuvwxyz"


class Cost(BaseModel):
    """Cost of one measure. megabytes: peak beyond what the process held before."""

    measure: str
    words: int
    dimension: int
    seconds: float
    megabytes: float


def measure_evaluation(
    words: Annotated[int, typer.Option(min=1000, help="rows of the table")] = 68_000,
    dimension: Annotated[int, typer.Option(min=1, help="length of the vectors")] = 100,
    analogy_max_rank: Annotated[int, typer.Option(min=0, help="rank cut of analogies; 0: all words")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Measure word similarity, analogies, neighbours and alignment on random vectors."""
    costs = measure_costs(words, dimension, analogy_max_rank or None)
    if as_json:
        typer.echo(json.dumps([cost.model_dump() for cost in costs]))
        return
    typer.echo(f"| {words:,} x {dimension} | seconds | MB beyond the table |\n|---|---:|---:|")
    for cost in costs:
        typer.echo(f"| {cost.measure} | {cost.seconds:.1f} | {cost.megabytes:,.0f} |")


def measure_costs(rows: int, dimension: int, max_rank: int | None) -> list[Cost]:
    """Every measure once, with the words of the gold sets among the table's."""
    gold = read_default_gold_sets()
    words = _words(gold, rows)
    vectors: NDArray[np.float32] = np.random.default_rng(1).standard_normal((rows, dimension), dtype=np.float32)
    questions = gold.analogies[0].sections

    def align() -> None:
        ours, theirs = shared_rows(words, words, fold=False)
        mean_cosine(vectors, ours, vectors, theirs, fit_rotation(vectors, ours, vectors, theirs))

    measures: dict[str, Callable[[], object]] = {
        "word similarity": lambda: [_similarity(words, vectors, pairs) for pairs in gold.similarity],
        "analogies, 3CosAdd": lambda: score_analogies(words, vectors, questions, max_rank),
        "analogies, 3CosMul": lambda: score_analogies(words, vectors, questions, max_rank, "3CosMul"),
        "neighbours in other vectors": lambda: compare_neighbors(words, vectors, words, vectors),
        "alignment": align,
    }
    # What libraries are imported for is not a measure's memory.
    small = slice(2000)
    compare_neighbors(words[small], vectors[small], words[small], vectors[small], word_limit=10)
    fit_rotation(vectors, np.arange(10), vectors, np.arange(10))
    _similarity(words[small], vectors[small], gold.similarity[0])
    return [_cost(name, measure, rows, dimension) for name, measure in measures.items()]


def _similarity(words: Sequence[str], vectors: NDArray[np.float32], pairs: WordPairs) -> SimilarityScore:
    return score_similarity(words, vectors, pairs.first, pairs.second, pairs.scores)


def _cost(name: str, measure: Callable[[], object], rows: int, dimension: int) -> Cost:
    gc.collect()
    before = _kilobytes("VmRSS")
    CLEAR_REFS.write_text(RESET_PEAK)
    started = time.perf_counter()
    measure()
    seconds = time.perf_counter() - started
    return Cost(
        measure=name, words=rows, dimension=dimension, seconds=seconds, megabytes=(_kilobytes("VmHWM") - before) / 1000
    )


def _kilobytes(field: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1])


def _words(gold: GoldSets, rows: int) -> list[str]:
    """Distinct words of letters, those of the gold sets first, so that every question is asked."""
    asked = chain.from_iterable(
        question for analogies in gold.analogies for questions in analogies.sections.values() for question in questions
    )
    paired = chain.from_iterable((*pairs.first, *pairs.second) for pairs in gold.similarity)
    known = {fold_case(word): word for word in (*asked, *paired)}
    words = list(known.values())[:rows]
    number = 0
    while len(words) < rows:
        word = "".join(ALPHABET[number // 26**place % 26] for place in range(5)) + "qzx"
        words += [word] if fold_case(word) not in known else []
        number += 1
    return words
