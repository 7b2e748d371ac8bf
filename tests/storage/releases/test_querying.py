"""Neighbours are asked of a published table by name, and what does not exist is named."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from storage.errors import ReleaseError, SettingsError
from storage.layout import Workspace
from storage.releases.publishing import publish_release
from storage.releases.querying import example_neighbors, nearest, table_names
from tests.storage.sample_releases import content

STOP_WORDS = frozenset({"a", "one", "the", "without"})


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


def numbered(count: int) -> list[str]:
    """Words of letters alone: 0 becomes aaaaaa, 1 aaaaab, …"""
    return ["".join(chr(ord("a") + number // 26**place % 26) for place in range(5, -1, -1)) for number in range(count)]


def test_examples_are_content_words_spread_over_the_ranks(tmp_path: Path) -> None:
    words = numbered(3000)
    words[149:153] = ["without", "don't", "ab", "horror"]  # ranks 150 to 153
    words[599] = "한국어영화"
    words[1199] = "2001"
    workspace = Workspace(tmp_path)
    release = publish_release(workspace, "news", content(words, dimension=8))
    examples = example_neighbors(release.path, words=5, k=4, stop_words=STOP_WORDS)
    assert [word for word, _ in examples] == ["horror", words[299], "한국어영화", words[1200], words[2399]]
    for word, neighbors in examples:
        assert neighbors == nearest(workspace, "news", word, 4)


@pytest.mark.parametrize(
    "words", [["one"], ["a", "b", "kino"], ["the", "1", "?", "horror", "movie", "film", "story", "end"]]
)
def test_a_small_vocabulary_yields_the_examples_it_has(tmp_path: Path, words: list[str]) -> None:
    release = publish_release(Workspace(tmp_path), "news", content(words))
    examples = [word for word, _ in example_neighbors(release.path, stop_words=STOP_WORDS)]
    assert examples == [word for word in words if word in examples]
    assert set(examples) == set(words) - {"the", "1", "?", "one", "a"}


def test_a_table_of_numbers_has_no_examples(tmp_path: Path) -> None:
    release = publish_release(Workspace(tmp_path), "news", content(["1", "2"]))
    assert example_neighbors(release.path, stop_words=STOP_WORDS) == []
