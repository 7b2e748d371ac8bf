"""`python -m benchmarks reference`: the textbook's skip-gram run with vecmill's PyTorch backend.

Zhang et al., "Dive into Deep Learning", section 15.4, trains on the Penn Treebank: 5 epochs, Adam with 0.002, windows
of up to 5 words, 5 noise words, dimension 100, threshold 1e-4, words that occur 10 times. Its loss ends at 0.41 for
each prediction. WikiText-2, cut to the length of the Penn Treebank, replaces it.
"""

import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import typer
from gensim.models import KeyedVectors
from rich.console import Console
from rich.table import Table

from benchmarks.quality import SHARED_DATA
from tasks.text.vocabulary import keep_probability, noise_probability
from tasks.trainers.backends import train
from tasks.trainers.config import SkipGramConfig
from tasks.trainers.interface import ArrayTokenSource, Vocabulary

WIKITEXT = SHARED_DATA / "corpora" / "wikitext2.train.tokens.zst"
PENN_TREEBANK_TOKENS = 930_000
MIN_COUNT, THRESHOLD = 10, 1e-4
# The textbook shows the neighbors of "chip", which WikiText-2 does not have often enough.
QUERIES = ("ship", "king", "album", "storm", "season")


def measure_reference(
    corpus: Annotated[
        Path, typer.Option(exists=True, dir_okay=False, help="text, or text compressed by zstd")
    ] = WIKITEXT,
    tokens: Annotated[int, typer.Option(min=1, help="tokens from the start of the text")] = PENN_TREEBANK_TOKENS,
    epochs: int = 5,
    seed: int = 1,
) -> None:
    """Train the reference backend as the textbook does; print time and loss of each epoch, and neighbors of words."""
    sentences = list(_sentences(corpus, tokens))
    counts = Counter(token for sentence in sentences for token in sentence)
    words = [word for word, count in counts.most_common() if count >= MIN_COUNT]
    numbers = {word: number for number, word in enumerate(words)}
    source = ArrayTokenSource(
        np.array([numbers[token] for token in sentence if token in numbers], np.int32) for sentence in sentences
    )
    of_words = np.array([counts[word] for word in words])
    vocabulary = Vocabulary(of_words, keep_probability(of_words, THRESHOLD), noise_probability(of_words, 0.75))
    # One threshold in all epochs, as in the textbook.
    config = SkipGramConfig(
        epochs=epochs,
        seed=seed,
        backend="torch",
        device="cpu",
        early_threshold_fraction=1.0,
        narrowing_windows=False,
    )
    table = Table("epoch", "seconds", "processor seconds", "loss per prediction", title=_title(corpus, source, words))
    started = time.process_time()
    for step in train(source, vocabulary, config):
        if result := step.epoch_result:
            # Noise that equals the predicted word has no prediction: a few thousandths of all.
            loss = result.mean_loss / (1 + config.negatives_per_pair)
            seconds = (f"{result.seconds:.1f}", f"{time.process_time() - started:.1f}")
            table.add_row(str(result.epoch), *seconds, f"{loss:.3f}")
            started = time.process_time()
    console = Console()
    console.print(table)
    vectors = KeyedVectors(config.dimension)
    vectors.add_vectors(words, step.state.center_vectors)
    for query in QUERIES:
        if query in vectors:
            console.print(f"{query}: {', '.join(word for word, _ in vectors.most_similar(query, topn=5))}")


def _title(corpus: Path, source: ArrayTokenSource, words: list[str]) -> str:
    return f"{corpus.name}: {source.token_count:,} tokens of {len(words):,} words"


def _sentences(path: Path, tokens: int) -> Iterator[list[str]]:
    """The lines with words, up to this number of tokens."""
    with pa.input_stream(str(path)) as stream:
        lines = stream.read().decode().splitlines()
    left = tokens
    for line in lines:
        if sentence := list(islice(line.split(), left)):
            left -= len(sentence)
            yield sentence
