"""What keeps a Prefect server from answering is named; a password in its address is not."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from flows.server.address import health_problem, known_server
from storage.errors import ServerError
from tests.flows.server_stack import free_port


class Unavailable(BaseHTTPRequestHandler):
    """A proxy whose server is down."""

    def do_GET(self) -> None:
        """Answer 503."""
        self.send_error(503)

    def log_message(self, *arguments: object) -> None:
        """Print nothing."""


@contextmanager
def unavailable_server() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Unavailable) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@contextmanager
def silent_server() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_what_keeps_a_server_from_answering_is_named() -> None:
    assert "refused" in str(health_problem(f"http://127.0.0.1:{free_port()}/api"))
    with unavailable_server() as port:
        assert health_problem(f"http://127.0.0.1:{port}/api") == "HTTP status 503"
    with silent_server() as port:
        assert health_problem(f"http://127.0.0.1:{port}/api", timeout_seconds=0.2) == "no answer within 0.2 s"
    assert "port" in str(health_problem("http://[::1/api"))


def test_a_configured_server_that_does_not_answer_is_an_error_without_its_password() -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    address = f"http://admin:secret@127.0.0.1:{free_port()}/api"
    with (
        temporary_settings({PREFECT_API_URL: address}),
        pytest.raises(ServerError, match=r"no Prefect server answers at .*: .*refused; start it") as raised,
        known_server(),
    ):
        pass
    assert "secret" not in str(raised.value)
