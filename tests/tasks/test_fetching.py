"""Vectors that come over a network are fetched by a task that tries again; a name that does not exist is not."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import gensim.downloader
import pytest

from storage.errors import DownloadError, ReferenceVectorsError
from tasks.evaluation import fetch_reference_vectors

pytestmark = pytest.mark.usefixtures("prefect_server")

IMPATIENT = fetch_reference_vectors.with_options(retry_delay_seconds=[0, 0, 0])


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Requests to a failing server in place of gensim-data's."""
    paths: list[str] = []

    class OutOfOrder(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_error(503)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), OutOfOrder) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/list.json"
        monkeypatch.setattr(gensim.downloader, "BASE_DIR", str(tmp_path))
        monkeypatch.setattr(gensim.downloader._load_info, "__defaults__", (url, "utf-8"))
        yield paths
        server.shutdown()


def test_a_network_that_fails_is_asked_four_times(asked: list[str]) -> None:
    with pytest.raises(DownloadError, match="check the network"):
        IMPATIENT("gensim:glove-twitter-25")
    assert asked == ["/list.json"] * 4


def test_an_unknown_name_is_asked_for_once(asked: list[str], tmp_path: Path) -> None:
    (tmp_path / "information.json").write_text(json.dumps({"models": {}, "corpora": {}}), encoding="utf-8")
    with pytest.raises(ReferenceVectorsError, match="has no vectors"):
        IMPATIENT("gensim:glove-twitter-25")
    assert len(asked) == 1
