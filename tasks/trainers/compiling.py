"""Compile the CPU kernels in a separate process while the corpus is read, on a machine that has not run them yet.

Numba compiles one function at a time and holds Python's lock, so a thread would delay the stages before the training.
The process leaves the code in Numba's cache, from which the training loads it.
"""

import atexit
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias, TypeGuard, cast

import numpy as np

from tasks.trainers.backends import resolve_backend, train
from tasks.trainers.config import (
    CbowConfig,
    FastTextConfig,
    SkipGramConfig,
    TrainingConfig,
    training_config,
)
from tasks.trainers.interface import ArrayPairSource, ArrayTokenSource, Vocabulary
from tasks.trainers.sampling import default_buckets

WORDS = 64
# The families whose kernels take long to compile.
WindowFamily: TypeAlias = SkipGramConfig | CbowConfig | FastTextConfig

_started: list[subprocess.Popen[bytes]] = []


def prepare_kernel(config: TrainingConfig) -> None:
    """Load what training with these settings needs from Numba's cache, or start compiling it if the cache lacks it.

    Loading takes half a second, which a command has while Prefect's server starts.
    """
    if not _trains_on_cpu(config):
        return
    if _is_cached(config):
        _train_a_sentence(config)
    else:
        start_compiling(config)


def start_compiling(config: TrainingConfig) -> None:
    """Start compiling what training with these settings needs, unless Numba's cache has such code already."""
    if _started or not _trains_on_cpu(config) or _is_cached(config):
        return
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, config.model_dump_json()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    atexit.register(process.kill)
    _started.append(process)


def finish_compiling() -> None:
    """Wait for what `start_compiling` has started. If it failed, the training compiles and reports the error."""
    while _started:
        process = _started.pop()
        process.wait()
        atexit.unregister(process.kill)


def _trains_on_cpu(config: TrainingConfig) -> TypeGuard[WindowFamily]:
    """Whether a kernel of this package trains. The training reports settings that no backend can train with."""
    try:
        return isinstance(config, WindowFamily) and resolve_backend(config) == "numba"
    except ValueError:
        return False


def _is_cached(config: TrainingConfig) -> bool:
    """Whether Numba's cache has an index of the family's kernels, of whatever state of their source."""
    named = os.environ.get("NUMBA_CACHE_DIR")
    folder = Path(named) if named else Path(__file__).parent / "cpu" / "__pycache__"
    kernels = ["subword_kernel"] if isinstance(config, FastTextConfig) else ["kernel"]
    if config.counted_radius:
        kernels += ["cooccurrences", "passages", "ppmi"]
    return all(next(folder.rglob(f"{kernel}.*.nbi"), None) for kernel in kernels)


def _train_a_sentence(config: WindowFamily) -> None:
    """Train and count one sentence, for which Numba loads or compiles what the settings need."""
    config = config.model_copy(update={"epochs": 1, "backend": "numba"})
    vocabulary = Vocabulary(np.full(WORDS, 2, dtype=np.int64), np.ones(WORDS), np.full(WORDS, 1 / WORDS))
    if isinstance(config, FastTextConfig):
        # Deferred: imports Numba.
        from tasks.trainers.ngrams import ngram_buckets

        words, buckets = [f"word{number}" for number in range(WORDS)], default_buckets(WORDS)
        config = config.model_copy(update={"buckets": buckets})
        ngrams = ngram_buckets(words, config.minimum_ngram, config.maximum_ngram, buckets)
        vocabulary = replace(vocabulary, ngrams=ngrams)
    sentence = np.tile(np.arange(WORDS, dtype=np.int32), 2)
    source = ArrayTokenSource([sentence])
    *_, last = train(source, vocabulary, config)
    if config.counted_radius:
        # Deferred: imports Numba.
        from tasks.trainers.cpu.cooccurrences import count_in_memory
        from tasks.trainers.cpu.passages import passage_vectors
        from tasks.trainers.cpu.ppmi import ppmi_vectors

        pairs = count_in_memory(source.read_chunks(), vocabulary.keep_probability, config.counted_radius)
        factors = ppmi_vectors(ArrayPairSource(*pairs), last.state.context_vectors)
        passage_vectors(source, vocabulary.counts, factors)


if __name__ == "__main__":
    _train_a_sentence(cast(WindowFamily, training_config(json.loads(sys.argv[1]))))
