"""Going back, promoting and pruning change what is current in one step, or nothing at all."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from storage.errors import ReleaseError, SettingsError
from storage.layout import REPORT_SUFFIX, Workspace
from storage.releases.history import choose_release, find_release, promote, prune, rollback
from storage.releases.opening import open_release
from storage.releases.publishing import current_release, keep_candidate, list_releases, publish_release
from storage.releases.reader import check_release_file, read_content
from storage.releases.verification import Verified, verify_table
from tests.storage.sample_releases import content, inner_table


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Three versions and a refused candidate."""
    workspace = Workspace(tmp_path_factory.mktemp("published"))
    for seed in (1, 2, 3):
        publish_release(workspace, "news", content(seed=seed))
    keep_candidate(workspace, "news", content(seed=4, model_digest="refused"))
    return workspace


@pytest.fixture
def workspace(published: Workspace, tmp_path: Path) -> Workspace:
    """A copy of it, for one test alone."""
    workspace = Workspace(tmp_path / "workspace")
    shutil.copytree(published.root, workspace.root, symlinks=True)
    workspace.table_file("news").unlink()
    workspace.table_file("news").hardlink_to(workspace.release_file("news", 3))
    return workspace


def current_version_of(workspace: Workspace) -> int | None:
    return check_release_file(workspace.table_file("news")).version


def versions(workspace: Workspace) -> list[int | None]:
    return [release.version for release in list_releases(workspace, "news")]


def files(workspace: Workspace) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(workspace.root.rglob("*")) if path.is_file()}


def test_the_current_release_is_chosen_unless_another_is_named(workspace: Workspace) -> None:
    assert choose_release(workspace, "news").version == 3
    assert choose_release(workspace, "news", "2").version == 2
    assert choose_release(workspace, "news", "ref").row.version is None


@pytest.mark.parametrize(
    ("table", "name", "message"), [("news", "9", "the versions are 1, 2, 3"), ("other", None, "news")]
)
def test_a_release_that_is_not_there_is_named_with_those_that_are(
    workspace: Workspace, table: str, name: str | None, message: str
) -> None:
    with pytest.raises(ReleaseError, match=message):
        choose_release(workspace, table, name)


def test_rollback_keeps_the_number_and_the_next_is_the_highest_and_one(workspace: Workspace) -> None:
    assert rollback(workspace, "news", 1).version == 1
    assert current_version_of(workspace) == 1
    assert workspace.table_file("news").samefile(workspace.release_file("news", 1))
    current = current_release(workspace, "news")
    assert current is not None
    assert current.version == 1
    assert [release.current for release in list_releases(workspace, "news")] == [True, False, False, False]
    assert publish_release(workspace, "news", content(seed=5)).version == 4
    assert versions(workspace) == [1, 2, 3, 4, None]


def test_a_promoted_candidate_gets_the_next_number_and_keeps_its_content(workspace: Workspace) -> None:
    refused = check_release_file(workspace.candidate_file("news", "refused"))
    assert inner_table(workspace.candidate_file("news", "refused")).startswith("word_vectors_news_candidate_")
    rollback(workspace, "news", 2)
    release = promote(workspace, "news", "ref")
    assert release.version == 4
    assert current_version_of(workspace) == 4
    assert release.row.sha256 == refused.sha256
    assert release.model_digest == "refused"
    assert inner_table(release.path).startswith("word_vectors_news_v4_")
    assert versions(workspace) == [1, 2, 3, 4]
    assert list(workspace.candidates_folder("news").iterdir()) == []


def test_what_is_read_from_a_release_writes_the_same_again(workspace: Workspace) -> None:
    made = read_content(workspace.release_file("news", 2))
    again = publish_release(workspace, "news", made).path
    with open_release(workspace.release_file("news", 2)) as old, open_release(again) as new:
        for table in ("word_vectors", "training", "evaluation", "gates", "settings"):
            rows = old.execute(f"FROM {table}").fetchall()
            assert rows
            assert rows == new.execute(f"FROM {table}").fetchall()
        provenance = "SELECT COLUMNS(* EXCLUDE (version, created_at)) FROM release"
        assert old.execute(provenance).fetchall() == new.execute(provenance).fetchall()


@pytest.mark.parametrize(
    ("keep", "current", "left"), [(1, 3, [3]), (2, 3, [2, 3]), (1, 1, [1, 3]), (2, 2, [2, 3]), (9, 3, [1, 2, 3])]
)
def test_pruning_keeps_the_highest_and_the_current_one(
    workspace: Workspace, keep: int, current: int, left: list[int]
) -> None:
    rollback(workspace, "news", current)
    removed = prune(workspace, "news", keep)
    assert removed == [f"v{version}" for version in (1, 2, 3) if version not in left]
    assert versions(workspace) == [*left, None]
    assert current_version_of(workspace) == current
    stems = {file.stem for file in workspace.releases_folder("news").glob("v0*")}
    assert stems == {f"v{version:06d}" for version in left}
    assert publish_release(workspace, "news", content()).version == 4


def test_a_report_goes_with_its_release(workspace: Workspace) -> None:
    candidate = workspace.candidate_file("news", "refused", REPORT_SUFFIX)
    reports = [workspace.release_file("news", version, REPORT_SUFFIX) for version in (1, 2, 3)]
    for report in (candidate, *reports):
        report.write_text("<html>")
    promote(workspace, "news", "refused")
    assert not candidate.exists()
    prune(workspace, "news", 2)
    assert [report.exists() for report in reports] == [False, False, True]


@pytest.mark.parametrize("suffix", [".duckdb", ".json"])
def test_pruning_leaves_a_damaged_version_until_enough_later_ones_can_be_read(
    workspace: Workspace, suffix: str
) -> None:
    damaged = workspace.release_file("news", 1, suffix)
    damaged.chmod(0o644)
    damaged.write_text("[" * 1000)
    for keep in (4, 3):
        assert prune(workspace, "news", keep) == []
        assert workspace.release_file("news", 1, ".parquet").exists()
    assert prune(workspace, "news", 2) == ["v1"]


def test_a_report_without_its_release_goes_with_the_next_publish(workspace: Workspace) -> None:
    left = [workspace.release_file("news", 9, REPORT_SUFFIX), workspace.candidate_file("news", "gone", REPORT_SUFFIX)]
    kept = [
        workspace.release_file("news", 2, REPORT_SUFFIX), workspace.candidate_file("news", "refused", REPORT_SUFFIX)
    ]  # fmt: skip
    for report in (*left, *kept):
        report.write_text("<html>")
    publish_release(workspace, "news", content())
    assert [report.exists() for report in (*left, *kept)] == [False, False, True, True]


def test_pruning_to_the_old_current_one_leaves_a_hole_for_good(workspace: Workspace) -> None:
    rollback(workspace, "news", 1)
    for version in (2, 3):
        for suffix in (".duckdb", ".json", ".parquet"):
            workspace.release_file("news", version, suffix).unlink()
    assert publish_release(workspace, "news", content()).version == 4
    assert versions(workspace) == [1, 4, None]


def test_pruning_can_take_the_candidates_too(workspace: Workspace) -> None:
    assert prune(workspace, "news", 1, candidates=True) == ["v1", "v2", "refused"]
    assert versions(workspace) == [3]
    with pytest.raises(ValueError, match="at least one"):
        prune(workspace, "news", 0)


@pytest.mark.parametrize("name", ["9", "0", "-1", "", "../news/v000001", "news", "r*", "v1"])
def test_what_is_not_kept_is_named_with_what_is(workspace: Workspace, name: str) -> None:
    with pytest.raises(ReleaseError, match=r"the versions are 1, 2, 3, the candidates refused"):
        find_release(workspace, "news", name)
    with pytest.raises(ReleaseError, match="the versions are"):
        promote(workspace, "news", name)


def test_a_published_version_is_not_promoted(workspace: Workspace) -> None:
    with pytest.raises(ReleaseError, match="rollback"):
        promote(workspace, "news", "1")


@pytest.mark.parametrize("table", ["other", "../escape", "a'b"])
def test_a_table_that_does_not_exist_is_named_and_not_made(workspace: Workspace, table: str) -> None:
    before = files(workspace)
    calls: list[Callable[[], object]] = [
        lambda: rollback(workspace, table, 1),
        lambda: promote(workspace, table, "refused"),
        lambda: prune(workspace, table, 1),
        lambda: verify_table(workspace, table),
        lambda: find_release(workspace, table, "1"),
    ]
    for call in calls:
        with pytest.raises((ReleaseError, SettingsError), match=r"no table|not a valid table name"):
            call()
    assert files(workspace) == before


def truncated(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def flipped(path: Path) -> None:
    """One bit, near the end, where nothing may ever read."""
    with path.open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)[0]
        file.seek(-1, 2)
        file.write(bytes([last ^ 1]))


def rewritten(path: Path) -> None:
    """The same size, other content, all checksums of DuckDB itself right."""
    with duckdb.connect(str(path)) as connection:
        ((table,),) = connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE table_name LIKE 'word_vectors%'"
        ).fetchall()
        connection.execute(f"UPDATE {table} SET count = count + 1")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "truncated": truncated,
    "flipped": flipped,
    "rewritten": rewritten,
    "gone": Path.unlink,
    "text": lambda path: path.write_text("not a release"),
}


def problems(workspace: Workspace) -> dict[str, str]:
    return {found.name: found.problem for found in verify_table(workspace, "news") if found.problem}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_to_a_kept_version_is_found_and_never_made_current(workspace: Workspace, damage: str) -> None:
    path = workspace.release_file("news", 1)
    DAMAGES[damage](path)
    found = problems(workspace)
    assert list(found) == ["v1"]
    assert all("v000001" in problem for problem in found.values())
    with pytest.raises(ReleaseError):
        rollback(workspace, "news", 1)
    assert current_version_of(workspace) == 3
    assert publish_release(workspace, "news", content()).version == 4


@pytest.mark.parametrize("damage", ["truncated", "flipped", "rewritten", "text"])
def test_damage_to_a_candidate_is_found_and_it_is_not_promoted(workspace: Workspace, damage: str) -> None:
    DAMAGES[damage](workspace.candidate_file("news", "refused"))
    assert list(problems(workspace)) == ["refused"]
    with pytest.raises(ReleaseError, match="refused"):
        promote(workspace, "news", "refused")
    assert current_version_of(workspace) == 3
    assert versions(workspace) == [1, 2, 3, None]


@pytest.mark.parametrize("suffix", [".json", ".parquet"])
@pytest.mark.parametrize("damage", ["truncated", "flipped", "gone"])
def test_damage_to_the_other_files_is_found_too(workspace: Workspace, suffix: str, damage: str) -> None:
    file = workspace.release_file("news", 2, suffix)
    DAMAGES[damage](file)
    found = problems(workspace)
    assert list(found) == ["v2"]
    assert file.name in found["v2"]
    with pytest.raises(ReleaseError, match=file.name):
        rollback(workspace, "news", 2)


def test_a_whole_table_is_verified_line_by_line(workspace: Workspace) -> None:
    found = verify_table(workspace, "news")
    assert [(line.name, line.version, line.current, line.rows, line.problem) for line in found] == [
        ("news.duckdb", 3, True, None, None),
        ("v1", 1, False, 200, None),
        ("v2", 2, False, 200, None),
        ("v3", 3, True, 200, None),
        ("refused", None, False, 200, None),
    ]
    assert isinstance(found[0], Verified)


def test_a_manifest_of_another_release_is_found(workspace: Workspace) -> None:
    for suffix in (".duckdb", ".parquet"):
        shutil.copy(workspace.release_file("news", 1, suffix), workspace.release_file("news", 2, suffix))
    shutil.copy(workspace.release_file("news", 1, ".json"), workspace.release_file("news", 2, ".json"))
    manifest = json.loads(workspace.release_file("news", 2, ".json").read_text())
    del manifest["sha256"]  # as in a release of an earlier vecmill
    manifest["release"]["version"] = 2
    workspace.release_file("news", 2, ".json").write_text(json.dumps(manifest))
    assert "does not match" in problems(workspace)["v2"]


def test_a_damaged_current_release_can_be_left_and_put_back(workspace: Workspace) -> None:
    current = workspace.table_file("news")
    current.unlink()
    shutil.copy(workspace.release_file("news", 3), current)  # as a file system without hard links has it
    assert problems(workspace) == {}
    rewritten_copy = current.with_name("copy.duckdb")
    shutil.copy(current, rewritten_copy)
    rewritten(rewritten_copy)
    rewritten_copy.replace(current)
    assert "rollback news 3" in problems(workspace)["news.duckdb"]
    rollback(workspace, "news", 3)
    assert problems(workspace) == {}


def test_a_table_whose_current_release_is_gone_is_found_and_put_back(workspace: Workspace) -> None:
    workspace.table_file("news").unlink()
    assert "rollback news 3" in problems(workspace)["news.duckdb"]
    rollback(workspace, "news", 3)
    assert problems(workspace) == {}


def test_a_foreign_file_under_the_tables_name_is_found_and_stays(workspace: Workspace) -> None:
    current = workspace.table_file("news")
    current.unlink()
    current.write_text("my notes")
    assert "move it elsewhere" in problems(workspace)["news.duckdb"]
    changes: list[Callable[[], object]] = [
        lambda: rollback(workspace, "news", 1),
        lambda: promote(workspace, "news", "refused"),
    ]
    for change in changes:
        with pytest.raises(ReleaseError, match="move it elsewhere"):
            change()
    assert current.read_text() == "my notes"
