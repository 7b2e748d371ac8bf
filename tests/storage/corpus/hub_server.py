"""The part of the Hugging Face Hub's HTTP interface that reads a dataset's files, served by this machine."""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "0" * 40


@contextmanager
def hub_server(dataset: str, files: Mapping[str, bytes]) -> Iterator[str]:
    """Serve a dataset with these files, whose content may change meanwhile. Yields the address for HF_ENDPOINT."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            tree, resolve = f"/api/datasets/{dataset}/tree/main", f"/datasets/{dataset}/resolve/main/"
            if path == f"/api/datasets/{dataset}":
                self._send(200, json.dumps({"id": dataset, "sha": COMMIT, "siblings": []}).encode())
            elif path == tree or path.startswith(f"{tree}/"):
                recursive = "recursive=true" in self.path.lower()
                entries = _tree(files, path.removeprefix(tree).strip("/"), recursive=recursive)
                if entries:
                    self._send(200, json.dumps(entries).encode())
                else:
                    self._send(404, b'{"error": "Entry not found"}', {"X-Error-Code": "EntryNotFound"})
            elif (content := files.get(path.removeprefix(resolve))) is not None:
                start, _, end = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
                part = content[int(start) : int(end or len(content)) + 1]
                asked = "Range" in self.headers
                about = {"Content-Range": f"bytes {start}-{int(start) + len(part) - 1}/{len(content)}"} if asked else {}
                self._send(206 if asked else 200, part, about)
            else:
                self._send(404, b'{"error": "Repository not found"}', {"X-Error-Code": "RepoNotFound"})

        def _send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def _tree(files: Mapping[str, bytes], folder: str, *, recursive: bool) -> list[dict[str, object]]:
    """Files and folders below a folder, as the Hub lists them."""
    prefix = f"{folder}/" if folder else ""
    entries: dict[str, dict[str, object]] = {}
    for name, content in files.items():
        if not name.startswith(prefix):
            continue
        parts = name.removeprefix(prefix).split("/")
        for depth in range(1, len(parts) if recursive else min(len(parts), 2)):
            path = prefix + "/".join(parts[:depth])
            entries[path] = {"type": "directory", "oid": COMMIT, "size": 0, "path": path}
        if recursive or len(parts) == 1:
            blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            entries[name] = {"type": "file", "oid": blob, "size": len(content), "path": name}
    return list(entries.values())
