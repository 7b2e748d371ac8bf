"""A small report whose every text tries to break out of the page."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tasks.report.content import (
    ChangedSetting,
    Changes,
    ComparedWord,
    Epoch,
    Measure,
    ReportContent,
    Verdict,
    WordMap,
)

INJECTION = "</script><img src=x onerror=alert(1)>"
HOSTILE_WORDS = [INJECTION, "<!--<script>", "]]>", "{{ 7*7 }}", "${alert(1)}", "'\"`", "a&lt;b", "\u2028\u2029", "né"]


def report_content(
    words: Sequence[str] | None = None, rows: int = 60, dimension: int = 12, **changed: Any
) -> ReportContent:
    """A report of random vectors, the same for the same arguments; `changed` replaces fields."""
    names = list(words) if words is not None else [*HOSTILE_WORDS, *(f"word{n}" for n in range(rows))]
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(len(names), dimension)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    counts = (10_000 / np.arange(1, len(names) + 1)).astype(np.int64)
    mapped = min(len(names), 50)
    content = ReportContent(
        table="news",
        version=2,
        created_at="21 November 2026, 10:43 UTC",
        dimension=dimension,
        words=names,
        counts=counts,
        vectors=vectors,
        all_counts=counts,
        word_map=WordMap(
            rng.uniform(-1, 1, (mapped, 2)).astype(np.float32), np.arange(mapped, dtype=np.int64) % 10, "tsne"
        ),
        corpus=INJECTION,
        figures=[("words", str(len(names))), (INJECTION, INJECTION)],
        facts={"Corpus": [("source", INJECTION), ("rights", "public domain")]},
        settings=[("corpus.path", f'"{INJECTION}"'), ("training.epochs", "2")],
        training=[Epoch(1, 2.5, 0.05, 1000.0, 2.0), Epoch(2, 2.25, 0.025, 1100.0, 1.8)],
        measures=[
            Measure("wordsim353", 0.5, low=0.4, high=0.6, coverage=0.9, covered=318, lost=35, previous=0.45),
            Measure("google_analogies", 0.25, coverage=0.5),
            Measure("google_analogies", 0.125, section="gram1-adjective-to-adverb", coverage=0.5),
            Measure("neighbor_overlap", None, coverage=0.0),
            Measure(INJECTION, 1.5),
        ],
        verdicts=[
            Verdict("wordsim353", 0.5, "at least 0.4", True, low=0.4, high=0.6, previous=0.45, minimum=0.4),
            Verdict("google_analogies", 0.25, "at least 0.3", False, minimum=0.3, note=f"too low {INJECTION}"),
        ],
        changes=Changes(
            since="version 1",
            shared_words=50,
            gained_words=5,
            lost_words=3,
            mean_overlap=0.75,
            settings=[ChangedSetting("training.epochs", "1", "2"), ChangedSetting(INJECTION, None, INJECTION)],
            words=[ComparedWord(names[0], 1, 0.1, [INJECTION], ["word1"])] * 14,
        ),
        compared={f"glove {INJECTION}": [ComparedWord(names[0], 1, 0.2, ["word1"], [INJECTION])]},
        history=[("version 1", {"wordsim353": 0.45}), ("this one", {"wordsim353": 0.5})],
    )
    return replace(content, **changed)
