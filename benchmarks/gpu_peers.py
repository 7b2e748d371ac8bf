"""Peers that need a GPU. They run only when asked for by name."""

import re
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib import import_module
from io import StringIO
from pathlib import Path
from types import ModuleType

from gensim.models import KeyedVectors

from benchmarks.corpora import BenchmarkCorpus
from benchmarks.trainers import BenchmarkSettings, Trained

# Its two binaries were compiled for no more than these.
MOST_WINDOW, MOST_NEGATIVES = 8, 10
# Its function takes no rate; word2vec.c, whose options it has, starts skip-gram with this one.
ITS_LEARNING_RATE = 0.025
TRAINING_SECONDS = re.compile(r"Total training time: ([\d.]+) seconds")


def train_w2v_accel(corpus: BenchmarkCorpus, settings: BenchmarkSettings) -> Trained:
    """Train with w2v-accel 0.0.2, a closed CUDA program; the seconds are those of training that it prints itself.

    It takes no seed. Raises ValueError if it cannot train with these settings, RuntimeError if it failed or is not
    installed.
    """
    _check(settings)
    train: Callable[..., None] = _package().train_word2vec
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(StringIO()) as said:
        vectors = Path(folder) / "vectors.bin"
        try:
            train(
                train=str(corpus.file),
                output=str(vectors),
                size=settings.dimension,
                window=settings.window_radius,
                negative=settings.negatives_per_pair,
                sample=settings.subsample_threshold,
                min_count=settings.min_count,
                iter=settings.epochs,
                binary=True,
                cache_enable=False,
                debug=True,
            )
        except (OSError, subprocess.CalledProcessError) as error:
            raise RuntimeError(f"w2v-accel failed ({error}); it needs Linux on x86-64 and a CUDA device") from error
        seconds = TRAINING_SECONDS.search(said.getvalue())
        if seconds is None or not vectors.exists():
            raise RuntimeError(f"w2v-accel ended without vectors or a training time; it said: {said.getvalue()[-500:]}")
        return Trained(float(seconds[1]), KeyedVectors.load_word2vec_format(str(vectors), binary=True))


def _check(settings: BenchmarkSettings) -> None:
    asked = {
        "skip-gram with reduced windows": settings.model == "skip_gram" and settings.reduced_windows,
        f"a window of at most {MOST_WINDOW}": settings.window_radius <= MOST_WINDOW,
        f"at most {MOST_NEGATIVES} negatives": settings.negatives_per_pair <= MOST_NEGATIVES,
        f"a learning rate of {ITS_LEARNING_RATE}": settings.learning_rate == ITS_LEARNING_RATE,
    }
    for what, is_met in asked.items():
        if not is_met:
            raise ValueError(f"w2v-accel trains with {what} only; compare with these settings")


def _package() -> ModuleType:
    try:
        return import_module("w2v_accel")
    except ModuleNotFoundError as error:
        raise RuntimeError("w2v-accel is not installed; pip install w2v-accel==0.0.2") from error
