"""What a report tells of a release, as plain data: whoever fills these in knows of files and tables, we do not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tasks.report.maps import MapMethod


@dataclass(frozen=True)
class Epoch:
    """One epoch of training. mean_loss: per positive pair.  learning_rate: at its end."""

    number: int
    mean_loss: float
    learning_rate: float
    words_per_second: float
    seconds: float


@dataclass(frozen=True)
class Measure:
    """One figure of the evaluation.

    section: part of a gold set, empty for the whole.  low, high: ends of a 95 % interval.  coverage: 0 to 1, the share
    of the gold set that is known: `covered` of its pairs, questions or words, while `lost` ones are left out.
    previous: value in the release before, None where it was not measured alike.
    """

    metric: str
    value: float | None
    section: str = ""
    low: float | None = None
    high: float | None = None
    coverage: float | None = None
    covered: int | None = None
    lost: int | None = None
    previous: float | None = None

    @property
    def difference(self) -> float | None:
        """Value minus the previous one, None where one of them is missing."""
        return None if self.value is None or self.previous is None else self.value - self.previous

    @property
    def change(self) -> Literal["up", "down", "same"]:
        """Whether the previous value is outside the value's 95 % interval; "same" where there is none."""
        if self.difference is None or self.previous is None or self.low is None or self.high is None:
            return "same"
        if self.low <= self.previous <= self.high or self.metric.endswith("_random"):
            return "same"
        return "up" if self.difference > 0 else "down"


@dataclass(frozen=True)
class Verdict:
    """One gate. bound: what was asked, in words.  minimum: the bound as a number where there is one, for the chart."""

    metric: str
    value: float | None
    bound: str
    passed: bool
    low: float | None = None
    high: float | None = None
    previous: float | None = None
    minimum: float | None = None
    note: str = ""


@dataclass(frozen=True)
class ChangedSetting:
    """A setting that differs from the release before; None where one of the two does not have it."""

    name: str
    before: str | None
    now: str | None


@dataclass(frozen=True)
class ComparedWord:
    """A word and its nearest neighbours in two sets of vectors, such as two releases.

    overlap: share of the neighbours that both have, 0 to 1.  only_here, only_there: those that one of them has.
    """

    word: str
    rank: int
    overlap: float
    only_here: Sequence[str]
    only_there: Sequence[str]


@dataclass(frozen=True)
class Changes:
    """What changed since another release. mean_overlap: of the neighbours of frequent words, None if none is shared.

    words: most changed first.
    """

    since: str
    shared_words: int
    gained_words: int
    lost_words: int
    mean_overlap: float | None
    settings: Sequence[ChangedSetting] = ()
    words: Sequence[ComparedWord] = ()


@dataclass(frozen=True)
class WordMap:
    """Places (M, 2) float32 in -1..1 and groups (M,) of the M most frequent words."""

    places: NDArray[np.float32]
    groups: NDArray[np.int64]
    method: MapMethod


@dataclass(frozen=True)
class ReportContent:
    """One release, ready to be shown.

    version: None for a candidate.  figures: label and value, for the head of the page.
    facts: heading -> lines of label and value, what was trained and of what.
    words, vectors: the V most frequent words with their (V, D) float32 vectors of unit length, and counts: (V,) int64.
    all_counts: (N,) int64, of every word of the release, most frequent first.
    compared: what words were compared with -> words, those that agree least first.
    history: name of a kept release -> its measures, oldest first, this one last.
    """

    table: str
    version: int | None
    created_at: str
    dimension: int
    words: Sequence[str]
    counts: NDArray[np.int64]
    vectors: NDArray[np.float32]
    all_counts: NDArray[np.int64]
    word_map: WordMap
    seed: int = 1
    corpus: str = ""
    refused: bool = False
    figures: Sequence[tuple[str, str]] = ()
    facts: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    settings: Sequence[tuple[str, str]] = ()
    training: Sequence[Epoch] = ()
    measures: Sequence[Measure] = ()
    verdicts: Sequence[Verdict] = ()
    compared: Mapping[str, Sequence[ComparedWord]] = field(default_factory=dict)
    changes: Changes | None = None
    history: Sequence[tuple[str, Mapping[str, float | None]]] = ()

    @property
    def name(self) -> str:
        """The release in a few words, such as `movie-reviews, version 3`."""
        return f"{self.table}, {'candidate' if self.version is None else f'version {self.version}'}"
