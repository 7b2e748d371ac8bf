"""Builds from addresses and named corpora, served by this machine in their true layout."""

import gzip
import hashlib
import io
import json
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.deployments import build_parameters, find_deployment
from flows.runs.planning import plan_stages
from storage.corpus.documents import read_documents
from storage.corpus.named_corpora import CORPORA, MIRROR_VARIABLE, named_corpus
from storage.errors import CorpusError, SettingsError
from storage.layout import Workspace
from tasks.corpus import check_source, fetch_corpus
from tasks.corpus_config import CorpusConfig
from tasks.downloading import download_corpus
from tests.flows import builds
from tests.storage.corpus.web_server import Served, web_server

SMALL = (
    "training.dimension=16", "training.epochs=1", "training.workers=1", "vocabulary.min_count=2",
    "evaluation.reference=none", "publication.table=news", "report.enabled=false",
)  # fmt: skip
SENTENCES = [
    f"the {word} of the market rose while other {word} fell" for word in ("price", "share", "bond", "rate")
] * 50


def ptb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("ptb/README", "Penn Treebank")
        archive.writestr("ptb/ptb.train.txt", "".join(f" {sentence} \n" for sentence in SENTENCES))
        archive.writestr("ptb/ptb.valid.txt", "not read \n")
    return buffer.getvalue()


def imdb() -> bytes:
    reviews = {f"aclImdb/{part}/{label}/{n}_7.txt": f"{part}<br />{label}" for part in ("train", "test")
               for label in ("pos", "neg") for n in range(3)}  # fmt: skip
    others = {"aclImdb/README": "about", "aclImdb/imdb.vocab": "the", "aclImdb/train/urls_pos.txt": "http://x"}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in (reviews | others | {"aclImdb/train/unsup/0_0.txt": "train unsup"}).items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


def ag_news() -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"text": SENTENCES, "label": [0] * len(SENTENCES)}), buffer)
    return buffer.getvalue()


ARCHIVES = {"ptb": ptb(), "imdb": imdb(), "ag-news": ag_news()}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    paths = {f"/{name}/{CORPORA[name].file}": content for name, content in ARCHIVES.items()}
    with web_server(Served(content="\n".join(SENTENCES).encode(), paths=paths)) as served:
        monkeypatch.setenv(MIRROR_VARIABLE, served.url)
        yield served


def named(name: str) -> CorpusConfig:
    return CorpusConfig.model_validate({"name": name, "sha256": hashlib.sha256(ARCHIVES[name]).hexdigest()})


def documents(config: CorpusConfig, workspace: Workspace) -> list[str]:
    folder = fetch_corpus.fn(config, workspace).path
    return [text for batch in read_documents(folder) for text in batch.columns[2].to_pylist()]


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("ptb", SENTENCES),
        ("ag-news", SENTENCES),
        ("imdb", ["test neg"] * 3 + ["test pos"] * 3 + ["train neg"] * 3 + ["train pos"] * 3 + ["train unsup"]),
    ],
)
def test_a_named_corpus_is_read_in_its_true_layout(server: Served, tmp_path: Path, name: str, texts: list[str]) -> None:
    workspace = Workspace(tmp_path / "workspace")
    with pytest.raises(CorpusError, match="has not been downloaded yet"):
        fetch_corpus.fn(named(name), workspace)
    download_corpus.fn(named(name), workspace)
    assert [text.strip() for text in documents(named(name), workspace)] == texts
    download_corpus.fn(named(name), workspace)
    assert len(server.requests) == 1


def test_the_wrong_content_is_refused(server: Served, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"the sha1 of .* is .*, but 319d85e578af0cdc590547f26231e4e31cdf1e42"):
        download_corpus.fn(CorpusConfig.model_validate({"name": "ptb"}), Workspace(tmp_path))


def test_offline_the_error_names_the_file_and_where_to_put_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MIRROR_VARIABLE, "http://127.0.0.1:9")
    workspace = Workspace(tmp_path)
    place = tmp_path / "downloads" / "ptb" / "ptb.zip"
    with pytest.raises(CorpusError, match=f"fetch http://127.0.0.1:9/ptb/ptb.zip by hand and put it at {place}"):
        download_corpus.fn(named("ptb"), workspace)
    place.write_bytes(ARCHIVES["ptb"])
    assert download_corpus.fn(named("ptb"), workspace) == place
    assert len(documents(named("ptb"), workspace)) == len(SENTENCES)


def test_names_of_corpora() -> None:
    address = named_corpus("wikipedia/ko").address
    assert address == CORPORA["korean-wikipedia"].address
    assert named_corpus("wikipedia/zh-yue").address.endswith("/zh_yuewiki-latest-pages-articles-multistream.xml.bz2")
    for name in ("wikipedia/../x", "wikipedia/<language>", "text9"):
        with pytest.raises(CorpusError, match="the corpora are text8, enwik9, ptb"):
            named_corpus(name)
    with pytest.raises(CorpusError, match="is unknown"):
        check_source(CorpusConfig.model_validate({"name": "text9"}))


@pytest.mark.usefixtures("prefect_server")
def test_a_build_downloads_its_corpus_first(server: Served, tmp_path: Path) -> None:
    build = partial(builds.build, tmp_path / "workspace", *SMALL)
    server.faults = ["drop 5000", "503 0", ""]
    first = build(f"corpus.path={server.address}?token=hunter2")
    assert [stage.name for stage in first.stages][:4] == ["corpus", "tokens", "vocabulary", "encoded"]
    assert all("token=hunter2" in path for path, _ in server.requests)
    sent = server.sent
    again = build(f"corpus.path={server.address}?token=hunter3")
    assert all(stage.reused for stage in again.stages[:4])
    assert server.sent == sent
    parameters = build_parameters(find_deployment("adhoc"), [f"corpus.path={server.address}", *SMALL])
    with pytest.raises(CorpusError, match="has not been downloaded yet; a build downloads it"):
        plan_stages(parameters, Workspace(tmp_path / "other"))
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or b"hunter" not in path.read_bytes(), path


@pytest.mark.usefixtures("prefect_server")
def test_a_build_of_a_named_corpus(server: Served, tmp_path: Path) -> None:
    result = builds.build(
        tmp_path / "workspace", "corpus.name=ptb", f"corpus.sha256={named('ptb').sha256}", *SMALL
    )  # fmt: skip
    assert result.version == 1


def test_hidden_credentials_are_asked_for_by_name(tmp_path: Path) -> None:
    config = CorpusConfig.model_validate({"path": "https://…@127.0.0.1:9/a.txt"})
    with pytest.raises(SettingsError, match=r"put user and password in ~/\.netrc"):
        download_corpus.fn(config, Workspace(tmp_path))


def test_settings_never_hold_the_credentials_of_an_address(server: Served, tmp_path: Path) -> None:
    address = server.address.replace("//", "//me:hunter2@")
    config = CorpusConfig.model_validate({"path": address})
    assert "hunter2" not in config.model_dump_json()
    download_corpus.fn(config, Workspace(tmp_path))
    assert server.requests[-1][1]["Authorization"].startswith("Basic ")


def test_credentials_come_from_netrc(server: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password hunter2\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    download_corpus.fn(CorpusConfig.model_validate({"path": server.address}), Workspace(tmp_path / "w"))
    assert server.requests[-1][1]["Authorization"].startswith("Basic ")


def test_a_truncated_gzip_is_a_clear_error(server: Served, tmp_path: Path) -> None:
    server.paths["/x.txt.gz"] = gzip.compress("\n".join(SENTENCES).encode())[:-20]
    config = CorpusConfig.model_validate({"path": f"{server.url}/x.txt.gz"})
    download_corpus.fn(config, Workspace(tmp_path))
    with pytest.raises(CorpusError, match=r"x\.txt\.gz: .*truncated"):
        fetch_corpus.fn(config, Workspace(tmp_path))


def test_settings_that_exclude_each_other() -> None:
    for settings in ({"name": "ptb", "path": "a.txt"}, {"source": "named"}, {"sha256": "12"}, {"max_download_gb": 0}):
        with pytest.raises(ValueError, match=r"corpus\.name|sha256|max_download_gb"):
            CorpusConfig.model_validate(settings)
    with pytest.raises(SettingsError, match="is a URL that vecmill does not read"):
        check_source(CorpusConfig.model_validate({"path": "ftp://host/a.txt"}))


def test_the_command_lists_the_corpora() -> None:
    command = [sys.executable, "-m", "flows", "corpora"]
    listed = json.loads(subprocess.run([*command, "--json"], capture_output=True, text=True, check=True).stdout)
    assert {"text8", "enwik9", "ptb", "wikitext-2", "wikitext-103", "imdb", "ag-news", "news-1b"} < {
        corpus["name"] for corpus in listed
    }
    assert all(corpus["address"] and corpus["licence"] for corpus in listed)
    assert "Penn Treebank" in subprocess.run(command, capture_output=True, text=True, check=True).stdout
