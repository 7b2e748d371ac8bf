"""The content of a report as plain data, independent of the files and tables it comes from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tasks.report.maps import MapMethod
from tasks.report.regions import Region


@dataclass(frozen=True)
class Epoch:
    """One epoch of training. mean_loss: per positive pair.  learning_rate: at the end of the epoch."""

    number: int
    mean_loss: float
    learning_rate: float
    words_per_second: float
    seconds: float


@dataclass(frozen=True)
class Measure:
    """One value of the evaluation.

    section: part of a gold set, empty for the whole set.  low, high: ends of the 95 % interval.
    coverage: 0 to 1, the share of the gold set with known words: `covered` pairs, questions or words; `lost` ones have
    an unknown word.  previous: value in the previous release, None if not comparable.
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
        """Value minus the previous value, None if either is missing."""
        return None if self.value is None or self.previous is None else self.value - self.previous

    @property
    def change(self) -> Literal["up", "down", "same"]:
        """Direction of the change if the previous value is outside the 95 % interval, else "same"."""
        if self.difference is None or self.previous is None or self.low is None or self.high is None:
            return "same"
        if self.low <= self.previous <= self.high or self.metric.endswith("_random"):
            return "same"
        return "up" if self.difference > 0 else "down"


@dataclass(frozen=True)
class Verdict:
    """One gate. bound: the bounds in words.  minimum: the lower bound as a number, for the chart."""

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
    """A setting that differs from the previous release; None if one of the two does not have it."""

    name: str
    before: str | None
    now: str | None


@dataclass(frozen=True)
class ComparedWord:
    """A word and its nearest neighbours in two sets of vectors, such as two releases.

    overlap: share of common neighbours, 0 to 1.  only_here, only_there: neighbours in one of the two.
    """

    word: str
    rank: int
    overlap: float
    only_here: Sequence[str]
    only_there: Sequence[str]


@dataclass(frozen=True)
class Changes:
    """Changes since another release.

    mean_overlap: of the neighbours of frequent words, None if no word is shared.  words: most changed first.
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
    """The `positions` (M, 2) float32 in -1..1, and groups (M,) of the M most frequent words."""

    positions: NDArray[np.float32]
    groups: NDArray[np.int64]
    method: MapMethod


@dataclass(frozen=True)
class EarlierVectors:
    """Vectors of the previous release, rotated onto those of this one.

    vectors: (V, D) float32 of unit length, in the order of this release's words; 0 for words that it did not have.
    """

    vectors: NDArray[np.float32]


@dataclass(frozen=True)
class ReportContent:
    """The content of one report.

    version: None for a candidate.  figures: label and value, for the top of the page.
    facts: heading -> rows of label and value, on the provenance of the release.
    words, vectors: the V most frequent words with their (V, D) float32 vectors of unit length, and counts: (V,) int64.
    all_counts: (N,) int64, of every word of the release, most frequent first.
    compared: name of what the words were compared with -> words, those that agree least first.
    history: name of each kept release with its metrics, oldest first, this release last.
    regions: of the map.  examples: rows of words with close neighbours.  earlier: None without a comparable release.
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
    regions: Sequence[Region] = ()
    examples: Sequence[int] = ()
    earlier: EarlierVectors | None = None

    @property
    def name(self) -> str:
        """A short name of the release, such as `movie-reviews, version 3`."""
        return f"{self.table}, {'candidate' if self.version is None else f'version {self.version}'}"
