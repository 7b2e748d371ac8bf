"""Where the tests let notifications arrive: a webhook receiver and a mail server, both on loopback."""

import email
import email.policy
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.flows.server_stack import free_port


class WebhookSink:
    """Records every POST as (path, JSON). Paths that contain `refuse` get a 403."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        self.taken: list[tuple[str, dict[str, Any]]] = []

    def posted_to(self, path: str) -> list[dict[str, Any]]:
        """The bodies that arrived at a path."""
        return [body for found, body in self.taken if found == path]


@contextmanager
def webhook_sink() -> Iterator[WebhookSink]:
    """A receiver, listening as long as this lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            refused = "refuse" in self.path
            if not refused:
                sink.taken.append((self.path, json.loads(body)))
            self.send_response(403 if refused else 200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing on stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    sink = WebhookSink(server)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield sink
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class MailSink(Message):
    """A mail server's memory of what it was given."""

    def __init__(self) -> None:
        super().__init__(EmailMessage)
        self.taken: list[EmailMessage] = []
        self.port = free_port()

    def prepare_message(self, session: Session, envelope: Envelope) -> EmailMessage:
        """As a mail program would show it."""
        assert isinstance(envelope.content, bytes)
        return email.message_from_bytes(envelope.content, policy=email.policy.default)

    def handle_message(self, message: Any) -> None:
        """Keep it."""
        self.taken.append(message)


@contextmanager
def mail_sink(username: str, password: str) -> Iterator[MailSink]:
    """A mail server that wants this login."""

    def authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, given: Any) -> AuthResult:
        right = isinstance(given, LoginPassword) and given == LoginPassword(username.encode(), password.encode())
        return AuthResult(success=right, handled=False)

    sink = MailSink()
    controller = Controller(
        sink,
        hostname="127.0.0.1",
        port=sink.port,
        authenticator=authenticate,
        auth_required=True,
        auth_require_tls=False,
    )
    controller.start()
    try:
        yield sink
    finally:
        controller.stop()
