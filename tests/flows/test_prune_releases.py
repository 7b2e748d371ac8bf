"""The monthly flow removes old releases of every table, and then the stages that only they needed."""

import os
from pathlib import Path

import pytest

from flows.prune_releases import PruningConfig, prune_releases
from storage.layout import Workspace
from storage.releases.ledger import kept_versions
from storage.releases.publishing import publish_release
from storage.stages import complete_stage
from tests.storage.sample_releases import content
from tests.storage.sample_stages import SampleFacts, sample_stage

pytestmark = pytest.mark.usefixtures("prefect_server")


def make_model(workspace: Workspace, seed: int) -> str:
    def build(folder: Path) -> SampleFacts:
        (folder / "vectors").write_bytes(b"0" * 1000)
        return SampleFacts()

    manifest = complete_stage(workspace, sample_stage("models", config={"seed": seed}), build)
    os.utime(manifest.path / "manifest.json", (0, 0))
    os.utime(manifest.path / "vectors", (0, 0))
    os.utime(manifest.path, (0, 0))
    return manifest.digest


def test_old_releases_and_the_stages_that_only_they_needed_go(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    models = [make_model(workspace, seed) for seed in range(3)]
    for seed, model in enumerate(models):
        publish_release(workspace, "news", content(seed=seed, model_digest=model))
    publish_release(workspace, "other", content(seed=9))
    result = prune_releases(PruningConfig(keep=2), str(tmp_path))
    assert result.releases == {"news": ["v1"], "other": []}
    assert kept_versions(workspace, "news") == [2, 3]
    assert (result.stage_folders, result.stage_bytes > 1000) == (1, True)
    assert [workspace.stage_folder("models", model).exists() for model in models] == [False, True, True]


def test_only_the_tables_that_are_named_are_pruned(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    for table in ("news", "other"):
        for seed in (1, 2):
            publish_release(workspace, table, content(seed=seed))
    assert prune_releases(PruningConfig(keep=1, tables=["other"]), str(tmp_path)).releases == {"other": ["v1"]}
    assert kept_versions(workspace, "news") == [1, 2]
