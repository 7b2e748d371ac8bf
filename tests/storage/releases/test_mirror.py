"""A mirror of a table in a real S3 server: all of a version or nothing, and caught up after every failure."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest

import vecmill
from storage.corpus.addresses import HOSTS_VARIABLE
from storage.errors import MirrorError, NotAllowedError, ReleaseError, SettingsError
from storage.layout import CACHE_VARIABLE, Workspace
from storage.releases.history import prune
from storage.releases.mirror import INDEX, mirror_table
from storage.releases.publishing import publish_release
from tests.storage.object_store import CuttingProxy, bucket_objects, empty_bucket
from tests.storage.sample_releases import content

boto3 = pytest.importorskip("boto3", reason="the extra s3 is not installed")
ADDRESS = "s3://mirror/vectors"


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[CuttingProxy]:
    with empty_bucket(monkeypatch) as proxy:
        yield proxy


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path / "workspace")
    publish_release(workspace, "news", content(seed=1))
    return workspace


def index() -> dict[str, Any]:
    listed: dict[str, Any] = json.loads(bucket_objects()[INDEX])
    return listed


@pytest.mark.usefixtures("proxy")
def test_every_version_is_uploaded_once_and_answers(workspace: Workspace, tmp_path: Path) -> None:
    assert mirror_table(workspace, "news", ADDRESS).uploaded == [1]
    publish_release(workspace, "news", content(seed=2))
    again = mirror_table(workspace, "news", ADDRESS)
    assert (again.uploaded, again.current) == ([2], 2)
    before = boto3.client("s3").list_objects_v2(Bucket="mirror")["Contents"]
    assert str(mirror_table(workspace, "news", ADDRESS)) == "up to date, version 2 of news is current"
    assert boto3.client("s3").list_objects_v2(Bucket="mirror")["Contents"] == before
    copies = bucket_objects()
    for version in (1, 2):
        for suffix in (".duckdb", ".parquet", ".json"):
            file = workspace.release_file("news", version, suffix)
            assert copies[file.name] == file.read_bytes()
    copy = tmp_path / "copy.duckdb"
    copy.write_bytes(copies["v000002.duckdb"])
    with duckdb.connect(str(copy), read_only=True) as connection:
        assert len(connection.sql("from nearest('word5', k := 3)").fetchall()) == 3


@pytest.mark.usefixtures("proxy")
def test_a_report_follows_and_a_pruned_version_stays(workspace: Workspace) -> None:
    mirror_table(workspace, "news", ADDRESS)
    workspace.release_file("news", 1, ".report.html").write_text("<p>late</p>")
    assert mirror_table(workspace, "news", ADDRESS).uploaded == [1]
    assert bucket_objects()["v000001.report.html"] == b"<p>late</p>"
    publish_release(workspace, "news", content(seed=2))
    prune(workspace, "news", 1)
    assert mirror_table(workspace, "news", ADDRESS).uploaded == [2]
    assert list(index()["versions"]) == ["1", "2"]
    assert index()["current"] == 2


def test_a_cut_upload_is_not_listed_and_caught_up(workspace: Workspace, proxy: CuttingProxy) -> None:
    mirror_table(workspace, "news", ADDRESS)
    publish_release(workspace, "news", content(seed=2))
    proxy.most_bytes = workspace.release_file("news", 2).stat().st_size // 2
    with pytest.raises(
        MirrorError, match=r"s3://mirror/vectors/news cannot be .*v000002\.duckdb .*vecmill mirror news s3:"
    ):
        mirror_table(workspace, "news", ADDRESS)
    proxy.most_bytes = None
    assert list(index()["versions"]) == ["1"]
    assert mirror_table(workspace, "news", ADDRESS).uploaded == [2]
    assert bucket_objects()["v000002.duckdb"] == workspace.release_file("news", 2).read_bytes()


@contextmanager
def checked_credentials() -> Iterator[None]:
    """Have the server refuse keys that it does not know."""
    address = f"{os.environ['AWS_ENDPOINT_URL']}/moto-api/reset-auth"
    httpx.post(address, content="0").raise_for_status()
    yield
    httpx.post(address, content="inf").raise_for_status()


@pytest.mark.usefixtures("proxy")
def test_wrong_credentials_and_a_bucket_that_vanished_say_what_is_missing(workspace: Workspace) -> None:
    mirror_table(workspace, "news", ADDRESS)
    publish_release(workspace, "news", content(seed=2))
    with (
        checked_credentials(),
        pytest.raises(MirrorError, match=r"s3://mirror/vectors/news cannot be read \(Forbidden\); .*credentials"),
    ):
        mirror_table(workspace, "news", ADDRESS)
    assert index()["current"] == 1
    client = boto3.client("s3")
    for item in client.list_objects_v2(Bucket="mirror")["Contents"]:
        client.delete_object(Bucket="mirror", Key=item["Key"])
    client.delete_bucket(Bucket="mirror")
    with pytest.raises(MirrorError, match=r"written: v000001\.duckdb is missing .*bucket does not exist"):
        mirror_table(workspace, "news", ADDRESS)
    client.create_bucket(Bucket="mirror")
    assert mirror_table(workspace, "news", ADDRESS).uploaded == [1, 2]
    assert index()["current"] == 2


@pytest.mark.usefixtures("proxy")
def test_what_cannot_be_a_mirror_is_refused(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"publication\.mirror: /tmp is not an address in an object store; use s3"):
        mirror_table(workspace, "news", "/tmp")
    with pytest.raises(SettingsError, match="contains credentials") as refused:
        mirror_table(workspace, "news", "s3://key:hunter2@mirror/vectors")
    assert "hunter2" not in str(refused.value)
    with pytest.raises(MirrorError, match=r"s3://nothing/news cannot be .*check the address"):
        mirror_table(workspace, "news", "s3://nothing")
    monkeypatch.setenv(HOSTS_VARIABLE, "s3://other")
    with pytest.raises(NotAllowedError, match="s3://mirror is not an address"):
        mirror_table(workspace, "news", ADDRESS)


@pytest.mark.usefixtures("proxy")
def test_another_workspaces_mirror_is_left_alone(workspace: Workspace, tmp_path: Path) -> None:
    mirror_table(workspace, "news", ADDRESS)
    other = Workspace(tmp_path / "other")
    publish_release(other, "news", content(seed=3))
    with pytest.raises(MirrorError, match="holds another version 1 of news; it mirrors another workspace"):
        mirror_table(other, "news", ADDRESS)
    assert bucket_objects()["v000001.duckdb"] == workspace.release_file("news", 1).read_bytes()
    boto3.client("s3").put_object(Bucket="mirror", Key=f"vectors/news/{INDEX}", Body=b"{")
    with pytest.raises(MirrorError, match=r"versions\.json is not the index of a mirror; remove it"):
        mirror_table(workspace, "news", ADDRESS)


@pytest.mark.usefixtures("proxy")
def test_programs_open_the_current_version_of_a_mirror(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    address = f"{ADDRESS}/news"
    for version in (1, 2):
        if version == 2:
            publish_release(workspace, "news", content(seed=2))
        mirror_table(workspace, "news", ADDRESS)
        table = vecmill.open(address)
        assert table.version == version
        assert table.nearest("word7") == vecmill.open("news", workspace.root).nearest("word7")
    assert vecmill.open(address, version=1).version == 1
    assert vecmill.open(f"{address}/v000001.duckdb").version == 1
    with pytest.raises(ReleaseError, match="has no release 3; the versions are 1, 2"):
        vecmill.open(address, version=3)
