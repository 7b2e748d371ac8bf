"""Training holds the vocabulary, the two matrices and little more, however large the corpus is."""

import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest

from storage.corpus.encoded import EncodedCorpus, EncodedRows, write_encoded
from storage.corpus.vocabularies import read_vocabulary
from storage.layout import Workspace
from storage.stages import Manifest
from tasks.corpus import fetch_corpus
from tasks.corpus_config import CorpusConfig
from tasks.text.tokenizers import TokenizerConfig
from tasks.text.vocabulary import VocabularyConfig
from tasks.tokens import tokenize_corpus
from tasks.trainers.backends import train
from tasks.trainers.config import SkipGramConfig
from tasks.trainers.interface import Vocabulary
from tasks.trainers.sampling import initial_state
from tasks.training import train_vectors
from tasks.vocabulary import EncodedFacts, VocabularyFacts, build_vocabulary, encode_corpus

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of memory from Linux's /proc"),
]

MEGABYTE = 1 << 20
ALLOWED_MEGABYTES = 512
WIKIPEDIA = Path(__file__).resolve().parents[2].parent / "shared/data/corpora/enwiki2015_text8like_100MB.txt.gz"
WORDS = 1000


def held_memory(field: str) -> int:
    """Bytes of this program: VmRSS now, VmHWM at most so far (`ru_maxrss` also counts its parent at its birth)."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[field].split()[0]) * 1024


def train_encoded(results: Connection, folder: Path) -> None:
    """Train on an encoded corpus of WORDS words, nearly all occurrences skipped."""
    counts = np.full(WORDS, 1000)
    vocabulary = Vocabulary(counts, np.full(WORDS, 1e-4), np.full(WORDS, 1 / WORDS))
    config = SkipGramConfig(dimension=8, window_radius=1, negatives_per_pair=1, epochs=1, backend="numba")
    state = initial_state(vocabulary, config.dimension, config.seed)
    before = held_memory("VmRSS")
    last = [step.tokens_done for step in train(EncodedCorpus(folder), vocabulary, config, state)][-1]
    results.send((last, held_memory("VmHWM") - before))


def train_stage(
    results: Connection, encoded: Manifest[EncodedFacts], vocabulary: Manifest[VocabularyFacts], workspace: Workspace
) -> None:
    """Train as the pipeline does, with a checkpoint every second."""
    words = read_vocabulary(vocabulary.path)
    matrices = np.ones((2, len(words.words), 100), np.float32)
    before = held_memory("VmRSS")
    del words, matrices
    train_vectors.fn(encoded, vocabulary, SkipGramConfig(epochs=1, checkpoint_every_seconds=1.0), workspace)
    results.send((vocabulary.facts.corpus_tokens, held_memory("VmHWM") - before))


def in_fresh_process(target: object, *arguments: object) -> tuple[int, int]:
    """What the target sends: tokens trained, and bytes above what was held before."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=target, args=(sender, *arguments))  # type: ignore[arg-type]
    process.start()
    sender.close()
    tokens, above = receiver.recv()
    process.join()
    return tokens, above


def test_a_corpus_of_a_gigabyte_is_streamed(tmp_path: Path) -> None:
    """Held whole it would be twice what is allowed."""
    batch = np.random.default_rng(1).integers(WORDS, size=1 << 22, dtype=np.int32)
    offsets = np.arange(0, len(batch) + 1, 1 << 10)
    rows = len(offsets) - 1
    batches = (
        EncodedRows(np.arange(number * rows, (number + 1) * rows), np.zeros(rows, np.int32), batch, offsets)
        for number in range(64)
    )
    tokens = write_encoded(tmp_path, batches)
    assert tokens * batch.itemsize == 2 * ALLOWED_MEGABYTES * MEGABYTE
    trained, above = in_fresh_process(train_encoded, tmp_path)
    assert trained == tokens
    assert above < ALLOWED_MEGABYTES * MEGABYTE


@pytest.mark.skipif(not WIKIPEDIA.exists(), reason=f"the optional corpus {WIKIPEDIA.name} is not there")
def test_a_hundred_megabytes_of_text_are_trained_in_little_memory(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    corpus = fetch_corpus.fn(CorpusConfig(source="files", path=str(WIKIPEDIA)), workspace)
    tokens = tokenize_corpus.fn(corpus, TokenizerConfig(name="whitespace"), workspace)
    vocabulary = build_vocabulary.fn(tokens, VocabularyConfig(), workspace)
    encoded = encode_corpus.fn(tokens, vocabulary, workspace)
    trained, above = in_fresh_process(train_stage, encoded, vocabulary, workspace)
    assert trained > 16_000_000
    assert above < ALLOWED_MEGABYTES * MEGABYTE
