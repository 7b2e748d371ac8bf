"""Every code block of docs/querying.md runs, each in a fresh interpreter or shell, on a small table."""

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from storage.layout import Workspace
from storage.releases.publishing import publish_release
from tests.storage.sample_releases import content, sample_documents

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs/querying.md").read_text(encoding="utf-8")
BLOCK = re.compile(
    r"^(?P<before>[^\n]*)\n\n```(?P<language>python|sql|sh|js)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)
BLOCKS = [(found["before"], found["language"], found["code"]) for found in BLOCK.finditer(PAGE)]
NODE_PACKAGE = re.compile(r"require\(\"(@duckdb/[^\"]+)\"\)")
SERVER = "http://localhost:8000/"
WORDS = ["the", "a", "film", "movie", "good", "bad", "great", "terrible", "man", "king", "woman", "queen"]
WORDS += ["funny", "hilarious", "amusing", "don't"]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the page supposes it: its workspace has two releases of movie-reviews."""
    folder = tmp_path_factory.mktemp("querying")
    for seed in (1, 2):
        words = [*WORDS, *(f"word{number}" for number in range(100))]
        release = replace(content(words, seed=seed), documents=sample_documents(folder / f"stage{seed}"))
        publish_release(Workspace(folder / "workspace"), "movie-reviews", release)
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[str]:
    handler = partial(Quiet, directory=str(folder / "workspace" / "tables"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_port}/"
        served.shutdown()


def test_every_block_of_the_page_is_found() -> None:
    assert len(BLOCKS) == len(re.findall(r"^```\w", PAGE, re.MULTILINE))
    assert {language for _, language, _ in BLOCKS} == {"python", "sql", "sh", "js"}


def _skip_without_package(package: str) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed")
    found = subprocess.run([node, "-e", f"require.resolve('{package}')"], capture_output=True, check=False)
    if found.returncode:
        pytest.skip(f"{package} is not installed; set NODE_PATH to a node_modules that has it")


@pytest.mark.parametrize(("before", "language", "code"), BLOCKS, ids=[code.strip()[-50:] for *_, code in BLOCKS])
def test_a_block_of_the_page_runs(folder: Path, server: str, before: str, language: str, code: str) -> None:
    if before.startswith("Not run here: "):
        pytest.skip(before)
    scripts = Path(sys.executable).parent
    commands = {
        "python": [sys.executable, "-c"],
        "sql": [str(scripts / "duckdb"), "-bail", "-c"],
        "sh": ["sh", "-e", "-c"],
        "js": ["node", "-e"],
    }
    if language == "js":
        _skip_without_package(NODE_PACKAGE.findall(code)[0])
    ended = subprocess.run(
        [*commands[language], code.replace(SERVER, server)],
        cwd=folder,
        env={**os.environ, "PATH": f"{scripts}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip()
    assert ended.stderr == ""
