"""The report of a release: written once, its map reused, and never fails a run."""

import json
import logging
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from storage.errors import ReleaseError
from storage.layout import Workspace
from storage.releases.history import choose_release
from storage.releases.housekeeping import clean_stages
from storage.releases.listing import list_releases
from storage.releases.publishing import keep_candidate, publish_release
from storage.releases.records import Release
from storage.releases.reports import report_file
from tasks.plotting import plot_training, plot_trend, plot_words
from tasks.release_report import ReportConfig, make_report, render_release
from tasks.reporting import report_release
from tests.storage.releases.test_format_versions import FORMATS, unpacked
from tests.storage.sample_releases import content

SMALL = ReportConfig(map_words=40, map_method="pca")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


@pytest.fixture
def release(workspace: Workspace) -> Release:
    return publish_release(workspace, "news", content())


def test_a_report_shows_the_figures_of_its_release(workspace: Workspace, release: Release) -> None:
    page = make_report(release, SMALL, workspace).read_text(encoding="utf-8")
    for shown in ("news", "Version 1", "WordSim-353", "at least 0.4", "public domain", "training.epochs", "family"):
        assert shown in page, shown
    found = re.search(r'id="report-data">(.*?)</script>', page)
    assert found
    data = json.loads(found[1])
    assert data["words"] == list(content().words)
    assert data["laidOut"] == 40
    assert len(data["groups"]) == len(data["words"])


def test_the_second_release_reports_what_changed(workspace: Workspace, release: Release) -> None:
    names = [f"word{number}" for number in range(10, 220)]
    second = publish_release(workspace, "news", content(names, model_digest="second", seed=2))
    page = render_release(second, SMALL, workspace)
    assert "Since version 1" in page
    assert re.search(r"<dt>new words</dt><dd>20</dd>", page)
    assert re.search(r"<dt>words gone</dt><dd>10</dd>", page)
    assert "Most changed words" in page


def test_a_report_shows_no_folder_of_this_machine(workspace: Workspace, tmp_path: Path) -> None:
    for number, folder in enumerate(("first", "second")):
        made = content(model_digest=folder, seed=number)
        path = tmp_path / "my texts" / folder / "a.txt"
        provenance = made.provenance.model_copy(
            update={"corpus_source": f"file {path}", "reference_source": f"vectors imported from file {path} (glove)"}
        )
        gates = [made.gates[0].model_copy(update={"note": f"judged by {path}"})]
        compared = [made.compared_words[0].model_copy(update={"compared_with": str(path)})]
        release = publish_release(
            workspace,
            "news",
            replace(
                made,
                provenance=provenance,
                gates=gates,
                compared_words=compared,
                settings={"corpus": {"path": str(path), "paths": [str(path)]}},
            ),
        )
    page = render_release(release, SMALL, workspace)
    assert str(tmp_path) not in page
    assert "my texts" not in page
    assert page.count("…/a.txt") >= 6


def test_a_map_is_made_once_for_a_release(workspace: Workspace, release: Release) -> None:
    make_report(release, SMALL, workspace)
    (manifest,) = workspace.stage_root("maps").glob("*/manifest.json")
    written = manifest.stat().st_ino
    make_report(release, SMALL, workspace)
    assert manifest.stat().st_ino == written
    make_report(release, SMALL.model_copy(update={"map_words": 30}), workspace)
    assert len(list(workspace.stage_root("maps").glob("*/manifest.json"))) == 2


def test_the_map_of_a_released_model_is_kept_by_housekeeping(workspace: Workspace, release: Release) -> None:
    make_report(release, SMALL, workspace)
    (manifest,) = workspace.stage_root("maps").glob("*/manifest.json")
    for path in (manifest.parent, *manifest.parent.iterdir()):
        os.utime(path, (0, 0))
    clean_stages(workspace, keep_days=0)
    assert manifest.exists()


def test_a_run_writes_the_report_of_what_it_published_and_not_twice(workspace: Workspace, release: Release) -> None:
    report_release.fn(release, SMALL, workspace)
    written = report_file(release).stat()
    report_release.fn(release, SMALL, workspace)
    assert report_file(release).stat().st_ino == written.st_ino


def test_a_candidate_has_a_report_and_a_new_one_when_it_is_replaced(workspace: Workspace, release: Release) -> None:
    candidate = keep_candidate(workspace, "news", content(model_digest="refused", seed=2))
    report_release.fn(candidate, SMALL, workspace)
    assert "Refused by 0 of 1 gates" in report_file(candidate).read_text(encoding="utf-8")
    inode = report_file(candidate).stat().st_ino
    later = candidate.path.stat().st_mtime + 10
    os.utime(candidate.path, (later, later))
    report_release.fn(candidate, SMALL, workspace)
    assert report_file(candidate).stat().st_ino != inode


def test_a_report_that_is_switched_off_is_not_written(workspace: Workspace, release: Release) -> None:
    report_release.fn(release, ReportConfig(enabled=False), workspace)
    assert not report_file(release).exists()


def test_a_failed_report_is_reported_and_fails_nothing(
    workspace: Workspace, release: Release, caplog: pytest.LogCaptureFixture
) -> None:
    workspace.stage_root("maps").write_text("unexpected")
    with caplog.at_level(logging.ERROR):
        report_release.fn(release, SMALL, workspace)
    assert "cannot write the report of news 1 (WorkspaceError: " in caplog.text
    assert "to retry: `vecmill report news --version 1`" in caplog.text
    assert release.path.is_file()


def test_a_plot_shows_the_words_and_names_the_unknown_ones(release: Release) -> None:
    plot = plot_words(release, ["word3", "nothing", "word5", "word3"], "pca", "svg")
    assert (plot.words, plot.unknown) == (2, ["nothing"])
    assert b">word3</text>" in plot.picture


def test_a_plot_adds_the_neighbors_of_its_words(release: Release) -> None:
    assert plot_words(release, ["word3", "word5"], "pca", "png", neighbors=4).words in range(6, 11)


def test_a_plot_of_unknown_words_is_refused(release: Release) -> None:
    with pytest.raises(ReleaseError, match="holds none of the 1 words"):
        plot_words(release, ["nothing"], "tsne", "png")


def test_the_training_of_a_release_is_drawn(release: Release) -> None:
    assert b">mean loss per pair</text>" in plot_training(release, "svg")
    with pytest.raises(ValueError, match="news, version 1 has no training"):
        plot_training(release.model_copy(update={"training": []}), "svg")


def test_the_trend_of_the_scores_of_kept_releases_is_drawn(workspace: Workspace, release: Release) -> None:
    with pytest.raises(ValueError, match="no metric that two kept releases share"):
        plot_trend("news", list_releases(workspace, "news"), "svg")
    publish_release(workspace, "news", content(model_digest="second", seed=2))
    picture = plot_trend("news", list_releases(workspace, "news"), "svg")
    assert b">wordsim353</text>" in picture
    assert b">version</text>" in picture


def test_the_page_knows_what_moved_and_where_it_came_from(workspace: Workspace, release: Release) -> None:
    second = publish_release(workspace, "news", content(model_digest="second", seed=2))
    found = re.search(r'id="report-data">(.*?)</script>', render_release(second, SMALL, workspace))
    assert found
    drift = json.loads(found[1])["drift"]
    assert len(drift["amount"]) == len(content().words)
    assert all(0 <= amount <= 100 for amount in drift["amount"])
    for word in drift["words"]:
        assert word["row"] < SMALL.map_words
        assert max(map(abs, word["from"])) < 12_000
        assert not set(word["lost"]) & set(word["won"])


@pytest.mark.parametrize("version", FORMATS)
def test_releases_of_earlier_formats_have_a_report(version: int, tmp_path: Path) -> None:
    workspace = unpacked(version, tmp_path)
    page = render_release(choose_release(workspace, "glove"), SMALL, workspace)
    assert "<h1>glove</h1>" in page
    assert "WordSim-353" in page
