"""A release is queried in place over HTTP, as docs/querying.md shows, by DuckDB's extension httpfs."""

import importlib.util
import re
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import duckdb
import pytest

from storage.layout import Workspace
from storage.releases.publishing import publish_release
from tests.storage.sample_releases import content

PAGE = Path(__file__).resolve().parents[3] / "docs/querying.md"
ADDRESS = "https://example.org/tables"
WORDS = ["terrible", "awful", *(f"word{number}" for number in range(3000))]


class RangeServer(BaseHTTPRequestHandler):
    """Serves a folder and answers range requests, which Python's own handler does not."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments: object, directory: Path, sent: list[int]) -> None:
        self.directory, self.sent = directory, sent
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self.wfile.write(self._answer())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _answer(self) -> bytes:
        data = (self.directory / self.path.lstrip("/")).read_bytes()
        size = len(data)
        if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            first, last = int(asked[1]), min(int(asked[2] or size), size - 1)
            data = data[first : last + 1]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        else:
            self.send_response(200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.sent.append(len(data))
        return data


@pytest.fixture
def httpfs() -> str:
    """The extension's file for this version of DuckDB, from a package."""
    package = importlib.util.find_spec("duckdb_extension_httpfs")
    files = [Path(part) / f"extensions/v{duckdb.__version__}/httpfs.duckdb_extension"
             for part in (package.submodule_search_locations or [] if package else [])]  # fmt: skip
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        pytest.skip(f"no package of the extension httpfs for DuckDB {duckdb.__version__} is installed")
    return str(file)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Path, list[int]]]:
    """Address, file of the second of two versions, and the bytes that each answer sent."""
    workspace = Workspace(tmp_path / "workspace")
    for seed in (1, 2):
        publish_release(workspace, "movie-reviews", content(WORDS, seed=seed))
    sent: list[int] = []
    handler = partial(RangeServer, directory=workspace.tables_root, sent=sent)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", workspace.release_file("movie-reviews", 2), sent
        server.shutdown()


def test_the_file_of_a_version_is_attached_over_http(httpfs: str, served: tuple[str, Path, list[int]]) -> None:
    address, file, sent = served
    (block,) = (
        block for block in re.findall(r"```sql\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL) if ADDRESS in block
    )
    with duckdb.connect(str(file), read_only=True) as local:
        expected = local.execute("FROM nearest('terrible')").fetchall()
    with duckdb.connect() as remote:
        remote.execute(f"LOAD '{httpfs}'")
        attach, *others = block.replace(ADDRESS, address).strip().rstrip(";").split(";")
        remote.execute(attach)
        assert 0 < sum(sent) < file.stat().st_size, "attaching reads a part of the file"
        for statement in others:
            answer = remote.execute(statement).fetchall()
        assert answer == expected
