"""Files of a table are damaged: `verify` notices, no release is removed for it, and numbers are not used again."""

import json
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from storage.errors import VecmillError, WorkspaceError
from storage.layout import Workspace
from storage.releases.history import prune, rollback
from storage.releases.housekeeping import clean_stages
from storage.releases.ledger import Ledger, kept_versions, ledger_problem, read_ledger, write_ledger
from storage.releases.publishing import current_release, keep_candidate, list_releases, publish_release
from storage.releases.records import read_manifest, read_release
from storage.releases.verification import verify_table
from storage.stages import complete_stage, find_stage
from tests.storage.sample_releases import content
from tests.storage.sample_stages import SampleFacts, sample_stage

small = partial(content, rows=20, dimension=8)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Three releases, the first one current, and a candidate."""
    workspace = Workspace(tmp_path_factory.mktemp("prepared"))
    for seed in (1, 2, 3):
        publish_release(workspace, "news", small(seed=seed))
    keep_candidate(workspace, "news", small(seed=4, model_digest="refused"))
    rollback(workspace, "news", 1)
    return workspace


@pytest.fixture
def workspace(prepared: Workspace, tmp_path: Path) -> Workspace:
    copy = Workspace(tmp_path / "workspace")
    shutil.copytree(prepared.root, copy.root, symlinks=True)
    copy.table_file("news").unlink()
    copy.table_file("news").hardlink_to(copy.release_file("news", 1))
    return copy


def ledger_file(workspace: Workspace) -> Path:
    return workspace.releases_folder("news") / "versions.json"


def problems(workspace: Workspace) -> list[str]:
    return [line.problem for line in verify_table(workspace, "news") if line.problem]


def flips(data: bytes) -> Iterator[bytes]:
    """The data with each of its bits flipped in turn."""
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        yield bytes(damaged)


def same_json(one: bytes, other: bytes) -> bool:
    try:
        return bool(json.loads(one) == json.loads(other))
    except ValueError:
        return False


def test_no_flipped_bit_of_a_ledger_is_missed_or_reuses_a_number(workspace: Workspace) -> None:
    path = ledger_file(workspace)
    whole = path.read_bytes()
    assert ledger_problem(workspace, "news") is None
    for damaged in flips(whole):
        path.write_bytes(damaged)
        ledger = read_ledger(workspace, "news")
        assert same_json(whole, damaged) or ledger_problem(workspace, "news"), damaged
        assert (ledger.highest_used, ledger.highest_published, ledger.unfinished) == (3, 3, []), damaged


def test_no_flipped_bit_of_a_manifest_is_missed(workspace: Workspace) -> None:
    path = workspace.release_file("news", 2, ".json")
    whole, release = path.read_bytes(), read_release(path.with_suffix(".duckdb"))
    chosen = random.Random(1).sample(list(flips(whole)), 1500)
    for damaged in chosen:
        path.write_bytes(damaged)
        if not same_json(whole, damaged):
            with pytest.raises(ValueError, match=r"."):
                read_manifest(path)
    path.write_bytes(chosen[0])
    assert read_release(path.with_suffix(".duckdb")) == release


@pytest.mark.parametrize("published", [0, 1, 2])
def test_no_ledger_removes_a_published_release(workspace: Workspace, published: int) -> None:
    """A bit flipped in an old ledger, or a whole one from a backup."""
    for written in (
        lambda: ledger_file(workspace).write_text(f'{{"highest_used": 3, "highest_published": {published}}}'),
        lambda: write_ledger(workspace, "news", Ledger(highest_used=published, highest_published=published)),
    ):
        written()
        assert any("ends at version" in problem for problem in problems(workspace))
        assert kept_versions(workspace, "news") == [1, 2, 3]
        rollback(workspace, "news", 2)
        assert kept_versions(workspace, "news") == [1, 2, 3]
        assert problems(workspace) == []
    assert publish_release(workspace, "news", small()).version == 4


def test_a_ledger_without_a_checksum_keeps_working(workspace: Workspace) -> None:
    ledger_file(workspace).write_text('{"highest_used":7,"highest_published":3}')
    assert problems(workspace) == []
    assert publish_release(workspace, "news", small()).version == 8
    assert "sha256" in json.loads(ledger_file(workspace).read_text())


def test_a_manifest_without_a_checksum_is_compared_with_the_tables_of_its_release(workspace: Workspace) -> None:
    path = workspace.release_file("news", 1, ".json")
    stored = json.loads(path.read_text())
    del stored["sha256"]
    path.write_text(json.dumps(stored))
    assert problems(workspace) == []
    stored["evaluation"][0]["value"] = 0.75
    path.write_text(json.dumps(stored))
    assert ["does not match" in problem for problem in problems(workspace)] == [True]


def test_the_parquet_copy_of_a_lost_release_is_named_and_kept(workspace: Workspace) -> None:
    workspace.release_file("news", 3).unlink()
    assert any("v000003.duckdb is missing, but other files" in problem for problem in problems(workspace))
    assert publish_release(workspace, "news", small()).version == 4
    assert workspace.release_file("news", 3, ".parquet").exists()


def test_a_killed_prune_is_finished_by_the_next(workspace: Workspace) -> None:
    write_ledger(workspace, "news", Ledger(highest_used=3, highest_published=3, unfinished=[2]))
    workspace.release_file("news", 2).unlink()
    assert kept_versions(workspace, "news") == [1, 3]
    rollback(workspace, "news", 3)
    assert list(workspace.releases_folder("news").glob("v000002.*")) == []
    assert read_ledger(workspace, "news").unfinished == []


def test_garbage_with_a_high_number_costs_no_release(workspace: Workspace) -> None:
    workspace.release_file("news", 8).write_bytes(b"garbage")
    shutil.copy(workspace.release_file("news", 1), workspace.release_file("news", 9))
    assert len(problems(workspace)) >= 2
    assert [release.version for release in list_releases(workspace, "news")][:3] == [1, 2, 3]
    assert prune(workspace, "news", keep=2) == []
    assert kept_versions(workspace, "news") == [1, 2, 3, 8, 9]
    assert publish_release(workspace, "news", small()).version == 10


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "precious").write_text("x")


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def garbage(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(5000))


def nested(path: Path) -> None:
    path.write_text("[" * 100_000)


def missing(path: Path) -> None:
    path.unlink()


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def text(path: Path) -> None:
    path.write_text("null")


DAMAGES: list[Callable[[Path], None]] = [directory, truncated, empty, garbage, nested, missing, flipped, text]
NAMES = ["versions.json", "v000002.duckdb", "v000002.parquet", "v000002.json", "candidates/refused.json", "news.duckdb"]


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_what_is_damaged_is_named_and_nothing_else_is_lost(workspace: Workspace, name: str) -> None:
    """Only errors meant for the user are raised, whichever command comes next."""
    path = workspace.table_file("news") if name == "news.duckdb" else workspace.releases_folder("news") / name
    kept = [1, 3] if name == "v000002.duckdb" else [1, 2, 3]
    before = workspace.root.with_name("before")
    shutil.copytree(workspace.root, before, symlinks=True)
    for damage in DAMAGES:
        if path == workspace.table_file("news"):
            # A separate file, as on disks without links; else the kept version is damaged too.
            shutil.copy2(path, path.with_suffix(".copy"))
            path.with_suffix(".copy").replace(path)
        damage(path)
        assert any(path.name in problem for problem in problems(workspace)), damage
        for command in (
            lambda: list_releases(workspace, "news"),
            lambda: current_release(workspace, "news"),
            lambda: clean_stages(workspace, 0),
            lambda: prune(workspace, "news", keep=3),
            lambda: rollback(workspace, "news", 3),
            lambda: publish_release(workspace, "news", small()),
        ):
            # Anything else than an error meant for the user fails the test.
            with suppress(VecmillError):
                command()
            assert set(kept_versions(workspace, "news")) >= set(kept), damage
        assert not path.is_dir() or (path / "precious").exists()
        shutil.rmtree(workspace.root)
        shutil.copytree(before, workspace.root, symlinks=True)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["manifest.json", "data", ""])
def test_a_damaged_stage_is_built_again(tmp_path: Path, damage: Callable[[Path], None], name: str) -> None:
    workspace = Workspace(tmp_path)
    wanted = sample_stage("tokens", config={"name": "news"})

    def build(folder: Path) -> SampleFacts:
        (folder / "data").write_bytes(bytes(1000))
        return SampleFacts()

    folder = complete_stage(workspace, wanted, build).path
    if not name:
        shutil.rmtree(folder)
        folder.write_text("unexpected")
    damage(folder / name if name else folder)
    (workspace.runs_folder / "1-x.lock").mkdir(parents=True)
    clean_stages(workspace)
    try:
        again = complete_stage(workspace, wanted, build)
    except WorkspaceError as error:
        # Nothing of the user's is removed to make place for a stage.
        assert not name
        assert str(folder) in str(error)  # noqa: PT017
    else:
        assert (again.path / "data").read_bytes() == bytes(1000)
        assert find_stage(workspace, wanted) is not None
