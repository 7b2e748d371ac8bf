"""Objects of Google Cloud Storage, Azure and the Hugging Face Hub, from servers on this machine.

The tests of gs:// and az:// need gcsfs with gcp-storage-emulator, and adlfs with the program azurite-blob (npm), which
`make install` leaves out.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from storage.corpus.downloads import download_of
from storage.corpus.object_stores import fetch_objects
from storage.errors import CorpusError
from storage.layout import Workspace
from tests.storage.corpus.hub_server import hub_server

OBJECTS = {"texts/a.txt": b"one", "texts/deep/b.txt": b"two", "texts/c.csv": b"text\nthree\n", "other.txt": b"four"}
# The account and key that every Azurite has.
AZURITE = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6"
    "IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;BlobEndpoint=http://127.0.0.1:{port}/devstoreaccount1;"
)
FETCH = """
import json, sys
from pathlib import Path
from tests.storage.corpus.test_other_stores import fetched
print(json.dumps({name: text.decode() for name, text in fetched(sys.argv[1], Path(sys.argv[2])).items()}))
"""


def fetched(address: str, folder: Path) -> dict[str, bytes]:
    download = download_of(address, None, 1 << 30, keep_changes=False)
    files = fetch_objects(download, Workspace(folder), lambda done, total: None)
    return {path.relative_to(files).as_posix(): path.read_bytes() for path in files.rglob("*") if path.is_file()}


def check_store(bucket: str, folder: Path) -> None:
    """One object, a folder, a pattern and nothing."""
    assert fetched(f"{bucket}/texts/a.txt", folder) == {"a.txt": b"one"}
    assert fetched(f"{bucket}/texts", folder) == {"a.txt": b"one", "deep/b.txt": b"two", "c.csv": b"text\nthree\n"}
    assert fetched(f"{bucket}/texts/*.txt", folder) == {"a.txt": b"one"}
    with pytest.raises(CorpusError, match=r"nothing: no objects there; check corpus\.path"):
        fetched(f"{bucket}/nothing", folder)


def test_google_cloud_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Read at import: gcsfs would ask for the kind of bucket over gRPC, which the emulator lacks.
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    gcsfs = pytest.importorskip("gcsfs", reason="the extra gcs is not installed")
    emulator = pytest.importorskip("gcp_storage_emulator.server", reason="gcp-storage-emulator is not installed")
    port = free_port()
    server = emulator.create_server("127.0.0.1", port, in_memory=True, default_bucket="corpus")
    server.start()
    try:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
        for name, content in OBJECTS.items():
            gcsfs.GCSFileSystem(token="anon").pipe(f"corpus/{name}", content)
        check_store("gs://corpus", tmp_path)
    finally:
        server.stop()


def test_azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("adlfs", reason="the extra azure is not installed")
    blobs = pytest.importorskip("azure.storage.blob", reason="the extra azure is not installed")
    if not (program := shutil.which("azurite-blob")):
        pytest.skip("azurite-blob is not installed")
    with azurite(program) as connection:
        monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", connection)
        client = blobs.BlobServiceClient.from_connection_string(connection)
        client.create_container("corpus")
        for name, content in OBJECTS.items():
            client.get_blob_client("corpus", name).upload_blob(content)
        check_store("az://corpus", tmp_path)


@pytest.mark.long
def test_the_hugging_face_hub(tmp_path: Path) -> None:
    """In another process, because huggingface_hub reads HF_ENDPOINT when it is imported."""
    pytest.importorskip("huggingface_hub", reason="the extra hf is not installed")
    files = dict(OBJECTS)
    with hub_server("someone/corpus", files) as endpoint:
        environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_TELEMETRY": "1"}

        def run(name: str) -> subprocess.CompletedProcess[str]:
            address = f"hf://datasets/someone/corpus/{name}"
            command = [sys.executable, "-c", FETCH, address, str(tmp_path)]
            return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)

        assert json.loads(run("texts/a.txt").stdout) == {"a.txt": "one"}
        assert json.loads(run("texts").stdout) == {"a.txt": "one", "deep/b.txt": "two", "c.csv": "text\nthree\n"}
        assert json.loads(run("texts/*.txt").stdout) == {"a.txt": "one"}
        assert "nothing: no objects there; check corpus.path" in run("nothing").stderr
        files["texts/a.txt"] = b"ONE"
        assert "a.txt changed since it was downloaded" in run("texts").stderr


@contextmanager
def azurite(program: str) -> Iterator[str]:
    """Azure's own emulator. Yields its connection string."""
    port = free_port()
    command = [program, "--inMemoryPersistence", "--disableTelemetry", "--skipApiVersionCheck", "--silent"]
    with subprocess.Popen([*command, "--blobPort", str(port)], stdout=subprocess.DEVNULL) as process:
        try:
            end = time.monotonic() + 30
            while time.monotonic() < end and process.poll() is None:
                with socket.socket() as client:
                    if client.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            yield AZURITE.format(port=port)
        finally:
            process.terminate()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
