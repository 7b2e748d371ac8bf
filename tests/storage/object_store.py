"""A real S3 server for tests, behind a proxy that can cut connections."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx
import pytest


class CuttingProxy:
    """A TCP proxy that closes a connection after `most_bytes` from the client, while that is set."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.most_bytes: int | None = None
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                threading.Thread(target=self._copy, args=(client, server, True), daemon=True).start()
                threading.Thread(target=self._copy, args=(server, client, False), daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket, upwards: bool) -> None:
        sent = 0
        with suppress(OSError):
            while block := source.recv(4096):
                sent += len(block)
                if upwards and self.most_bytes is not None and sent > self.most_bytes:
                    break
                target.sendall(block)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        self._listener.close()


@contextmanager
def empty_bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[CuttingProxy]:
    """A way to an S3 server with the empty bucket `mirror`; skips the test where the extra s3 is not installed."""
    boto3 = pytest.importorskip("boto3", reason="the extra s3 is not installed")
    moto_server = pytest.importorskip("moto.server", reason="moto's server is not installed")
    s3fs = pytest.importorskip("s3fs", reason="the extra s3 is not installed")
    server = moto_server.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    # All servers of a process share their buckets.
    httpx.post(f"http://{host}:{port}/moto-api/reset").raise_for_status()
    proxy = CuttingProxy((host, port))
    for name, value in (
        ("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}"),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_MAX_ATTEMPTS", "1"),
    ):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    s3fs.S3FileSystem.clear_instance_cache()
    boto3.client("s3").create_bucket(Bucket="mirror")
    yield proxy
    s3fs.S3FileSystem.clear_instance_cache()
    proxy.close()
    server.stop()


def bucket_objects() -> dict[str, bytes]:
    """File name -> content of every object in the bucket."""
    import boto3

    client = boto3.client("s3")
    keys = [item["Key"] for item in client.list_objects_v2(Bucket="mirror").get("Contents", [])]
    return {key.rpartition("/")[2]: client.get_object(Bucket="mirror", Key=key)["Body"].read() for key in keys}
