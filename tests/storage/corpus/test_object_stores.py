"""Objects of a local S3 server: files, folders and patterns, fetched once."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from storage.corpus.addresses import HOSTS_VARIABLE
from storage.corpus.downloads import download_of
from storage.corpus.object_stores import fetch_objects, fetched_objects
from storage.errors import CorpusError, NotAllowedError
from storage.layout import Workspace

boto3 = pytest.importorskip("boto3", reason="the extra s3 is not installed")
moto_server = pytest.importorskip("moto.server", reason="moto's server is not installed")
pytest.importorskip("s3fs", reason="the extra s3 is not installed")
OBJECTS = {
    "texts/a.txt": b"one",
    "texts/deep/b.txt": b"two",
    "texts/c.csv": b"text\nthree\n",
    "other.txt": b"four",
    "texts/_SUCCESS": b"",
}


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    server = moto_server.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in (
        ("AWS_ENDPOINT_URL", f"http://{host}:{port}"),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    client.create_bucket(Bucket="corpus")
    for key, content in OBJECTS.items():
        client.put_object(Bucket="corpus", Key=key, Body=content)
    yield client
    server.stop()


def fetched(address: str, workspace: Workspace, *, keep_changes: bool = False) -> dict[str, bytes]:
    download = download_of(address, None, 1 << 30, keep_changes=keep_changes)
    folder = fetch_objects(download, workspace, lambda done, total: None)
    assert fetched_objects(download, workspace) == folder
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_files_folders_and_patterns(bucket: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace(tmp_path)
    assert fetched("s3://corpus/texts/a.txt", workspace) == {"a.txt": b"one"}
    assert fetched("s3://corpus/texts", workspace) == {"a.txt": b"one", "deep/b.txt": b"two", "c.csv": b"text\nthree\n"}
    assert fetched("s3://corpus/texts/*.txt", workspace) == {"a.txt": b"one"}
    assert fetched("s3://corpus/**/*.txt", workspace).keys() >= {"texts/a.txt", "texts/deep/b.txt"}
    with pytest.raises(CorpusError, match=r"s3://corpus/nothing.* no objects there|cannot be downloaded"):
        fetched("s3://corpus/nothing", workspace)
    bucket.put_object(Bucket="corpus", Key="texts/a.txt", Body=b"ONE")  # type: ignore[attr-defined]
    with pytest.raises(CorpusError, match=r"a\.txt changed since .*allow_change"):
        fetched("s3://corpus/texts", workspace)
    assert fetched("s3://corpus/texts", workspace, keep_changes=True)["a.txt"] == b"ONE"
    small = replace(download_of("s3://corpus/texts", None, 1, keep_changes=False), folder="small")
    with pytest.raises(CorpusError, match="max_download_gb"):
        fetch_objects(small, workspace, lambda done, total: None)
    monkeypatch.setenv(HOSTS_VARIABLE, "corpus")
    with pytest.raises(NotAllowedError):
        fetched("s3://corpus/texts", workspace)


@pytest.mark.parametrize(("scheme", "extra"), [("gs", "gcs"), ("az", "azure"), ("hf", "hf")])
def test_a_missing_extra_is_named(tmp_path: Path, scheme: str, extra: str) -> None:
    pytest.importorskip("fsspec")
    module = {"gs": "gcsfs", "az": "adlfs", "hf": "huggingface_hub"}[scheme]
    try:
        __import__(module)
    except ImportError:
        with pytest.raises(CorpusError, match=rf"needs the extra '{extra}': pip install 'vecmill\[{extra}\]'"):
            fetched(f"{scheme}://bucket/a.txt", Workspace(tmp_path))
    else:
        pytest.skip(f"the extra {extra} is installed")
