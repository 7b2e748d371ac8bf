"""Two releases side by side: what changed in metrics, settings, vocabulary and neighbours."""

from dataclasses import replace
from pathlib import Path

import pytest

from storage.errors import ReleaseError
from storage.layout import Workspace
from storage.models.rows import EvaluationRow
from storage.releases.diff import MetricChange, SettingChange, compare_releases
from storage.releases.opening import open_release
from storage.releases.publishing import keep_candidate, publish_release
from tests.storage.releases.test_format_versions import FORMATS, unpacked
from tests.storage.sample_releases import content


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Two versions of other words, settings and scores, and a candidate, in a folder that has to be quoted."""
    workspace = Workspace(tmp_path / 'it\'s "here"')
    publish_release(workspace, "news", content([f"word{number}" for number in range(100)]))
    newer = replace(
        content([f"word{number}" for number in range(140, 40, -1)], seed=2),
        settings={"training": {"epochs": 5, "workers": None}, "corpus": {"path": "a \"b\" 'c'"}, "new": {"one": [1]}},
        evaluation=[
            EvaluationRow(metric="wordsim353", value=0.6, gold_digest="1234"),
            EvaluationRow(metric="google_analogies", value=0.1, gold_digest="changed"),
            EvaluationRow(metric="simlex999", value=0.3, gold_digest="abcd"),
        ],
    )
    publish_release(workspace, "news", newer)
    keep_candidate(workspace, "news", content(seed=3, model_digest="refused"))
    return workspace


def test_metrics_settings_and_vocabulary_are_set_side_by_side(workspace: Workspace) -> None:
    found = compare_releases(workspace, "news", "1", "2")
    assert (found.older, found.newer) == ("1", "2")
    assert (found.shared_words, found.gained_words, found.lost_words) == (59, 41, 41)
    assert found.metrics == [
        MetricChange(metric="google_analogies", older=None, newer=0.1, comparable=False),
        MetricChange(metric="simlex999", older=None, newer=0.3, comparable=False),
        MetricChange(metric="wordsim353", older=0.5, newer=0.6, comparable=True),
    ]
    assert found.settings == [
        SettingChange(name="new.one", older=None, newer="[1]"),
        SettingChange(name="training.epochs", older="3", newer="5"),
    ]


def test_drift_agrees_with_the_macro_of_the_newer_release(workspace: Workspace) -> None:
    found = compare_releases(workspace, "news", "1", "2", words=30, neighbors=5)
    with open_release(workspace.release_file("news", 2)) as connection:
        older = str(workspace.release_file("news", 1)).replace("'", "''")
        connection.execute(f"ATTACH '{older}' AS older (READ_ONLY)")
        expected = connection.execute("FROM drift('older', words := 30, k := 5)").fetchall()
    assert [tuple(word.model_dump().values()) for word in found.drift] == expected
    assert found.mean_overlap == pytest.approx(sum(row[2] for row in expected) / 30)


def test_a_release_is_compared_with_itself_and_with_a_candidate(workspace: Workspace) -> None:
    same = compare_releases(workspace, "news", "1", "1")
    assert (same.mean_overlap, same.settings, same.gained_words) == (1.0, [], 0)
    assert all(metric.comparable and metric.older == metric.newer for metric in same.metrics)
    assert compare_releases(workspace, "news", "2", "refused").shared_words == 100


def test_releases_that_share_no_word_have_no_overlap(workspace: Workspace) -> None:
    publish_release(workspace, "news", content(["other", "words"]))
    found = compare_releases(workspace, "news", "2", "3")
    assert (found.mean_overlap, found.drift, found.shared_words) == (None, [], 0)


def test_what_is_not_there_or_damaged_is_named(workspace: Workspace) -> None:
    with pytest.raises(ReleaseError, match="no release or candidate '7'"):
        compare_releases(workspace, "news", "1", "7")
    workspace.release_file("news", 1).write_bytes(b"not a release")
    with pytest.raises(ReleaseError, match=r"v000001\.duckdb cannot be read"):
        compare_releases(workspace, "news", "1", "2")


@pytest.mark.parametrize("version", FORMATS)
def test_a_release_of_an_earlier_format_can_be_compared(tmp_path: Path, version: int) -> None:
    workspace = unpacked(version, tmp_path)
    publish_release(workspace, "glove", content(["the", "two", "word0"]))
    for older, newer in (("1", "2"), ("2", "1")):
        assert compare_releases(workspace, "glove", older, newer).shared_words == 2
