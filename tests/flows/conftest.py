"""One server and worker for all tests that need real ones; they take half a minute to start."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.flows.postgres import initdb, postgres_server
from tests.flows.server_stack import ServerStack


@pytest.fixture(scope="session")
def sole_server_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerStack]:
    """Not started yet; whatever runs in the end is ended.

    On PostgreSQL where it is installed: on SQLite, Prefect loses events and answers after minutes on a busy machine.
    """
    with ExitStack() as left:
        variables, folders = {}, []
        if initdb():
            database = left.enter_context(postgres_server())
            variables["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = database.url
            folders.append(database.folder)
        stack = ServerStack(tmp_path_factory.mktemp("stack"), **variables)
        stack.database_folders = folders
        left.callback(stack.clean_up)
        yield stack


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
