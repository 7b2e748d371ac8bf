"""Publishing: numbers only go up, the current release changes in one step or not at all."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from storage.disk import sha256_of
from storage.errors import ReleaseError, SettingsError
from storage.layout import Workspace
from storage.releases.publishing import (
    current_release,
    keep_candidate,
    list_releases,
    publish_release,
)
from storage.releases.reader import check_release_file
from storage.releases.schema import GateRow
from tests.storage.sample_releases import content, published_version


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


def test_the_first_release_is_version_1_and_current(workspace: Workspace) -> None:
    assert current_release(workspace, "news") is None
    release = publish_release(workspace, "news", content())
    assert (release.table, release.version, release.model_digest, release.corpus_digest) == (
        "news",
        1,
        "abc123",
        "c0ffee",
    )
    assert release.metrics == {"wordsim353": 0.5, "google_analogies": None}
    assert release.digests == {"wordsim353": "1234", "google_analogies": "5678"}
    assert release.path == workspace.release_file("news", 1)
    assert current_release(workspace, "news") == release
    assert published_version(workspace) == 1
    assert workspace.table_file("news").samefile(release.path)
    check_release_file(workspace.table_file("news"))


def test_every_release_has_a_parquet_copy_and_a_manifest_with_checksums(workspace: Workspace) -> None:
    publish_release(workspace, "news", content())
    manifest = json.loads(workspace.release_file("news", 1, ".json").read_text())
    assert set(manifest["files"]) == {".duckdb", ".parquet"}
    for suffix, record in manifest["files"].items():
        file = workspace.release_file("news", 1, suffix)
        assert file.stat().st_size == record["size"]
        assert sha256_of(file) == record["sha256"]
    assert manifest["release"]["version"] == 1
    kept = sorted(file.name for file in workspace.releases_folder("news").iterdir())
    assert kept == [".publish.lock", "v000001.duckdb", "v000001.json", "v000001.parquet", "versions.json"]


def test_versions_go_up_and_are_never_used_again(workspace: Workspace) -> None:
    for expected in (1, 2, 3):
        assert publish_release(workspace, "news", content(seed=expected)).version == expected
    for suffix in (".duckdb", ".parquet", ".json"):  # as pruning the newest after a rollback would
        workspace.release_file("news", 3, suffix).unlink()
    workspace.table_file("news").unlink()
    os.link(workspace.release_file("news", 1), workspace.table_file("news"))
    assert publish_release(workspace, "news", content()).version == 4
    assert [release.version for release in list_releases(workspace, "news")] == [1, 2, 4]


@pytest.mark.parametrize("damage", ["missing", "damaged", "low"])
def test_numbers_go_on_without_the_ledger(workspace: Workspace, damage: str) -> None:
    publish_release(workspace, "news", content())
    publish_release(workspace, "news", content())
    ledger = workspace.releases_folder("news") / "versions.json"
    match damage:
        case "missing":
            ledger.unlink()
        case "damaged":
            ledger.write_text('{"highest')
        case "low":
            ledger.write_text('{"highest_used": 1, "highest_published": 1}')
    assert [release.version for release in list_releases(workspace, "news")] == [1, 2]
    assert publish_release(workspace, "news", content()).version == 3


def test_tables_do_not_know_of_each_other(workspace: Workspace) -> None:
    publish_release(workspace, "news", content())
    publish_release(workspace, "news", content())
    assert publish_release(workspace, "reviews", content()).version == 1
    assert published_version(workspace) == 2


def test_a_candidate_has_no_number_and_leaves_the_current_release(workspace: Workspace) -> None:
    publish_release(workspace, "news", content())
    refused = content(model_digest="worse", seed=2)
    candidate = keep_candidate(workspace, "news", refused)
    assert candidate.row.version is None
    assert candidate.path == workspace.candidate_file("news", "worse")
    with pytest.raises(ValueError, match="no version"):
        _ = candidate.version
    check_release_file(candidate.path)
    assert published_version(workspace) == 1
    assert publish_release(workspace, "news", content()).version == 2
    assert keep_candidate(workspace, "news", refused).path == candidate.path  # the same model again: replaced


def test_a_candidate_alone_publishes_nothing(workspace: Workspace) -> None:
    keep_candidate(workspace, "news", content())
    assert not workspace.table_file("news").exists()
    assert current_release(workspace, "news") is None
    assert [(release.version, release.current) for release in list_releases(workspace, "news")] == [(None, False)]


def test_the_list_has_versions_candidates_gates_and_the_current_one(workspace: Workspace) -> None:
    publish_release(workspace, "news", content())
    publish_release(workspace, "news", content(model_digest="second"))
    refusing = content(model_digest="worse")
    failed = GateRow(metric="simlex999", value=0.1, minimum=0.3, passed=False)
    keep_candidate(workspace, "news", replace(refusing, gates=[*refusing.gates, failed]))
    listed = [
        (release.version, release.current, release.gates_passed, release.refused_by, release.model_digest)
        for release in list_releases(workspace, "news")
    ]
    assert listed == [
        (1, False, True, [], "abc123"),
        (2, True, True, [], "second"),
        (None, False, False, ["simlex999"], "worse"),
    ]
    with pytest.raises(ReleaseError, match="no table 'other'"):
        list_releases(workspace, "other")


def test_a_release_without_manifest_is_read_from_its_file(workspace: Workspace) -> None:
    release = publish_release(workspace, "news", content())
    manifest = workspace.release_file("news", 1, ".json")
    manifest.write_text("{")
    assert current_release(workspace, "news") == release
    manifest.unlink()
    assert current_release(workspace, "news") == release


@pytest.mark.parametrize("table", ["../escape", "a/b", 'a"b', "a;b", "", ".hidden", "a\0b", "a b", "'", "x" * 64])
def test_table_names_cannot_leave_the_workspace(workspace: Workspace, table: str) -> None:
    publications: list[Callable[[], object]] = [
        lambda: publish_release(workspace, table, content()),
        lambda: keep_candidate(workspace, table, content()),
        lambda: current_release(workspace, table),
        lambda: list_releases(workspace, table),
    ]
    for publication in publications:
        with pytest.raises(SettingsError, match="not a valid table name"):
            publication()
    assert not workspace.root.exists()


def test_a_model_digest_cannot_leave_the_workspace() -> None:
    with pytest.raises(ValueError, match="model_digest"):
        content(model_digest="../../escape")
