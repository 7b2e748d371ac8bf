"""Score words and vectors against gold sets and reference vectors."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from storage.errors import ReferenceVectorsError
from storage.gold.files import Question
from storage.gold.sets import Analogies, GoldSets, WordPairs, gold_metrics, metric_name
from storage.models.rows import WHOLE, ComparedWordRow, EvaluationRow
from storage.vectors.reference import DEFAULT_REFERENCE, ReferenceVectors, narrowed, split_spec
from tasks.metrics.analogies import AnalogyMethod, AnalogyScore, score_analogies, sum_by_kind
from tasks.metrics.composed import Composer, WordCutter, compose_words, with_unseen_words
from tasks.metrics.hit_rate import RECOMMENDED, score_hits
from tasks.metrics.intervals import Interval
from tasks.metrics.lookup import shared_rows
from tasks.metrics.neighbors import NeighborOverlap, WordAgreement, compare_neighbors
from tasks.metrics.similarity import score_bands, score_similarity
from tasks.progress import counted

logger = logging.getLogger(__name__)

OVERLAP, RANK_OVERLAP, RANDOM = "neighbor_overlap", "neighbor_rbo", "_random"
# Agreement of trained vectors, before they are joined with those of an encoder, with the encoder's.
ENCODER_OVERLAP, ENCODER_RANK_OVERLAP = "encoder_overlap", "encoder_rbo"
ENCODER_METRICS = tuple(
    f"{name}{random}" for name in (ENCODER_OVERLAP, ENCODER_RANK_OVERLAP) for random in ("", RANDOM)
)
HIT_RATE = f"hit_rate_at_{RECOMMENDED}"
# By the vectors, by the most frequent items and by chance.
HIT_METRICS = (HIT_RATE, f"{HIT_RATE}_popular", f"{HIT_RATE}{RANDOM}")
# Part of a score's digest where words of gold sets were cut like the corpus.
CUT = ";words=cut"
# Section of a set of word pairs whose unknown words are composed of n-grams, and part of its digest.
COMPOSED = "composed"
# Method of solving an analogy -> suffix of its metric.
METHODS: dict[AnalogyMethod, str] = {"3CosAdd": "", "3CosMul": "_3cosmul"}


class EvaluationConfig(BaseModel):
    """How vectors are scored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reference: str | None = Field(
        default=DEFAULT_REFERENCE,
        min_length=1,
        description="reference vectors for the comparison of neighbours: package:NAME, torchtext:NAME:DIM, gensim:NAME "
        "or the path of a file; none: no comparison",
    )
    references: list[str] = Field(
        default_factory=list, description="more reference vectors, each with separate metrics"
    )
    gold: list[str] = Field(
        default_factory=list,
        description="more files of scored word pairs or analogies, one metric each; FILE:word1,word2,score names the "
        "columns",
    )
    analogy_max_rank: int | None = Field(
        default=30_000, ge=1, description="only the most frequent words can answer analogies; none: all words"
    )
    held_out_sequences: int = Field(
        default=1000,
        ge=0,
        le=1_000_000,
        description="with corpus.format=sequences: about how many sequences have their last item held out of "
        "training, at most a tenth of all, so that hit_rate_at_10 can be measured; 0: none",
    )
    neighbors: int = Field(default=10, ge=1, le=100, description="nearest words compared for each word")
    neighbor_words: int = Field(
        default=1000, ge=1, le=20_000, description="number of frequent content words whose neighbours are compared"
    )

    @property
    def all_references(self) -> dict[str, str]:
        """Spec of each reference -> suffix of its metrics, empty for the first.

        Raises ReferenceVectorsError if the metrics of two references would have the same name.
        """
        suffixes = {self.reference: ""} if self.reference else {}
        for spec in self.references:
            suffix = f"_{metric_name(_last_part(spec))}"
            if suffix in suffixes.values() or spec in suffixes:
                raise ReferenceVectorsError(
                    f"evaluation.references: the name of {spec} collides with another, {suffix[1:]}; rename the file"
                )
            suffixes[spec] = suffix
        return suffixes


@dataclass
class Scored:
    """All scores. references: source and licence of each reference, and how many of its words matched."""

    rows: list[EvaluationRow] = field(default_factory=list)
    compared_words: list[ComparedWordRow] = field(default_factory=list)
    references: list[dict[str, Any]] = field(default_factory=list)


def gold_set_metrics(config: EvaluationConfig) -> list[str]:
    """Names of all metrics of gold sets, including 3CosMul for gold files of word pairs."""
    return [f"{name}{suffix}" for name in gold_metrics(config.gold) for suffix in METHODS.values()]


def evaluation_metrics(config: EvaluationConfig) -> list[str]:
    """Names of all metrics that these settings can yield."""
    gold = gold_set_metrics(config)
    suffixes = [suffix for _, suffix in config.all_references.items()] or [""]
    return gold + [
        f"{name}{suffix}{random}" for suffix in suffixes for name in (OVERLAP, RANK_OVERLAP) for random in ("", RANDOM)
    ]


def score_vectors(
    words: Sequence[str],
    vectors: NDArray[np.float32],
    gold: GoldSets,
    references: Iterable[tuple[str, ReferenceVectors]],
    config: EvaluationConfig,
    cutter: WordCutter | None = None,
    composer: Composer | None = None,
) -> Scored:
    """All scores of V words, most frequent first, and their (V, D) vectors.

    references: metric suffix and vectors of each; consumed lazily, so that only one is in memory.
    cutter: tokenizes words of gold sets like the corpus, if that does not leave words whole.
    composer: composes unknown words; sets of pairs with such words then have a section COMPOSED, which includes them.
    What cannot be measured, such as English gold sets on a Korean vocabulary, has no value and coverage 0.
    Raises ReferenceVectorsError if a reference shares no word with `words`.
    """
    scored = Scored()
    for pairs in gold.similarity:
        row = _similarity_row(words, vectors, pairs, cutter)
        scored.rows += [row, *_band_rows(words, vectors, pairs, cutter)]
        if composer and row.lost:
            more = with_unseen_words(words, vectors, [*pairs.first, *pairs.second], composer)
            composed = _similarity_row(*more, pairs, None)
            digest = f"{composed.gold_digest};words={COMPOSED}"
            scored.rows.append(composed.model_copy(update={"section": COMPOSED, "gold_digest": digest}))
    solved = [(analogies, method) for analogies in gold.analogies for method in METHODS]
    questions = sum(_question_count(analogies) for analogies, _ in solved)
    for analogies, method in counted(solved, lambda one: _question_count(one[0]), "analogies", questions, "questions"):
        scored.rows += _analogy_rows(words, vectors, analogies, config, method, cutter)
    compared = False
    for suffix, reference in references:
        _add_reference(scored, suffix, reference, words, vectors, config)
        compared = True
    if not compared:
        names = (OVERLAP, OVERLAP + RANDOM)
        scored.rows += [EvaluationRow(metric=name, value=None, coverage=0.0) for name in names]
    return scored


def hit_rows(
    vectors: NDArray[np.float32], token_ids: NDArray[np.int32], offsets: NDArray[np.int64], digest: str
) -> list[EvaluationRow]:
    """Rows for the hit rate on held-out sequences and its two baselines. Arguments as in `score_hits`.

    digest: identifies the sequences.
    """
    found, sequences = score_hits(vectors, token_ids, offsets), len(offsets) - 1
    return [
        EvaluationRow(
            metric=metric,
            value=value,
            **ends(interval),
            covered=sequences,
            coverage=float(sequences > 0),
            gold_digest=digest,
        )
        for metric, value, interval in zip(HIT_METRICS, found.rates, found.intervals, strict=True)
    ]


def agreement_rows(
    overlap: str, rank_overlap: str, neighbors: NeighborOverlap, digest: str | None = None
) -> list[EvaluationRow]:
    """Mean overlap and rank-biased overlap under these names: of frequent words, of random vectors, by frequency band.

    digest: identifies what both were measured with.
    """
    parts = [("", WHOLE, neighbors.frequent), *(("", name, band) for name, band in neighbors.bands.items())]
    if neighbors.random:
        parts.insert(1, (RANDOM, WHOLE, neighbors.random))
    return [
        EvaluationRow(
            metric=f"{metric}{random}",
            section=section,
            value=agreement.rank_mean if ranked else agreement.mean,
            **ends(agreement.rank_interval if ranked else agreement.interval),
            covered=len(agreement.rows),
            coverage=neighbors.coverage,
            gold_digest=digest,
        )
        for metric, ranked in ((overlap, False), (rank_overlap, True))
        for random, section, agreement in parts
    ]


def word_rows(compared_with: str, words: Iterable[WordAgreement]) -> list[ComparedWordRow]:
    """Words and their neighbours as rows of the release's table."""
    return [ComparedWordRow(compared_with=compared_with, **word._asdict()) for word in words]


def ends(interval: Interval | None) -> dict[str, float | None]:
    """The ends of an interval as columns."""
    return dict(zip(("low", "high"), interval or (None, None), strict=True))


def total_metrics(rows: Sequence[EvaluationRow]) -> dict[str, float | None]:
    """Metric -> value on its whole gold set, and `<metric>_coverage` -> coverage."""
    metrics: dict[str, float | None] = {}
    for row in rows:
        if row.is_whole:
            metrics |= {row.metric: row.value, f"{row.metric}_coverage": row.coverage}
    return metrics


def total_digests(rows: Sequence[EvaluationRow]) -> dict[str, str]:
    """Metric on a whole gold set -> digest of what it was measured with."""
    return {row.metric: row.gold_digest for row in rows if row.is_whole and row.gold_digest}


def _question_count(analogies: Analogies) -> int:
    return sum(map(len, analogies.sections.values()))


def _similarity_row(
    words: Sequence[str], vectors: NDArray[np.float32], pairs: WordPairs, cutter: WordCutter | None
) -> EvaluationRow:
    score = score_similarity(*known_pairs(words, vectors, pairs, cutter), pairs.scores)
    return EvaluationRow(
        metric=pairs.name,
        value=score.spearman,
        **ends(score.interval),
        coverage=score.coverage,
        covered=score.covered,
        lost=score.total - score.covered,
        gold_digest=pairs.digest + (CUT if cutter else ""),
    )


def _band_rows(
    words: Sequence[str], vectors: NDArray[np.float32], pairs: WordPairs, cutter: WordCutter | None
) -> list[EvaluationRow]:
    """A row for each band of frequency. Unknown words have no rank, so a band has no coverage."""
    bands = score_bands(*known_pairs(words, vectors, pairs, cutter), pairs.scores, len(words))
    return [
        EvaluationRow(
            metric=pairs.name,
            section=name,
            value=score.spearman,
            **ends(score.interval),
            covered=score.covered,
            gold_digest=pairs.digest + (CUT if cutter else ""),
        )
        for name, score in bands.items()
    ]


def known_pairs(
    words: Sequence[str], vectors: NDArray[np.float32], pairs: WordPairs, cutter: WordCutter | None
) -> tuple[Sequence[str], NDArray[np.float32], Sequence[str], Sequence[str]]:
    """Words and vectors, with those that several tokens compose, and both words of each pair as they name them."""
    if not cutter:
        return words, vectors, pairs.first, pairs.second
    composed = compose_words(words, vectors, [*pairs.first, *pairs.second], cutter)
    return composed.words, composed.vectors, composed.named(pairs.first), composed.named(pairs.second)


def known_questions(
    words: Sequence[str], vectors: NDArray[np.float32], analogies: Analogies, cutter: WordCutter | None
) -> Mapping[str, Sequence[Question]]:
    """The questions of each section in words of the vocabulary.

    Answers are words of the vocabulary, so a word that several tokens compose is unknown here.
    """
    if not cutter:
        return analogies.sections
    asked = [word for section in analogies.sections.values() for question in section for word in question]
    names = compose_words(words, vectors, asked, cutter).names
    return {
        name: [tuple(names.get(word, word) for word in question) for question in section]  # type: ignore[misc]
        for name, section in analogies.sections.items()
    }


def analogy_digest(analogies: Analogies, config: EvaluationConfig, cutter: WordCutter | None) -> str:
    """What identifies the measurement: scores are comparable only under the same rank limit."""
    return f"{analogies.digest};max_rank={config.analogy_max_rank}" + (CUT if cutter else "")


def _analogy_rows(
    words: Sequence[str],
    vectors: NDArray[np.float32],
    analogies: Analogies,
    config: EvaluationConfig,
    method: AnalogyMethod,
    cutter: WordCutter | None,
) -> list[EvaluationRow]:
    """Rows for the whole set, its semantic and syntactic parts, then each section."""
    questions = known_questions(words, vectors, analogies, cutter)
    sections = score_analogies(words, vectors, questions, config.analogy_max_rank, method)
    whole = sum(sections.values(), start=AnalogyScore(0, 0, 0))
    digest = analogy_digest(analogies, config, cutter)
    return [
        EvaluationRow(
            metric=f"{analogies.name}{METHODS[method]}",
            section=name,
            value=score.accuracy,
            **ends(score.interval),
            coverage=score.coverage,
            covered=score.covered,
            lost=score.total - score.covered,
            gold_digest=digest,
        )
        for name, score in ({WHOLE: whole} | sum_by_kind(sections) | sections).items()
    ]


def _add_reference(
    scored: Scored,
    suffix: str,
    reference: ReferenceVectors,
    words: Sequence[str],
    vectors: NDArray[np.float32],
    config: EvaluationConfig,
) -> None:
    # Random reads of the shared rows would map nearly all pages of the reference's file.
    _, shared = shared_rows(words, reference.words, fold=True)
    known = narrowed(reference, shared)
    neighbors = compare_neighbors(words, vectors, known.words, known.vectors, config.neighbors, config.neighbor_words)
    if not neighbors.shared:
        raise ReferenceVectorsError(
            f"{reference.source} shares no word with the vocabulary of {len(words)} words (the first are "
            f"{', '.join(map(repr, words[:3]))}); set evaluation.reference to vectors of the corpus's language, or to "
            "none to skip the comparison"
        )
    logger.info("%s", _matching(reference, neighbors))
    digest = f"{reference.digest};neighbors={config.neighbors};words={config.neighbor_words}"
    scored.rows += agreement_rows(OVERLAP + suffix, RANK_OVERLAP + suffix, neighbors, digest)
    scored.compared_words += word_rows(reference.name, [*neighbors.most, *neighbors.least])
    scored.references.append(
        {
            "name": reference.name,
            "source": reference.source,
            "licence": reference.licence,
            "metric": OVERLAP + suffix,
            "shared_words": neighbors.shared,
            "folded_words": neighbors.folded,
        }
    )


def _matching(reference: ReferenceVectors, neighbors: NeighborOverlap) -> str:
    text = f"{reference.name} has {neighbors.shared:,} of {neighbors.total:,} words"
    return f"{text}; {neighbors.folded:,} of them match with different case" if neighbors.folded else text


def _last_part(spec: str) -> str:
    """The part of a spec that names the vectors; for a path, the file name without its extension."""
    scheme, name = split_spec(spec)
    return PurePath(name).stem if scheme == "file" else name
