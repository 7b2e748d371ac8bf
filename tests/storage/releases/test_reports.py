"""The content of a report is read from real releases, and its page is stored with them, complete."""

from pathlib import Path

import numpy as np
import pytest

from storage.errors import ReleaseError, WorkspaceError
from storage.layout import Workspace
from storage.models.word_maps import read_word_map, write_word_map
from storage.releases.history import choose_release
from storage.releases.publishing import keep_candidate, publish_release
from storage.releases.reports import (
    compare_with,
    earlier_releases,
    has_report,
    neighbors_of,
    read_frequent_words,
    read_settings,
    read_vectors_of,
    report_file,
    write_report,
)
from tests.storage.sample_releases import content


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Three versions and a candidate of one table."""
    made = Workspace(tmp_path_factory.mktemp("workspace"))
    for seed in (1, 2, 3):
        publish_release(made, "news", content(model_digest=f"model{seed}", seed=seed))
    keep_candidate(made, "news", content(model_digest="refused", seed=4))
    return made


def test_the_most_frequent_words_come_with_their_vectors_and_all_counts(workspace: Workspace) -> None:
    made = content(model_digest="model3", seed=3)
    found = read_frequent_words(choose_release(workspace, "news").path, 50)
    assert found.words == list(made.words[:50])
    np.testing.assert_array_equal(found.counts, made.counts[:50])
    np.testing.assert_array_equal(found.all_counts, made.counts)
    unit = made.vectors[:50] / np.linalg.norm(made.vectors[:50], axis=1, keepdims=True)
    np.testing.assert_allclose(found.vectors, unit, atol=1e-7)


def test_named_words_are_found_and_unknown_ones_left_out(workspace: Workspace) -> None:
    path = choose_release(workspace, "news").path
    assert read_vectors_of(path, ["word7", "nothing", "word3"]).words == ["word3", "word7"]
    with pytest.raises(ReleaseError, match=r"none of the 2 words \('no', \"it's\"\)"):
        read_vectors_of(path, ["no", "it's"])


def test_neighbors_come_word_by_word(workspace: Workspace) -> None:
    found = neighbors_of(choose_release(workspace, "news").path, ["word9", "word1"], 3)
    assert [query for query, _ in found] == ["word9"] * 3 + ["word1"] * 3


def test_settings_are_read_back(workspace: Workspace) -> None:
    settings = {row.name: row.value for row in read_settings(choose_release(workspace, "news").path)}
    assert settings["training.epochs"] == "3"


def test_earlier_releases_are_those_below_and_for_a_candidate_all(workspace: Workspace) -> None:
    def versions(name: str) -> list[int]:
        return [release.version for release in earlier_releases(workspace, choose_release(workspace, "news", name))]

    assert versions("1") == []
    assert versions("3") == [1, 2]
    assert versions("refused") == [1, 2, 3]


def test_a_candidate_is_compared_with_the_current_release(workspace: Workspace) -> None:
    candidate = choose_release(workspace, "news", "refused")
    difference = compare_with(workspace, candidate, earlier_releases(workspace, candidate)[-1])
    assert (difference.older, difference.newer) == ("3", "refused")
    assert difference.shared_words == 200


def test_a_report_is_next_to_its_release_and_is_newer(workspace: Workspace) -> None:
    release = choose_release(workspace, "news", "2")
    assert not has_report(release)
    write_report(report_file(release), "<p>한글")
    assert report_file(release) == workspace.release_file("news", 2, ".report.html")
    assert report_file(release).read_text(encoding="utf-8") == "<p>한글"
    assert has_report(release)
    assert sorted(path.name for path in report_file(release).parent.glob(".*.tmp")) == []


def test_a_report_that_cannot_be_written_leaves_the_old_one(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = report_file(choose_release(workspace, "news"))
    write_report(path, "old")

    def full(self: Path, *_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", full)
        with pytest.raises(WorkspaceError, match=r"is full: .*the release is untouched"):
            write_report(path, "new")
    assert path.read_text(encoding="utf-8") == "old"


def test_a_map_comes_back_as_it_was_written(tmp_path: Path) -> None:
    places = np.random.default_rng(1).normal(size=(7, 2)).astype(np.float32)
    groups = np.arange(7, dtype=np.int64)
    write_word_map(tmp_path, places, groups)
    found = read_word_map(tmp_path)
    np.testing.assert_array_equal(found[0], places)
    np.testing.assert_array_equal(found[1], groups)
