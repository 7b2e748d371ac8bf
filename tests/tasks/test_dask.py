"""Text stages on a Dask cluster of real processes: the same bytes as locally, whatever dies, or a clear error."""

import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from storage.errors import ComputeError, SettingsError
from storage.layout import Workspace
from storage.stages import Manifest
from tasks import dask_engine
from tasks.compute_config import ComputeConfig
from tasks.cooccurrences import count_cooccurrences
from tasks.corpus import fetch_corpus
from tasks.corpus_config import CorpusConfig
from tasks.engine import LOCAL, LocalEngine, check_compute
from tasks.text.options import TokenizerConfig
from tasks.text.vocabulary import VocabularyConfig
from tasks.tokens import tokenize_corpus
from tasks.trainers.config import GloveConfig
from tasks.vocabulary import build_vocabulary, encode_corpus
from tests.tasks.dask_cluster import Cluster

pytest.importorskip("distributed", reason="dask is not installed: pip install 'vecmill[dask]'")

GLOVE = GloveConfig(dimension=8, cooccurrence_megabytes=32)


def on(address: str) -> ComputeConfig:
    return ComputeConfig(engine="dask", address=address)


def build(text: Path, settings: dict[str, Any], folder: Path, compute: ComputeConfig) -> list[Manifest[Any]]:
    """The four stages that compute on the engine, and the vocabulary between them."""
    workspace = Workspace(folder)
    corpus = fetch_corpus.fn(CorpusConfig(path=str(text)), workspace)
    tokens = tokenize_corpus.fn(corpus, TokenizerConfig.model_validate(settings), workspace, compute)
    vocabulary = build_vocabulary.fn(tokens, VocabularyConfig(min_count=2), workspace)
    encoded = encode_corpus.fn(tokens, vocabulary, workspace, None, compute)
    return [tokens, vocabulary, encoded, count_cooccurrences.fn(encoded, vocabulary, GLOVE, workspace, compute)]


def content(manifests: list[Manifest[Any]]) -> list[tuple[str, dict[str, Any]]]:
    """Digest and sha256 of every file. The JSON of trained pieces differs from run to run, in the order of its keys."""
    return [
        (manifest.digest, {name: file for name, file in manifest.files.items() if name != "tokenizer.json"})
        for manifest in manifests
    ]


@pytest.mark.parametrize(
    ("address", "is_valid"),
    [
        ("tcp://10.0.0.5:8786", True),
        ("tls://scheduler.example.org:8786", True),
        ("tcp://[::1]:8786", True),
        ("10.0.0.5:8786", False),
        ("tcp://me:secret@10.0.0.5:8786", False),
        ("tcp://10.0.0.5:8786/?token=secret", False),
        ("http://10.0.0.5:8786", False),
    ],
)
def test_an_address_has_a_host_and_a_port_and_no_secret(address: str, is_valid: bool) -> None:
    if is_valid:
        assert on(address).address == address
    else:
        with pytest.raises(ValueError, match=r"use tcp://HOST:PORT or tls://HOST:PORT without user or password"):
            on(address)


def test_a_cluster_must_be_named() -> None:
    with pytest.raises(ValueError, match=r"engine=dask needs compute\.address; start `dask scheduler`"):
        ComputeConfig(engine="dask")
    assert ComputeConfig(address="tcp://10.0.0.5:8786").engine == "local"


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SettingsError, match=r"compute\.engine=dask needs distributed: pip install 'vecmill\[dask\]'"):
        check_compute(on("tcp://127.0.0.1:1"))


@pytest.mark.parametrize("answers", [False, True], ids=["refused", "silent"])
def test_an_address_without_a_scheduler_is_refused(answers: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """One port that nothing listens on, and one whose owner accepts connections and says nothing."""
    monkeypatch.setattr(dask_engine, "CONNECT_SECONDS", 1)
    with socket.socket() as owner:
        owner.bind(("127.0.0.1", 0))
        if answers:
            owner.listen()
        address = f"tcp://127.0.0.1:{owner.getsockname()[1]}"
        with pytest.raises(ComputeError, match=rf"no Dask scheduler answers at {address} within 1 s.*compute\.address"):
            check_compute(on(address))


def test_certificates_are_asked_for_where_the_address_needs_them() -> None:
    with pytest.raises(ComputeError, match=r"tls://127\.0\.0\.1:1 needs certificates: set distributed\.comm\.tls"):
        check_compute(on("tls://127.0.0.1:1"))


def test_the_local_engine_keeps_the_order_and_runs_a_few_ahead() -> None:
    read = []

    def numbers() -> Iterator[tuple[int, int]]:
        for number in range(100):
            read.append(number)
            yield number, number

    results = LocalEngine().map(pow, numbers(), 2)
    assert next(results) == (0, 0)
    assert len(read) < 20
    assert list(results) == [(number, number**2) for number in range(1, 100)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    running = Cluster(tmp_path_factory.mktemp("cluster"), 2)
    yield running
    running.close()


@pytest.fixture
def own_cluster(tmp_path: Path) -> Iterator[Cluster]:
    """One that a test may kill."""
    (tmp_path / "cluster").mkdir()
    running = Cluster(tmp_path / "cluster", 2)
    yield running
    running.close()


@pytest.mark.long
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"name": "basic_english", "phrases": 2, "phrase_threshold": 1.0},
        {"name": "bpe", "pieces": 300, "stop_words": ["the"]},
        {"numbers": "token", "sentences": True},
    ],
    ids=["plain", "phrases", "pieces", "cleaned"],
)
def test_stages_are_the_same_to_the_byte(
    settings: dict[str, Any], cluster: Cluster, news_file: Path, tmp_path: Path
) -> None:
    local = build(news_file, settings, tmp_path / "local", LOCAL)
    there = build(news_file, settings, tmp_path / "dask", on(cluster.address))
    assert content(there) == content(local)
    assert not any(manifest.reused for manifest in there)
