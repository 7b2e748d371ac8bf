"""vecmill and its peers behind one call: the same lines and settings in, seconds and vectors out."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gensim.models import KeyedVectors, Word2Vec
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from tasks.text.vocabulary import keep_probability, noise_probability
from tasks.trainers.backends import train
from tasks.trainers.config import SkipGramConfig
from tasks.trainers.interface import ArrayTokenSource, Vocabulary


@dataclass(frozen=True)
class BenchmarkSettings:
    """What both trainers are told, in vecmill's words."""

    skipgram: SkipGramConfig
    subsample_threshold: float
    min_count: int


@dataclass(frozen=True)
class BenchmarkCorpus:
    """The same text twice: as lists of tokens, and as a file with a line for each list."""

    lines: list[list[str]]
    file: Path

    @property
    def token_count(self) -> int:
        """All tokens, rare words included: what word2vec.c counts."""
        return sum(map(len, self.lines))


@dataclass(frozen=True)
class Trained:
    """Vectors, words most frequent first, and what training alone took: no reading of text, no counting of words."""

    seconds: float
    vectors: KeyedVectors


Trainer = Callable[[BenchmarkCorpus, BenchmarkSettings], Trained]


def train_vecmill(corpus: BenchmarkCorpus, settings: BenchmarkSettings) -> Trained:
    """Train with vecmill; the seconds are those of its epochs."""
    counted = Counter(token for line in corpus.lines for token in line)
    frequent = [(word, count) for word, count in counted.items() if count >= settings.min_count]
    frequent.sort(key=lambda entry: (-entry[1], entry[0]))
    token_ids = {word: token_id for token_id, (word, _) in enumerate(frequent)}
    counts = np.array([count for _, count in frequent], np.int64)
    source = ArrayTokenSource(
        np.array([token_ids[token] for token in line if token in token_ids], np.int32) for line in corpus.lines
    )
    vocabulary = Vocabulary(
        counts, keep_probability(counts, settings.subsample_threshold), noise_probability(counts, 0.75)
    )
    steps = [step for step in train(source, vocabulary, settings.skipgram) if step.epoch_result]
    vectors = KeyedVectors(settings.skipgram.dimension)
    vectors.add_vectors([word for word, _ in frequent], steps[-1].state.center_vectors)
    return Trained(sum(step.epoch_result.seconds for step in steps if step.epoch_result), vectors)


def train_gensim(corpus: BenchmarkCorpus, settings: BenchmarkSettings) -> Trained:
    """Train with gensim's `corpus_file` form, the faster of its two; the seconds are those of `train`."""
    skipgram = settings.skipgram
    model = Word2Vec(
        sg=1,
        hs=0,
        vector_size=skipgram.dimension,
        window=skipgram.window_radius,
        negative=skipgram.negatives_per_pair,
        sample=settings.subsample_threshold,
        min_count=settings.min_count,
        alpha=skipgram.learning_rate,
        min_alpha=skipgram.learning_rate * 1e-4,
        workers=skipgram.workers,
        seed=skipgram.seed,
    )
    model.build_vocab(corpus_file=str(corpus.file))
    with threadpool_limits(limits=1):
        started = time.perf_counter()
        model.train(
            corpus_file=str(corpus.file),
            total_examples=model.corpus_count,
            total_words=model.corpus_total_words,
            epochs=skipgram.epochs,
        )
        seconds = time.perf_counter() - started
    return Trained(seconds, model.wv)


PEERS: dict[str, Trainer] = {"gensim": train_gensim}
