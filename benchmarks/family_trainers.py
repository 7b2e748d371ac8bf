"""The model families and their peers behind one call: a text and settings in, seconds and vectors out."""

import logging
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from gensim.models import FastText, KeyedVectors
from numpy.typing import NDArray

from benchmarks.corpora import BenchmarkCorpus
from benchmarks.defaults import BASE
from benchmarks.trainers import BenchmarkSettings, Trained, text_vocabulary, train_gensim, train_vecmill
from storage.corpus.cooccurrences import CooccurrenceCorpus, SpilledRuns, write_cooccurrences
from storage.vectors.encoders import find_encoder
from tasks.trainers.backends import resolve_config, train
from tasks.trainers.bookkeeping import DEFAULT_CBOW_LEARNING_RATE, first_state
from tasks.trainers.config import DistilledConfig, FastTextConfig, GloveConfig, SkipGramConfig
from tasks.trainers.cpu.cooccurrences import count_cooccurrences, decoded
from tasks.trainers.cpu.subwords import composed_vectors
from tasks.trainers.encoder import WordEncoder
from tasks.trainers.ngrams import ngram_buckets
from tasks.trainers.reduction import distil, fuse


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


def train_gensim_cbow(corpus: BenchmarkCorpus, settings: BenchmarkSettings) -> Trained:
    """Train gensim's CBOW at the rate that word2vec.c has for it."""
    return train_gensim(corpus, settings.model_copy(update={"model": "cbow", "learning_rate": 0.05}))


def train_distilled(corpus: BenchmarkCorpus, settings: BenchmarkSettings) -> Trained:
    """Encode the words of the corpus with the packaged encoder and reduce the vectors, with default settings."""
    words = corpus.encode(settings.min_count).words
    config = DistilledConfig(workers=settings.workers)
    started = datetime.now(UTC)
    vectors = distil(_encoded(config.encoder, words, settings.workers), config.dimension)
    return Trained((datetime.now(UTC) - started).total_seconds(), _keyed(words, vectors))


def train_fused(corpus: BenchmarkCorpus, settings: BenchmarkSettings) -> Trained:
    """Train vecmill's skip-gram by default settings and join it with the packaged encoder."""
    same = ("dimension", "workers", "seed", "min_count", "subsample_threshold")
    started = datetime.now(UTC)
    trained = train_vecmill(corpus, BASE.model_copy(update={name: getattr(settings, name) for name in same}))
    words = trained.vectors.index_to_key
    encoded = _encoded(DistilledConfig().encoder, words, settings.workers)
    vectors = fuse(trained.vectors.vectors, encoded, SkipGramConfig().fused_dimension)
    return Trained((datetime.now(UTC) - started).total_seconds(), _keyed(words, vectors))


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
        FastTextConfig(
            dimension=settings.dimension, epochs=settings.epochs, workers=settings.workers, seed=settings.seed
        ),
        len(vocabulary),
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
    """Distil the same encoder with model2vec and its default settings.

    Its extra `distill` excludes the transformers that vecmill has: `pip install --no-deps skeletoken==0.6.1` instead.
    It encodes the pieces of the encoder's vocabulary too.
    """
    # tqdm reads it when it is imported.
    os.environ["TQDM_DISABLE"] = "1"
    from model2vec.distill import distill

    # It warns of each word that the encoder's vocabulary has too.
    logging.getLogger("model2vec").setLevel(logging.ERROR)
    words = corpus.encode(settings.min_count).words
    config = DistilledConfig()
    started = datetime.now(UTC)
    model = distill(str(find_encoder(config.encoder).folder), vocabulary=words, pca_dims=config.dimension)
    seconds = (datetime.now(UTC) - started).total_seconds()
    rows = [model.tokenizer.token_to_id(word) for word in words]
    known = [(word, row) for word, row in zip(words, rows, strict=True) if row is not None]
    return Trained(seconds, _keyed([word for word, _ in known], model.embedding[[row for _, row in known]]))


@dataclass(frozen=True)
class Family:
    """How to train it. epochs: passes over the text.  min_count: as BenchmarkSettings has it, unless named here."""

    train: Callable[[BenchmarkCorpus, BenchmarkSettings], Trained]
    epochs: int = BenchmarkSettings().epochs
    min_count: int = BenchmarkSettings().min_count


# Words with this many occurrences are the 30,000 most frequent of the text8-like corpus, which the goals of encoders
# are about.
COMMON = 21

# Each family of vecmill, followed by the peers that train the same; a new family adds its line.
FAMILIES = {
    "skip_gram": Family(train_vecmill),
    "gensim skip-gram": Family(train_gensim),
    "cbow": Family(train_cbow),
    "gensim CBOW": Family(train_gensim_cbow),
    "glove": Family(train_glove, GloveConfig().epochs),
    "fasttext": Family(train_fasttext),
    "fasttext, 2 epochs": Family(train_fasttext, 2),
    # Each would take 10 minutes or more for the 5 epochs of the others.
    "gensim FastText": Family(train_gensim_fasttext, 2),
    "fastText": Family(train_own_fasttext, 2),
    "distilled": Family(train_distilled, 1),
    "model2vec": Family(train_model2vec, 1),
    "skip_gram fused": Family(train_fused),
    "skip_gram, common words": Family(train_vecmill, min_count=COMMON),
    "distilled, common words": Family(train_distilled, 1, COMMON),
    "model2vec, common words": Family(train_model2vec, 1, COMMON),
    "skip_gram fused, common words": Family(train_fused, min_count=COMMON),
}
