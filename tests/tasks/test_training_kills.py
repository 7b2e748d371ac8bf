"""A real training process is killed at random moments and still ends with the bits of an undisturbed run."""

import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from storage.layout import Workspace
from storage.models.matrices import CHECKPOINT, read_vectors
from storage.stages import Manifest, find_stage
from tasks.corpus import fetch_corpus
from tasks.corpus_config import CorpusConfig
from tasks.text.tokenizers import TokenizerConfig
from tasks.text.vocabulary import VocabularyConfig
from tasks.tokens import tokenize_corpus
from tasks.trainers.config import CbowConfig, FastTextConfig, SkipGramConfig, TrainingConfig
from tasks.training import train_vectors, training_stage
from tasks.vocabulary import EncodedFacts, VocabularyFacts, build_vocabulary, encode_corpus
from tests.processes import quick_processes

pytestmark = pytest.mark.long

# Checkpoints so often that a kill is likely to fall into the writing of one.
OFTEN = {"workers": 1, "checkpoint_every_seconds": 0.1}


def train(
    encoded: Manifest[EncodedFacts], vocabulary: Manifest[VocabularyFacts], config: TrainingConfig, workspace: Workspace
) -> None:
    train_vectors.fn(encoded, vocabulary, config, workspace)


@pytest.mark.parametrize(
    ("config", "kills"),
    [
        (SkipGramConfig(dimension=100, epochs=2, **OFTEN), 10),
        (CbowConfig(dimension=100, epochs=4, **OFTEN), 3),
        (FastTextConfig(dimension=32, epochs=1, buckets=20_000, **OFTEN), 3),
    ],
    ids=["skip_gram", "cbow", "fasttext"],
)
def test_kills_at_random_moments_change_no_bit(config: TrainingConfig, kills: int, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    corpus = fetch_corpus.fn(CorpusConfig(), workspace)
    tokens = tokenize_corpus.fn(corpus, TokenizerConfig(), workspace)
    vocabulary = build_vocabulary.fn(tokens, VocabularyConfig(), workspace)
    encoded = encode_corpus.fn(tokens, vocabulary, workspace)
    whole = train_vectors.fn(encoded, vocabulary, config, Workspace(tmp_path / "whole"))

    stage = training_stage(encoded, vocabulary, config)
    checkpoint = workspace.partial_folder(stage.kind, stage.digest) / CHECKPOINT
    moments = random.Random(1)
    for _ in range(kills):
        before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        process = quick_processes().Process(target=train, args=(encoded, vocabulary, config, workspace))
        process.start()
        # At least one checkpoint further, so that all kills end; then at any moment.
        while process.is_alive() and (not checkpoint.exists() or checkpoint.stat().st_mtime_ns == before):
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 0.2))
        assert process.pid
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert process.exitcode == -signal.SIGKILL, "training ended before it was killed; give it more epochs"
        assert find_stage(workspace, stage) is None

    resumed = train_vectors.fn(encoded, vocabulary, config, workspace)
    np.testing.assert_array_equal(read_vectors(resumed.path), read_vectors(whole.path))
    assert [epoch.mean_loss for epoch in resumed.facts.epochs] == pytest.approx(
        [epoch.mean_loss for epoch in whole.facts.epochs]
    )
