"""Neighbours are asked of a published table by name, and what does not exist is named."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from storage.errors import ReleaseError, SettingsError
from storage.layout import Workspace
from storage.releases.publishing import publish_release
from storage.releases.querying import nearest, neighbors_of_words, table_names
from tests.storage.sample_releases import content


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path)
    publish_release(workspace, "news", content())
    return workspace


def test_neighbors_are_those_of_numpy(workspace: Workspace) -> None:
    made = content()
    unit = made.vectors / np.linalg.norm(made.vectors, axis=1, keepdims=True)
    cosines = unit @ unit[7]
    expected = [row for row in np.argsort(-cosines) if row != 7][:5]
    found = nearest(workspace, "news", "word7", 5)
    assert [(neighbor.word, neighbor.rank) for neighbor in found] == [(f"word{row}", row + 1) for row in expected]
    np.testing.assert_allclose([neighbor.similarity for neighbor in found], cosines[expected], atol=1e-5)


def test_an_unknown_word_is_named(workspace: Workspace) -> None:
    with pytest.raises(ReleaseError, match=r"'news' has no word 'quux'.*min_count"):
        nearest(workspace, "news", "quux")
    assert nearest(workspace, "news", "Word7") == nearest(workspace, "news", "word7")
    with pytest.raises(ReleaseError, match="no word"):
        nearest(workspace, "news", "'; DROP TABLE release; --")


def test_an_unknown_table_names_those_there_are(workspace: Workspace) -> None:
    with pytest.raises(ReleaseError, match=r"no table 'olds'.*the tables are news"):
        nearest(workspace, "olds", "word7")
    with pytest.raises(ReleaseError, match="nothing has been published yet"):
        nearest(Workspace(workspace.root / "empty"), "news", "word7")
    with pytest.raises(SettingsError, match="not a valid table name"):
        nearest(workspace, "../news", "word7")


def test_a_damaged_table_is_named(workspace: Workspace) -> None:
    workspace.table_file("news").unlink()
    workspace.table_file("news").write_text("not a database")
    with pytest.raises(ReleaseError, match=r"news\.duckdb cannot be read as a release"):
        nearest(workspace, "news", "word7")


def test_tables_are_listed_by_name(workspace: Workspace) -> None:
    publish_release(workspace, "a-table", content())
    (workspace.tables_root / "not a table.duckdb").touch()
    (workspace.tables_root / "folder.duckdb").mkdir()
    assert table_names(workspace) == ["a-table", "news"]
    shutil.rmtree(workspace.tables_root)
    assert table_names(workspace) == []


def test_the_neighbors_of_several_words_are_those_of_each(workspace: Workspace) -> None:
    found = neighbors_of_words(workspace.table_file("news"), ["word9", "word3"], 4)
    assert [word for word, _ in found] == ["word9", "word3"]
    for word, neighbors in found:
        assert neighbors == nearest(workspace, "news", word, 4)
