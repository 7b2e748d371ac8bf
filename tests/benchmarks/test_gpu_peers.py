"""The peer w2v-accel: what is asked of it and what is made of its answer, with a stand-in for its closed program."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from gensim.models import KeyedVectors
from gensim.test.utils import datapath
from typer.testing import CliRunner

from benchmarks.__main__ import app
from benchmarks.corpora import BenchmarkCorpus, load_corpus
from benchmarks.gpu_peers import train_w2v_accel
from benchmarks.trainers import BenchmarkSettings

SETTINGS = BenchmarkSettings(dimension=8, epochs=3)


@pytest.fixture
def corpus(tmp_path: Path) -> BenchmarkCorpus:
    return load_corpus(Path(datapath("lee_background.cor")), tmp_path)


def stand_in(monkeypatch: pytest.MonkeyPatch, says: str) -> dict[str, Any]:
    """A package with the function of w2v-accel 0.0.2; returns the arguments of its calls."""
    called: dict[str, Any] = {}

    def train_word2vec(train: str, output: str, **options: Any) -> None:
        called.update(options, train=train)
        vectors = KeyedVectors(options["size"])
        vectors.add_vectors(["the", "to"], np.ones((2, options["size"]), np.float32))
        vectors.save_word2vec_format(output, binary=True)
        sys.stdout.write(says)

    package = ModuleType("w2v_accel")
    package.train_word2vec = train_word2vec  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "w2v_accel", package)
    return called


def test_its_own_training_time_and_vectors_are_taken(
    monkeypatch: pytest.MonkeyPatch, corpus: BenchmarkCorpus, capsys: pytest.CaptureFixture[str]
) -> None:
    called = stand_in(monkeypatch, "[w2v-accel] Total training time: 24.40 seconds\n")
    trained = train_w2v_accel(corpus, SETTINGS)
    assert trained.seconds == 24.4
    assert trained.vectors.index_to_key == ["the", "to"]
    assert called["train"] == str(corpus.file)
    assert (called["size"], called["window"], called["negative"], called["iter"]) == (8, 5, 5, 3)
    assert (called["sample"], called["min_count"], called["cache_enable"]) == (1e-3, 5, False)
    assert capsys.readouterr().out == ""


def test_an_end_without_a_time_is_an_error(monkeypatch: pytest.MonkeyPatch, corpus: BenchmarkCorpus) -> None:
    stand_in(monkeypatch, "[w2v-accel] Warning: Training may not have completed successfully.")
    with pytest.raises(RuntimeError, match=r"without vectors or a training time; it said: .*may not have completed"):
        train_w2v_accel(corpus, SETTINGS)


def test_a_program_that_fails_is_an_error(monkeypatch: pytest.MonkeyPatch, corpus: BenchmarkCorpus) -> None:
    def fail(**options: Any) -> None:
        raise subprocess.CalledProcessError(1, ["word2vec_w5_k5"])

    stand_in(monkeypatch, "")
    monkeypatch.setattr(sys.modules["w2v_accel"], "train_word2vec", fail)
    with pytest.raises(RuntimeError, match="it needs Linux on x86-64 and a CUDA device"):
        train_w2v_accel(corpus, SETTINGS)


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("window_radius", 9, "a window of at most 8"),
        ("negatives_per_pair", 11, "at most 10 negatives"),
        ("learning_rate", 0.05, "a learning rate of 0.025"),
        ("model", "cbow", "skip-gram with reduced windows"),
    ],
)
def test_settings_that_it_does_not_take_are_refused(
    corpus: BenchmarkCorpus, setting: str, value: Any, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        train_w2v_accel(corpus, SETTINGS.model_copy(update={setting: value}))


def test_it_runs_only_when_asked_for_and_installed() -> None:
    result = CliRunner().invoke(app, ["training", "--peer", "w2v-accel"])
    assert result.exit_code == 2
    assert "pip install w2v-accel==0.0.2" in " ".join(result.output.replace("│", " ").split())
