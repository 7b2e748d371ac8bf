"""A real HTTP server on this machine that fails in the ways that servers fail."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Served:
    """What is served under every path without its own content, how, and what was asked for.

    faults: for each request in turn, the last one for all that follow.
    """

    content: bytes = b"one two three\n" * 50_000
    etag: str = '"v1"'
    last_modified: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    ranges: bool = True
    faults: list[str] = field(default_factory=list)
    paths: dict[str, bytes] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    sent: int = 0
    pause: float = 0.0
    url: str = ""

    @property
    def address(self) -> str:
        return f"{self.url}/texts/news.txt"


@contextmanager
def web_server(served: Served | None = None) -> Iterator[Served]:
    state = served or Served()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            state.requests.append((self.path, dict(self.headers)))
            fault = state.faults.pop(0) if len(state.faults) > 1 else (state.faults or [""])[0]
            content = state.paths.get(self.path.split("?")[0], state.content)
            self.close_connection = True
            kind, _, value = fault.partition(" ")
            if kind.isdigit():
                self.send_response(int(kind))
                if value:
                    self.send_header("Retry-After", value)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if kind == "redirect":
                self.send_response(302)
                self.send_header("Location", value)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if state.etag and self.headers.get("If-None-Match") == state.etag:
                self.send_response(304)
                self.end_headers()
                return
            start = 0
            asked = self.headers.get("Range")
            if asked and state.ranges and self.headers.get("If-Range") in (state.etag, state.last_modified):
                start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(content) > 0:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body = content[start:]
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            length = len(body) + (int(value) if kind == "length" else 0)
            self.send_header("Content-Length", str(length) if kind != "huge" else value)
            if state.etag:
                self.send_header("ETag", state.etag)
            if state.last_modified:
                self.send_header("Last-Modified", state.last_modified)
            for name, text in state.headers.items():
                self.send_header(name, text)
            self.end_headers()
            if kind == "drop":
                body = body[: int(value)]
            step = 1 if kind == "drip" else 1 << 16
            for position in range(0, len(body), step):
                try:
                    self.wfile.write(body[position : position + step])
                    self.wfile.flush()
                except OSError:
                    return
                state.sent += len(body[position : position + step])
                if kind == "drip" or state.pause:
                    time.sleep(state.pause or 0.05)

        def end_headers(self) -> None:
            self.send_header("Connection", "close")
            super().end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        state.url = f"http://127.0.0.1:{server.server_port}"
        yield state
        server.shutdown()
