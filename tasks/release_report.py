"""Collect the content of a release's report: its tables, its cached map, and the changes since the previous one."""

import json
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from storage.layout import Workspace
from storage.models.comparisons import VERSION_NAME, version_name
from storage.models.rows import EvaluationRow
from storage.models.word_maps import read_word_map, write_word_map
from storage.releases.diff import ReleaseDiff
from storage.releases.records import Release
from storage.releases.reports import (
    FrequentWords,
    compare_with,
    earlier_releases,
    read_compared_words,
    read_frequent_words,
    read_settings,
    report_file,
    write_report,
)
from storage.releases.schema import GateRow
from storage.stages import Stage, StageFacts, complete_stage
from tasks.metrics.alignment import fit_rotation, rotate
from tasks.metrics.examples import choose_examples
from tasks.metrics.stop_words import english_stop_words
from tasks.progress import counting
from tasks.report.content import (
    ChangedSetting,
    Changes,
    ComparedWord,
    EarlierVectors,
    Epoch,
    Measure,
    ReportContent,
    Verdict,
    WordMap,
)
from tasks.report.maps import EXAGGERATED_ITERATIONS, ITERATIONS, MapMethod, group_words, map_words
from tasks.report.page import render_report
from tasks.report.regions import find_regions
from tasks.report.wording import without_folders

logger = logging.getLogger(__name__)

MAP_VERSION = 3
EXPLORER_WORDS = 20_000
# The number of colours on the page, which people can distinguish.
GROUPS = 10
CHANGED_WORDS = 50
# Length of abbreviated digests on the page; the release stores them in full.
SHORT = 12
# Words that the page suggests for a start.
EXAMPLES = 6
# Words that two releases must share for their vectors to be rotated onto each other.
FEWEST_ALIGNED = 100


class ReportConfig(BaseModel):
    """The HTML page written for each release and candidate."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(default=True, description="write a report for each release")
    map_words: int = Field(
        default=5000,
        ge=1,
        le=EXPLORER_WORDS,
        description="number of most frequent words that the map lays out, 2 to 3 s for 5,000; further words are "
        "placed by their neighbours",
    )
    map_method: MapMethod = Field(
        default="tsne", description="tsne: groups related words; pca: faster, less clearly separated"
    )


def render_release(release: Release, config: ReportConfig, workspace: Workspace) -> str:
    """The page of a release or candidate as HTML. Its map is computed once per release and cached.

    Raises ReleaseError if the release cannot be read, WorkspaceError if the map cannot be stored.
    """
    words = read_frequent_words(release.path, EXPLORER_WORDS)
    return render_report(_content(release, words, _word_map(release, words, config, workspace), workspace))


def render_explorer(release: Release, count: int, config: ReportConfig, workspace: Workspace) -> str:
    """The same page with the `count` most frequent words, however large it gets. Raises like `render_release`."""
    words = read_frequent_words(release.path, count)
    content = _content(release, words, _word_map(release, words, config, workspace), workspace)
    return render_report(content, max_explorer_bytes=sys.maxsize)


def make_report(release: Release, config: ReportConfig, workspace: Workspace) -> Path:
    """Write the page of a release atomically next to it, and return its path. Raises like `render_release`."""
    page = render_release(release, config, workspace)
    path = report_file(release)
    write_report(path, page)
    logger.info("report: %s (%.1f MB)", path, len(page.encode()) / 1e6)
    return path


def make_explorer(release: Release, count: int, config: ReportConfig, workspace: Workspace) -> Path:
    """Write the page of `render_explorer` into the workspace, replacing that of the table, and return its path."""
    path = workspace.explorer_file(release.table)
    write_report(path, render_explorer(release, count, config, workspace))
    return path


class MapFacts(StageFacts):
    """A map of words."""

    label: ClassVar[str] = "map"
    unit: ClassVar[str] = "words"

    words: int

    @property
    def row_count(self) -> int:
        """Words."""
        return self.words


def _word_map(release: Release, words: FrequentWords, config: ReportConfig, workspace: Workspace) -> WordMap:
    count = min(config.map_words, len(words.words))
    settings = {"words": count, "method": config.map_method, "groups": GROUPS, "seed": release.row.seed}
    # Housekeeping keeps the map as long as a release of this `model` is kept.
    inputs = {"model": release.model_digest, "vectors": release.row.sha256}

    def build(folder: Path) -> MapFacts:
        logger.info("laying out %s words by %s", f"{count:,}", "t-SNE" if config.map_method == "tsne" else "PCA")
        vectors = words.vectors[:count]
        with counting("drawing the map", EXAGGERATED_ITERATIONS + ITERATIONS, "iterations") as advanced:
            positions = map_words(vectors, config.map_method, release.row.seed, advanced)
        write_word_map(folder, positions, group_words(vectors, GROUPS, release.row.seed))
        return MapFacts(words=count)

    manifest = complete_stage(workspace, Stage("maps", MAP_VERSION, settings, inputs, MapFacts), build)
    return WordMap(*read_word_map(manifest.path), config.map_method)


def _content(release: Release, words: FrequentWords, word_map: WordMap, workspace: Workspace) -> ReportContent:
    earlier = earlier_releases(workspace, release)
    difference = compare_with(workspace, release, earlier[-1]) if earlier else None
    compared = _compared_words(release.path)
    before = [name for name in compared if VERSION_NAME.fullmatch(name)]
    row = release.row
    return ReportContent(
        table=row.table_name,
        version=row.version,
        created_at=f"{row.created_at:%-d %B %Y, %H:%M} UTC",
        dimension=row.dimension,
        words=words.words,
        counts=words.counts,
        vectors=words.vectors,
        all_counts=words.all_counts,
        word_map=word_map,
        seed=row.seed,
        corpus=without_folders(row.corpus_source),
        refused=row.version is None,
        figures=_figures(release),
        facts=_facts(release),
        settings=[(setting.name, without_folders(setting.value)) for setting in read_settings(release.path)],
        training=[
            Epoch(epoch.epoch, epoch.mean_loss, epoch.learning_rate, epoch.words_per_second, epoch.seconds)
            for epoch in release.training
        ],
        measures=_measures(release.evaluation, difference),
        verdicts=[_verdict(gate) for gate in release.gates],
        compared={without_folders(name): own for name, own in compared.items() if name not in before},
        changes=_changes(difference, earlier[-1].version, compared) if difference else None,
        history=[(f"version {older.version}", dict(older.metrics)) for older in earlier]
        + [("this one", dict(release.metrics))],
        regions=find_regions(
            word_map.positions, words.vectors[: len(word_map.positions)], words.words, english_stop_words(), row.seed
        ),
        examples=choose_examples(words.words, words.vectors, english_stop_words(), EXAMPLES),
        earlier=_earlier_vectors(words, earlier[-1]) if earlier else None,
    )


def _earlier_vectors(words: FrequentWords, older: Release) -> EarlierVectors | None:
    """The vectors of an older release, rotated onto the newer ones; None if they are not comparable."""
    before = read_frequent_words(older.path, len(words.words))
    row_of = {word: row for row, word in enumerate(before.words)}
    pairs = [(row, row_of[word]) for row, word in enumerate(words.words) if word in row_of]
    if before.vectors.shape[1] != words.vectors.shape[1] or len(pairs) < FEWEST_ALIGNED:
        return None
    rows, old_rows = np.array(pairs, dtype=np.int64).T
    rotation = fit_rotation(before.vectors, old_rows, words.vectors, rows)
    vectors = np.zeros_like(words.vectors)
    vectors[rows] = rotate(before.vectors[old_rows], rotation)
    return EarlierVectors(vectors)


def _figures(release: Release) -> list[tuple[str, str]]:
    figures = [("words", f"{release.row.rows:,}"), ("dimensions", f"{release.row.dimension}")]
    if release.training:
        last = release.training[-1]
        seconds = sum(epoch.seconds for epoch in release.training)
        figures += [
            ("tokens", f"{last.tokens:,}"),
            ("epochs", f"{len(release.training)}"),
            ("seconds of training", f"{seconds:,.1f}"),
            ("M words a second", f"{last.tokens * len(release.training) / seconds / 1e6:.2f}" if seconds else "–"),
        ]
    return figures


def _facts(release: Release) -> dict[str, list[tuple[str, str]]]:
    row = release.row
    versions: dict[str, str] = json.loads(row.library_versions)
    return {
        "Corpus": [
            ("source", without_folders(row.corpus_source)),
            ("rights", without_folders(row.corpus_licence)),
            ("digest", row.corpus_digest[:SHORT]),
        ],
        "Model": [
            ("architecture", row.architecture.replace("_", "-")),
            ("backend", row.backend),
            ("seed", str(row.seed)),
            ("model", row.model_digest[:SHORT]),
            ("settings", row.config_digest[:SHORT]),
            ("vectors", row.sha256[:SHORT]),
        ],
        "Reference vectors": [
            ("source", without_folders(row.reference_source)),
            ("rights", without_folders(row.reference_licence)),
        ],
        "Library versions": list(versions.items()),
    }


def _measures(rows: Sequence[EvaluationRow], difference: ReleaseDiff | None) -> list[Measure]:
    comparable = (
        {change.metric: change.older for change in difference.metrics if change.comparable} if difference else {}
    )
    return [
        Measure(
            metric=row.metric,
            value=row.value,
            section="" if row.is_whole else row.section,
            low=row.low,
            high=row.high,
            coverage=row.coverage,
            covered=row.covered,
            lost=row.lost,
            previous=comparable.get(row.metric) if row.is_whole else None,
        )
        for row in rows
    ]


def _verdict(gate: GateRow) -> Verdict:
    bounds = {
        "at least {:g}": gate.minimum,
        "at most {:g}": gate.maximum,
        "at most {:g} below the current release": gate.max_drop,
        "at least {:g} times the value of random vectors": gate.min_factor,
    }
    return Verdict(
        metric=gate.metric,
        value=gate.value,
        bound=", ".join(text.format(bound) for text, bound in bounds.items() if bound is not None),
        passed=gate.passed,
        low=gate.low,
        high=gate.high,
        previous=gate.previous,
        minimum=gate.minimum,
        note=without_folders(gate.note),
    )


def _compared_words(path: Path) -> dict[str, list[ComparedWord]]:
    """Name of what the words were compared with -> the words that agree least and most, least first."""
    groups: dict[str, list[ComparedWord]] = {}
    for row in sorted(read_compared_words(path), key=lambda row: (row.overlap, row.rank)):
        word = ComparedWord(row.word, row.rank, row.overlap, row.only_here, row.only_there)
        groups.setdefault(row.compared_with, []).append(word)
    return groups


def _changes(difference: ReleaseDiff, since: int, compared: Mapping[str, list[ComparedWord]]) -> Changes:
    """Changes since an earlier version. The words are those stored at publication, chosen from more than diff reads."""
    stored = compared.get(version_name(since), [])
    return Changes(
        since=f"version {since}",
        shared_words=difference.shared_words,
        gained_words=difference.gained_words,
        lost_words=difference.lost_words,
        mean_overlap=difference.mean_overlap,
        settings=[
            ChangedSetting(change.name, _shown(change.older), _shown(change.newer)) for change in difference.settings
        ],
        words=stored[:CHANGED_WORDS]
        or [
            ComparedWord(word.word, word.rank, word.overlap, word.gained, word.lost)
            for word in difference.drift[:CHANGED_WORDS]
        ],
    )


def _shown(value: str | None) -> str | None:
    return None if value is None else without_folders(value)
