"""A release of every format stays as good as a new one: samples/format_N was written by the code of its day."""

import gzip
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from storage.layout import Workspace
from storage.releases.history import rollback
from storage.releases.publishing import list_releases, publish_release
from storage.releases.querying import find_most_similar
from storage.releases.reader import check_release_file, open_release, read_content
from storage.releases.records import read_release
from storage.releases.schema import FORMAT_VERSION, TABLES
from storage.releases.verification import verify_table
from tests.storage.sample_releases import content

SAMPLES = Path(__file__).parent.parent / "samples"
FORMATS = sorted(int(folder.name.removeprefix("format_")) for folder in SAMPLES.glob("format_*"))


def unpacked(version: int, root: Path) -> Workspace:
    """A workspace whose table `glove` is a stored sample: the 300 most frequent words of GloVe 6B 50d."""
    workspace = Workspace(root)
    shutil.copytree(SAMPLES / f"format_{version}", workspace.releases_folder("glove"))
    packed = workspace.release_file("glove", 1, ".duckdb.gz")
    workspace.release_file("glove", 1).write_bytes(gzip.decompress(packed.read_bytes()))
    packed.unlink()
    shutil.copy(workspace.release_file("glove", 1), workspace.table_file("glove"))
    return workspace


@pytest.fixture(params=FORMATS)
def workspace(request: pytest.FixtureRequest, tmp_path: Path) -> Workspace:
    return unpacked(request.param, tmp_path)


def test_there_is_a_sample_of_every_format() -> None:
    # A change of any table or macro raises the version; store a file of the new one.
    assert list(range(1, FORMAT_VERSION + 1)) == FORMATS
    assert (FORMAT_VERSION, len(TABLES)) == (5, 6)


def test_an_earlier_release_can_be_queried(workspace: Workspace) -> None:
    copy = pq.read_table(workspace.release_file("glove", 1, ".parquet")).to_pydict()
    unit = np.array(copy["vector"])
    cosines = unit @ unit[copy["word"].index("two")]
    with open_release(workspace.table_file("glove")) as connection:
        found = connection.execute("SELECT word, similarity FROM nearest('two', k := 3)").fetchall()
        assert connection.execute("SELECT count(*) FROM word_vectors").fetchall() == [(300,)]
    assert [copy["word"][row] for row in np.argsort(-cosines)[1:4]] == [word for word, _ in found]
    np.testing.assert_allclose([cosine for _, cosine in found], np.sort(-cosines)[1:4] * -1, atol=1e-5)


def test_an_earlier_release_completes_analogies(workspace: Workspace) -> None:
    path = workspace.table_file("glove")
    with open_release(path) as connection:
        expected = connection.execute("SELECT word FROM analogy('two', 'three', 'four', k := 4)").fetchall()
    found = find_most_similar(path, "glove", ["three", "Four"], ["two"], k=4)
    assert [neighbor.word for neighbor in found] == [word for (word,) in expected]


def test_an_earlier_release_is_listed_and_followed_by_the_next(workspace: Workspace) -> None:
    (listed,) = list_releases(workspace, "glove")
    assert (listed.version, listed.current, listed.metrics["wordsim353"]) == (1, True, 0.5)
    assert check_release_file(listed.path).format_version <= FORMAT_VERSION
    assert publish_release(workspace, "glove", content()).version == 2
    assert [release.current for release in list_releases(workspace, "glove")] == [False, True]


@pytest.mark.parametrize("version", [1, 2])
def test_what_an_earlier_release_did_not_hold_is_read_as_absent(version: int, tmp_path: Path) -> None:
    workspace = unpacked(version, tmp_path)
    workspace.release_file("glove", 1, ".json").unlink()
    stored = read_release(workspace.release_file("glove", 1))
    assert [(row.value, row.low, row.covered) for row in stored.evaluation] == [
        (0.5, None, None), (None, None, None), (0.25, None, None),
    ]  # fmt: skip
    assert [(gate.minimum, gate.maximum, gate.strict) for gate in stored.gates] == [(0.4, None, False)]
    assert list(read_content(workspace.release_file("glove", 1)).compared_words) == []


def test_an_earlier_release_is_verified_and_can_be_current_again(workspace: Workspace) -> None:
    publish_release(workspace, "glove", content())
    rollback(workspace, "glove", 1)
    assert [(line.name, line.problem) for line in verify_table(workspace, "glove")] == [
        ("glove.duckdb", None),
        ("v1", None),
        ("v2", None),
    ]


def test_an_earlier_release_can_be_drifted_from(workspace: Workspace) -> None:
    stored = read_content(workspace.release_file("glove", 1))
    again = publish_release(workspace, "glove", stored)
    assert again.row.sha256 == check_release_file(workspace.release_file("glove", 1)).sha256
    with open_release(again.path) as connection:
        connection.execute(f"ATTACH '{workspace.release_file('glove', 1)}' AS older (READ_ONLY)")
        assert connection.execute("SELECT avg(overlap), count(*) FROM drift('older')").fetchall() == [(1.0, 300)]
