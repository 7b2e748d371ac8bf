"""vecmill and its peers behind one call: the same text and settings in, seconds and vectors out."""

import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing import get_context
from typing import Any, Literal

import numpy as np
from gensim.models import KeyedVectors, Word2Vec
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmarks.corpora import BenchmarkCorpus, EncodedText
from storage.models.combined import mix_vectors, reduced_vectors
from storage.models.matrices import ppmi_factors
from tasks.text.vocabulary import keep_probability, noise_probability
from tasks.trainers.backends import resolve_workers, train
from tasks.trainers.bookkeeping import CBOW_RATE_FACTOR
from tasks.trainers.config import FAMILIES, SkipGramConfig, TrainingConfig, WindowConfig, training_config
from tasks.trainers.cpu.cooccurrences import count_in_memory
from tasks.trainers.cpu.passages import passage_vectors
from tasks.trainers.cpu.ppmi import ppmi_vectors
from tasks.trainers.interface import (
    PASSAGE_VECTORS,
    PPMI_VECTORS,
    ArrayPairSource,
    ArrayTokenSource,
    TrainingState,
    Vocabulary,
)
from tasks.trainers.sampling import initial_state

CANDIDATES_ONLY = ("noise_exponent", "epoch_radii", "epoch_thresholds", "epoch_rates", "epoch_negatives", "shuffled")


class BenchmarkSettings(BaseModel):
    """What every trainer does, in vecmill's words; the defaults are those of gensim's skip-gram, but all cores.

    The rate ends at an eighth: with two workers gensim's `corpus_file` form never falls below that in 4 epochs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = "skip_gram"
    dimension: int = 100
    window_radius: int = 5
    reduced_windows: bool = True
    negatives_per_pair: int = 5
    epochs: int = 5
    learning_rate: float = 0.025
    final_rate_fraction: float = 0.125
    subsample_threshold: float = 1e-3
    # Of vecmill alone.
    narrowing_windows: bool = False
    finish_with_cbow: bool = False
    ppmi: bool = False
    early_threshold_fraction: float = 1.0
    min_count: int = 5
    workers: int = Field(default_factory=lambda: resolve_workers(SkipGramConfig()))
    seed: int = 1
    backend: str = "auto"
    # Of vecmill's vectors: those that gensim returns too, or what a release holds by default.
    matrix: Literal["center", "mixed", "published"] = "center"
    # Candidates of the search for defaults, which vecmill has no setting for; `train_vecmill` alone follows them.
    # Power of a word's count that makes it noise.
    noise_exponent: float = 0.75
    # Radius of each epoch, instead of window_radius.
    epoch_radii: tuple[int, ...] = ()
    # Subsampling threshold of each epoch, instead of subsample_threshold.
    epoch_thresholds: tuple[float, ...] = ()
    # Rate at the start of each epoch and at the end of the last, none higher than the one before, linear in between.
    epoch_rates: tuple[float, ...] = ()
    # Noise words for each pair of each epoch, instead of negatives_per_pair.
    epoch_negatives: tuple[int, ...] = ()
    # Lines in another order in each epoch.
    shuffled: bool = False

    @property
    def training(self) -> TrainingConfig:
        """The settings of vecmill's training alone."""
        return training_config(self.model_dump(include=set(FAMILIES[self.model].model_fields)))


@dataclass(frozen=True)
class Trained:
    """Vectors, words most frequent first, and the cost of training alone, without reading text or counting words."""

    seconds: float
    vectors: KeyedVectors


Trainer = Callable[[BenchmarkCorpus, BenchmarkSettings], Trained]


def train_vecmill(corpus: BenchmarkCorpus, settings: BenchmarkSettings) -> Trained:
    """Train with vecmill; the seconds are those of its epochs and of PPMI."""
    text = corpus.encode(settings.min_count)
    vocabulary = text_vocabulary(text, settings)
    state = initial_state(vocabulary, settings.dimension, settings.seed)
    if any(getattr(settings, name) for name in CANDIDATES_ONLY if name != "noise_exponent"):
        state, seconds = run_varied_epochs(text, settings, state)
    else:
        state, seconds = run_epochs(text, vocabulary, settings, state)
    seconds += add_ppmi(text, vocabulary, settings, state)
    vectors = KeyedVectors(settings.dimension)
    matrix = settings.training.published_matrix if settings.matrix == "published" else settings.matrix
    vectors.add_vectors(text.words, combined_vectors(matrix, state))
    return Trained(seconds, vectors)


def published_vectors(config: TrainingConfig, state: TrainingState) -> NDArray[np.float32]:
    """The vectors that a release of this model holds by default."""
    return combined_vectors(config.published_matrix, state)


def combined_vectors(matrix: str, state: TrainingState) -> NDArray[np.float32]:
    """The vectors that a release holds with `publication.matrix`."""
    if matrix == "svd":
        return reduced_vectors(state.center_vectors, state.context_vectors, ppmi_factors(state.optimizer))
    if matrix == "mixed":
        return mix_vectors(state.center_vectors, state.context_vectors)
    return state.center_vectors


def text_vocabulary(text: EncodedText, settings: BenchmarkSettings) -> Vocabulary:
    """What vecmill's training knows of the words of a text."""
    keep = keep_probability(text.counts, settings.subsample_threshold)
    return Vocabulary(text.counts, keep, noise_probability(text.counts, settings.noise_exponent))


def run_epochs(
    text: EncodedText, vocabulary: Vocabulary, settings: BenchmarkSettings, state: TrainingState
) -> tuple[TrainingState, float]:
    """Train a state to the end; returns it and the seconds of its epochs."""
    seconds = 0.0
    for step in train(text.source, vocabulary, settings.training, state):
        state = step.state
        seconds += step.epoch_result.seconds if step.epoch_result else 0.0
    return state, seconds


def add_ppmi(text: EncodedText, vocabulary: Vocabulary, settings: BenchmarkSettings, state: TrainingState) -> float:
    """Add the factors of PPMI to a trained state, if the settings ask for them; returns the seconds."""
    radius, started = settings.training.counted_radius, time.perf_counter()
    if radius:
        pairs = count_in_memory(text.source.read_chunks(), vocabulary.keep_probability, radius, settings.workers)
        factors = ppmi_vectors(ArrayPairSource(*pairs), state.context_vectors, settings.workers)
        passages = passage_vectors(text.source, text.counts, factors, settings.workers)
        state.optimizer |= {PPMI_VECTORS: factors, PASSAGE_VECTORS: passages}
    return time.perf_counter() - started


def run_varied_epochs(
    text: EncodedText, settings: BenchmarkSettings, state: TrainingState
) -> tuple[TrainingState, float]:
    """As `run_epochs`, with radius, threshold, rates and line order by epoch: trainings of one epoch each."""
    epochs, rate = settings.epochs, settings.learning_rate
    linear = np.linspace(rate, rate * settings.final_rate_fraction, epochs + 1)
    rates = settings.epoch_rates or tuple(linear.tolist())
    config = settings.training
    assert isinstance(config, WindowConfig)
    radii = settings.epoch_radii or tuple(map(config.window_radius_in, range(epochs)))
    early = config.early_epochs
    fractions = (settings.early_threshold_fraction,) * early + (1.0,) * (epochs - early)
    thresholds = settings.epoch_thresholds or tuple(settings.subsample_threshold * part for part in fractions)
    random = np.random.default_rng(settings.seed)
    total = 0.0
    negatives = settings.epoch_negatives or (settings.negatives_per_pair,) * epochs
    models = ["cbow" if config.averages_inputs_in(epoch) else "skip_gram" for epoch in range(epochs)]
    plan = zip(models, radii, thresholds, negatives, rates[:-1], rates[1:], strict=True)
    for model, radius, threshold, noise, first, last in plan:
        finishes = settings.finish_with_cbow and model == "cbow"
        changes = {
            "model": model,
            "finish_with_cbow": False,
            "epochs": 1,
            "window_radius": radius,
            "subsample_threshold": threshold,
            "negatives_per_pair": noise,
            "learning_rate": CBOW_RATE_FACTOR * first if finishes else first,
            "final_rate_fraction": last / first,
            # The draws of an epoch depend on the seed and the epoch's number, which is always 0 here.
            "seed": int(random.integers(1 << 31)),
        }
        source = shuffled_lines(text.source, random) if settings.shuffled else text.source
        fresh = TrainingState(state.center_vectors, state.context_vectors)
        epoch = EncodedText(text.words, text.counts, source)
        varied = settings.model_copy(update=changes)
        state, seconds = run_epochs(epoch, text_vocabulary(text, varied), varied, fresh)
        total += seconds
    return state, total


def shuffled_lines(source: ArrayTokenSource, random: np.random.Generator) -> ArrayTokenSource:
    """The same lines in random order."""
    lines = [line for chunk in source.read_chunks() for line in np.split(chunk.token_ids, chunk.sentence_offsets[1:-1])]
    return ArrayTokenSource(lines[number] for number in random.permutation(len(lines)))


def train_gensim(corpus: BenchmarkCorpus, settings: BenchmarkSettings) -> Trained:
    """Train with gensim's `corpus_file` form, the faster of its two; the seconds are those of `train`."""
    model = Word2Vec(
        sg=int(settings.model == "skip_gram"),
        hs=0,
        vector_size=settings.dimension,
        window=settings.window_radius,
        shrink_windows=settings.reduced_windows,
        negative=settings.negatives_per_pair,
        sample=settings.subsample_threshold,
        min_count=settings.min_count,
        alpha=settings.learning_rate,
        min_alpha=gensim_min_alpha(settings),
        workers=settings.workers,
        seed=settings.seed,
    )
    model.build_vocab(corpus_file=str(corpus.file))
    with threadpool_limits(limits=1):
        started = time.perf_counter()
        model.train(
            corpus_file=str(corpus.file),
            total_examples=model.corpus_count,
            total_words=model.corpus_total_words,
            epochs=settings.epochs,
        )
        seconds = time.perf_counter() - started
    return Trained(seconds, model.wv)


def gensim_min_alpha(settings: BenchmarkSettings) -> float:
    """The final rate for gensim that makes its rate end where the settings say, at least its default of 0.0001.

    In its `corpus_file` form each worker holds the lines that it has read against those of the whole file, so the rate
    goes only part of the way to `min_alpha`, in the mean too (`train_epoch_sg` in word2vec_corpusfile.pyx, gensim 4.4).
    """
    way = 1 - (1 - 1 / settings.workers) / settings.epochs
    return max(1e-4, settings.learning_rate * (1 - (1 - settings.final_rate_fraction) / way))


def train_fasttext(corpus: BenchmarkCorpus, settings: BenchmarkSettings) -> Trained:
    """Train with fastText, without its character n-grams. It takes no seed: each run is another. Its rate falls to 0.

    Its one function counts the words too, so the seconds hold that: about a hundredth of them.
    """
    options = {
        "model": "skipgram" if settings.model == "skip_gram" else "cbow",
        "dim": settings.dimension,
        "ws": settings.window_radius,
        "neg": settings.negatives_per_pair,
        "epoch": settings.epochs,
        "lr": settings.learning_rate,
        "t": settings.subsample_threshold,
        "minCount": settings.min_count,
        "thread": settings.workers,
        "loss": "ns",
        "minn": 0,
        "maxn": 0,
        "bucket": 0,
        "verbose": 0,
    }
    # A separate process: with fewer than ten threads fastText 0.9.2 leaves the last of its first vectors as it finds
    # the memory, eight tenths of them with two: zeros in a new process, NaN in one that has trained before.
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        seconds, words, matrix = process.submit(_run_fasttext, str(corpus.file), options).result()
    vectors = KeyedVectors(settings.dimension)
    vectors.add_vectors(words, matrix)
    return Trained(seconds, vectors)


def _run_fasttext(file: str, options: dict[str, Any]) -> tuple[float, list[str], NDArray[np.float32]]:
    from fasttext import train_unsupervised

    started = time.perf_counter()
    model = train_unsupervised(file, **options)
    seconds = time.perf_counter() - started
    return seconds, model.get_words(), model.get_input_matrix()


def train_w2v_accel(corpus: BenchmarkCorpus, settings: BenchmarkSettings) -> Trained:
    """Train with w2v-accel, on a GPU."""
    from benchmarks import gpu_peers

    return gpu_peers.train_w2v_accel(corpus, settings)


PEERS: dict[str, Trainer] = {"gensim": train_gensim, "fasttext": train_fasttext, "w2v-accel": train_w2v_accel}
# The last is closed and for GPUs alone, so no extra brings it.
INSTALLED_BY = {"gensim": "-e .", "fasttext": "-e '.[bench]'", "w2v-accel": "w2v-accel==0.0.2"}
TRAINERS: dict[str, Trainer] = {"vecmill": train_vecmill, **PEERS}


def is_installed(trainer: str) -> bool:
    """Whether the package of a trainer is installed; vecmill's always is."""
    return trainer == "vecmill" or find_spec(trainer.replace("-", "_")) is not None
