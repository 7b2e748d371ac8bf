"""Text stages on a Dask cluster of real processes: the same bytes as locally, whatever dies, or a clear error."""

import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from storage.errors import ComputeError, SettingsError
from storage.layout import Workspace
from storage.stages import Manifest
from tasks import dask_engine, tokenizing
from tasks import engine as engine_module
from tasks.compute_config import ComputeConfig
from tasks.cooccurrences import count_cooccurrences
from tasks.corpus import fetch_corpus
from tasks.corpus_config import CorpusConfig
from tasks.engine import LOCAL, LocalEngine, check_compute, opened_engine
from tasks.progress import NullProgress, listening
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
    encoded = encode_corpus.fn(tokens, vocabulary, workspace, None, compute=compute)
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
def start_cluster(tmp_path: Path) -> Iterator[Callable[..., Cluster]]:
    """Starts clusters that a test may kill."""
    running: list[Cluster] = []

    def start(workers: int, options: Sequence[str] = (), **environment: str) -> Cluster:
        folder = tmp_path / f"cluster-{len(running)}"
        folder.mkdir()
        running.append(Cluster(folder, workers, options, **environment))
        return running[-1]

    yield start
    for cluster in running:
        cluster.close()


@pytest.mark.long
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"name": "basic_english", "phrases": 2, "phrase_threshold": 1.0},
        {"name": "bpe", "pieces": 300, "stop_words": ["the"], "numbers": "token"},
    ],
    ids=["plain", "phrases", "pieces"],
)
def test_stages_are_the_same_to_the_byte(
    settings: dict[str, Any], cluster: Cluster, news_file: Path, tmp_path: Path
) -> None:
    local = build(news_file, settings, tmp_path / "local", LOCAL)
    there = build(news_file, settings, tmp_path / "dask", on(cluster.address))
    assert content(there) == content(local)
    assert not any(manifest.reused for manifest in there)


class AtFirstBatch(NullProgress):
    """Acts when the first batch is finished, while others run."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._acts = [act]

    def advanced(self, done: int) -> None:
        if self._acts:
            self._acts.pop()()


@pytest.fixture
def slow_build(news_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Manifest[Any]]:
    """Tokenizes two batches of many slices with a slow tokenizer, in a workspace of the given name."""
    pytest.importorskip("rjieba", reason="rjieba is not installed: pip install 'vecmill[chinese]'")
    monkeypatch.setattr(tokenizing, "SLICE_BYTES", 1 << 16)
    # The local runs of these tests start no processes.
    monkeypatch.setattr(engine_module, "available_cores", lambda: 1)
    text = tmp_path / "long.txt"
    text.write_text(news_file.read_text(encoding="utf-8") * 15, encoding="utf-8")

    def tokenized(workspace: str, compute: ComputeConfig, progress: NullProgress | None = None) -> Manifest[Any]:
        corpus = fetch_corpus.fn(CorpusConfig(path=str(text)), Workspace(tmp_path / workspace))
        config = TokenizerConfig(name="chinese")
        with listening(progress or NullProgress()):
            return tokenize_corpus.fn(corpus, config, Workspace(tmp_path / workspace), compute)

    return tokenized


@pytest.mark.long
def test_a_killed_worker_costs_only_its_batches(
    start_cluster: Callable[..., Cluster], slow_build: Callable[..., Manifest[Any]]
) -> None:
    cluster = start_cluster(2)
    compute = on(cluster.address)
    with opened_engine(compute) as engine:
        while engine.slots < 2:
            time.sleep(0.1)
    there = slow_build("dask", compute, AtFirstBatch(cluster.workers[0].kill))
    assert cluster.workers[0].wait() == -signal.SIGKILL
    assert cluster.workers[1].poll() is None
    assert content([there]) == content([slow_build("local", LOCAL)])


@pytest.mark.long
@pytest.mark.parametrize("lost", ["workers", "scheduler"])
def test_a_lost_cluster_stops_the_run_and_the_next_one_resumes(
    lost: str, start_cluster: Callable[..., Cluster], slow_build: Callable[..., Manifest[Any]],
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr(dask_engine, "LOST_WORKERS_SECONDS", 1)
    cluster = start_cluster(1)
    process, message = {
        "workers": (cluster.workers[0], r"has lost all its workers, .* start workers with `dask worker tcp://"),
        "scheduler": (cluster.scheduler, r"lost the connection to the Dask scheduler at tcp://.* run again to resume"),
    }[lost]
    with pytest.raises(ComputeError, match=message):
        slow_build("dask", on(cluster.address), AtFirstBatch(process.kill))
    with caplog.at_level("INFO"):
        resumed = slow_build("dask", LOCAL)
    assert "resuming: 1 batches are finished" in caplog.text
    assert content([resumed]) == content([slow_build("local", LOCAL)])


@pytest.mark.long
def test_text_that_kills_every_worker_stops_the_run(start_cluster: Callable[..., Cluster]) -> None:
    cluster = start_cluster(1, DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0")
    with (
        opened_engine(on(cluster.address)) as engine,
        pytest.raises(ComputeError, match=r"workers .* died on the same part of the text, probably for lack of memory"),
    ):
        list(engine.map(os._exit, [(None, 1)]))


@pytest.mark.long
def test_workers_with_other_versions_are_refused_at_the_start_and_later(
    start_cluster: Callable[..., Cluster], tmp_path: Path
) -> None:
    other = tmp_path / "packages" / "pyarrow-1.2.3.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: pyarrow\nVersion: 1.2.3\n")
    cluster = start_cluster(1)
    compute = on(cluster.address)
    with opened_engine(compute) as engine:
        cluster.workers.append(cluster.add_worker(PYTHONPATH=str(other.parent)))
        while engine.slots < 2:
            time.sleep(0.1)
        with pytest.raises(ComputeError, match=r"workers changed: pyarrow is 1\.2\.3 .* on a worker that has joined"):
            list(engine.map(time.sleep, [(None, 0.1)] * 50))
    message = (
        rf"workers .* at {compute.address} differ .*: pyarrow is 1\.2\.3 \(imported: .*\) on tcp://.* here; install"
    )
    with pytest.raises(ComputeError, match=message):
        check_compute(compute)


@pytest.mark.long
def test_a_cluster_without_workers_and_a_worker_are_no_cluster(
    start_cluster: Callable[..., Cluster], cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_engine, "FIRST_WORKER_SECONDS", 0.5)
    empty = start_cluster(0)
    with pytest.raises(ComputeError, match=rf"cluster at {empty.address} has no workers; start one with `dask worker"):
        check_compute(on(empty.address))
    with pytest.raises(ComputeError, match=r"tcp://\S+ is a Dask Worker, not a scheduler"):
        check_compute(on(cluster.worker_address()))


@pytest.mark.long
def test_certificates_of_dask_are_used(start_cluster: Callable[..., Cluster], tmp_path: Path) -> None:
    import dask

    certificate, key = made_certificate(tmp_path)
    options = ["--protocol", "tls", "--tls-ca-file", certificate, "--tls-cert", certificate, "--tls-key", key]
    cluster = start_cluster(1, options)
    assert cluster.address.startswith("tls://")
    tls = "distributed.comm.tls"
    names = {f"{tls}.ca-file": certificate, f"{tls}.client.cert": certificate, f"{tls}.client.key": key}
    with dask.config.set(names), opened_engine(on(cluster.address)) as engine:
        assert list(engine.map(pow, [("kept", 3)], 2)) == [("kept", 9)]


def made_certificate(folder: Path) -> tuple[str, str]:
    """A certificate that signs itself, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(folder / "certificate.pem"), str(folder / "key.pem")


@pytest.mark.long
def test_a_build_on_dask_has_the_stages_of_a_local_one(cluster: Cluster, news_file: Path, tmp_path: Path) -> None:
    settings = [f"corpus.path={news_file}", "training.dimension=8", "training.epochs=1", "training.workers=1",
                "evaluation.reference=none", "report.enabled=false", "publication.table=news"]  # fmt: skip
    computes = {"local": [], "dask": ["compute.engine=dask", f"compute.address={cluster.address}"]}
    stages = {}
    for name, compute in computes.items():
        options = [word for setting in (*settings, *compute) for word in ("--set", setting)]
        built = subprocess.run(
            [sys.executable, "-m", "flows", "build", "adhoc", *options, "--workspace", str(tmp_path / name)],
            cwd=tmp_path, capture_output=True, text=True, timeout=500, check=False,
        )  # fmt: skip
        assert built.returncode == 0, built.stderr
        assert "distributed" not in built.stderr
        assert ("Dask at tcp://127.0.0.1:" in built.stderr) == (name == "dask")
        stages[name] = {
            path.relative_to(tmp_path / name): hashlib.sha256(path.read_bytes()).hexdigest()
            for kind in ("corpora", "tokens", "vocabularies", "encoded", "models")
            for path in (tmp_path / name / kind).rglob("*.*")
            if path.is_file() and path.name != "manifest.json" and path.suffix in (".parquet", ".safetensors", ".npy")
        }
    assert len(stages["local"]) >= 8
    assert stages["dask"] == stages["local"]
