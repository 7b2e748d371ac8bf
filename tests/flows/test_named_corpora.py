"""Whole builds of named corpora: small cuts of real text in their true layout, from a server on this machine."""

import bz2
import hashlib
import io
import tarfile
from collections.abc import Iterator
from html import escape
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gensim.test.utils import datapath

from storage.corpus.named_corpora import CORPORA, MIRROR_VARIABLE
from storage.corpus.tokens import read_tokens
from storage.files.compressed import open_decompressed
from tests.flows import builds
from tests.storage.corpus.web_server import Served, web_server

KOREAN = Path(__file__).parents[3] / "shared" / "data" / "corpora" / "kowiki2022_AC00-49_wikiextractor.txt.zst"
SMALL = (
    "training.dimension=16", "training.epochs=1", "training.workers=1", "vocabulary.min_count=2",
    "evaluation.reference=none", "publication.table=words", "report.enabled=false",
)  # fmt: skip
STAGES = ["corpus", "tokens", "vocabulary", "encoded"]

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    with web_server() as served:
        monkeypatch.setenv(MIRROR_VARIABLE, served.url)
        yield served


def serve(server: Served, name: str, content: bytes) -> None:
    server.paths[f"/{name}/{CORPORA[name].file}"] = content


def lines_of(name: str) -> list[str]:
    return Path(datapath(name)).read_text(encoding="utf-8", errors="replace").splitlines()


def test_ag_news(server: Served, tmp_path: Path) -> None:
    news = lines_of("lee_background.cor")
    parquet = io.BytesIO()
    pq.write_table(pa.table({"text": news, "label": [2] * len(news)}), parquet)
    serve(server, "ag-news", parquet.getvalue())
    result = builds.build(tmp_path, "corpus.name=ag-news", *SMALL)
    assert [stage.name for stage in result.stages][:4] == STAGES
    assert result.stages[0].rows == len(news)
    assert result.version == 1


def test_imdb(server: Served, tmp_path: Path) -> None:
    reviews = [line.split(" ", 1) for line in lines_of("pang_lee_polarity.cor")]
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for number, (label, text) in enumerate([*reviews, ("no", "neither train nor test")]):
            folder = {"__label__pos": "train/pos", "__label__neg": "test/neg"}.get(label, "other")
            info = tarfile.TarInfo(f"aclImdb/{folder}/{number}_7.txt")
            content = text.replace(" . ", " .<br /><br />").encode()
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    serve(server, "imdb", archive.getvalue())
    digest = f"corpus.sha256={hashlib.sha256(archive.getvalue()).hexdigest()}"
    result = builds.build(tmp_path, "corpus.name=imdb", digest, *SMALL)
    words = [word for batch in read_tokens(Path(result.stages[1].path)) for word in batch.tokens.flatten().to_pylist()]
    assert "simplistic" in words
    assert "br" not in words
    assert result.stages[0].rows == len(reviews)
    assert result.version == 1


@pytest.mark.parametrize(
    "tokenizer",
    [
        "unicode_words",
        "bpe",
        pytest.param(
            "korean", marks=pytest.mark.skipif(not find_spec("kiwipiepy"), reason="kiwipiepy is not installed")
        ),
    ],
)
def test_korean_wikipedia(server: Served, tmp_path: Path, tokenizer: str) -> None:
    pytest.importorskip("mwparserfromhell", reason="the extra mediawiki is not installed")
    if not KOREAN.exists():
        pytest.skip(f"{KOREAN} is absent")
    with open_decompressed(KOREAN) as file:
        articles = file.read(150_000).decode(errors="ignore").split("</doc>\n")[:-1]
    texts = [article.partition("\n")[2] for article in articles]
    serve(server, "korean-wikipedia", bz2.compress(dump(texts).encode()))
    pieces = ("tokenizer.pieces=500",) if tokenizer == "bpe" else ()
    result = builds.build(tmp_path, "corpus.name=korean-wikipedia", f"tokenizer.name={tokenizer}", *pieces, *SMALL)
    assert result.stages[0].rows == len([text for text in texts if text.strip()])
    assert result.version == 1


def dump(texts: list[str]) -> str:
    pages = (
        f"<page><title>{number}</title><ns>0</ns><id>{number}</id><revision><id>1</id><text>{escape(text)}</text>"
        "</revision></page>\n"
        for number, text in enumerate(texts)
    )
    namespaces = '<siteinfo><namespaces><namespace key="0" /></namespaces></siteinfo>'
    schema = "http://www.mediawiki.org/xml/export-0.11/"
    return f'<mediawiki xmlns="{schema}" version="0.11" xml:lang="ko">{namespaces}\n{"".join(pages)}</mediawiki>\n'
