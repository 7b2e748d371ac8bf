"""One server and worker for all tests that need real ones; they take half a minute to start."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.server_stack import ServerStack


@pytest.fixture(scope="session")
def sole_server_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerStack]:
    """Not started yet; whatever runs in the end is ended."""
    stack = ServerStack(tmp_path_factory.mktemp("stack"))
    try:
        yield stack
    finally:
        stack.clean_up()


@pytest.fixture
def stack(sole_server_stack: ServerStack) -> ServerStack:
    """It is running, whatever the test before has done to it."""
    return sole_server_stack.start()


@pytest.fixture(scope="session")
def long_news_file(news_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough text for training to be interrupted."""
    path = tmp_path_factory.mktemp("corpus") / "long news.txt"
    path.write_text(news_file.read_text(encoding="utf-8") * 20, encoding="utf-8")
    return path
