"""Builds with `publication.mirror`: the release is in the store, or `vecmill mirror` catches up."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli.app import app
from flows.deployments import build_parameters, find_deployment
from storage.errors import SettingsError
from storage.layout import Workspace
from tests.flows import builds
from tests.storage.object_store import CuttingProxy, bucket_objects, empty_bucket

SMALL = (
    "training.dimension=16", "training.epochs=1", "training.workers=1", "vocabulary.min_count=2",
    "evaluation.reference=none", "publication.gates=none", "publication.table=news",
    "publication.mirror=s3://mirror/vectors",
)  # fmt: skip


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[CuttingProxy]:
    with empty_bucket(monkeypatch) as proxy:
        yield proxy


def test_a_build_is_mirrored_with_its_report(proxy: CuttingProxy, news_file: Path, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")
    builds.build(workspace.root, f"corpus.path={news_file}", *SMALL)
    copies = bucket_objects()
    for suffix in (".duckdb", ".parquet", ".json", ".report.html"):
        file = workspace.release_file("news", 1, suffix)
        assert copies[file.name] == file.read_bytes()
    assert json.loads(copies["versions.json"])["current"] == 1


def test_a_failed_mirror_leaves_the_release_and_is_caught_up(
    proxy: CuttingProxy, news_file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    workspace = Workspace(tmp_path / "workspace")
    proxy.most_bytes = 20_000
    with caplog.at_level(logging.ERROR):
        result = builds.build(workspace.root, f"corpus.path={news_file}", "report.enabled=false", *SMALL)
    assert (result.published, result.version) == (True, 1)
    assert "the release of news is published but not mirrored: the mirror s3://mirror/vectors/news" in caplog.text
    assert caplog.text.count("run `vecmill mirror news s3://mirror/vectors`") == 1
    assert "versions.json" not in bucket_objects()
    proxy.most_bytes = None
    done = CliRunner().invoke(app, ["mirror", "news", "--workspace", str(workspace.root), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {
        "table": "news", "address": "s3://mirror/vectors", "uploaded": [1], "current": 1,
    }  # fmt: skip
    assert bucket_objects()["v000001.duckdb"] == workspace.release_file("news", 1).read_bytes()


def test_a_mirror_with_credentials_is_refused_without_them() -> None:
    settings = ("corpus.path=x.txt", "publication.table=news", "publication.mirror=s3://key:hunter2@mirror/vectors")
    with pytest.raises(SettingsError, match=r"publication\.mirror: .* contains credentials") as refused:
        build_parameters(find_deployment("adhoc"), settings)
    assert "hunter2" not in str(refused.value)
