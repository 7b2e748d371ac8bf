"""A stage is found again by what went into it, and only when it is whole."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from storage.errors import WorkspaceError
from storage.layout import Workspace
from storage.stages import Stage, complete_stage, find_stage
from tests.storage.sample_stages import SampleFacts, sample_stage

STAGE = sample_stage("tokens", 1, {"name": "unicode_words"}, {"corpus": "abc"})


def build(folder: Path) -> SampleFacts:
    (folder / "data.txt").write_text("text")
    return SampleFacts(rows=1)


def never_built(folder: Path) -> SampleFacts:
    raise AssertionError("this stage was complete")


def test_the_same_inputs_are_reused_and_keep_their_figures(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    first = complete_stage(workspace, STAGE, build)
    second = complete_stage(workspace, STAGE, never_built)
    assert not first.reused
    assert second.reused
    assert second.facts == SampleFacts(rows=1)
    assert second.path == workspace.stage_folder("tokens", STAGE.digest)


@pytest.mark.parametrize(
    "other",
    [
        sample_stage("tokens", 2, STAGE.config, STAGE.inputs),
        sample_stage("tokens", 1, {"name": "whitespace"}, STAGE.inputs),
        sample_stage("tokens", 1, STAGE.config, {"corpus": "abd"}),
        sample_stage("encoded", 1, STAGE.config, STAGE.inputs),
    ],
)
def test_version_settings_inputs_and_kind_each_change_the_digest(other: Stage[SampleFacts]) -> None:
    assert other.digest != STAGE.digest


@pytest.mark.parametrize("damage", ["missing", "changed", "longer", "manifest"])
def test_a_damaged_stage_runs_again(tmp_path: Path, damage: str) -> None:
    workspace = Workspace(tmp_path)
    folder = complete_stage(workspace, STAGE, build).path
    match damage:
        case "missing":
            (folder / "data.txt").unlink()
        case "changed":
            (folder / "data.txt").write_text("tex_")
        case "longer":
            (folder / "data.txt").write_text("text and more")
        case "manifest":
            (folder / "manifest.json").write_text('{"kind": "tok')
    again = complete_stage(workspace, STAGE, build)
    assert not again.reused
    assert (folder / "data.txt").read_text() == "text"


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    def failing(folder: Path) -> SampleFacts:
        (folder / "half.txt").write_text("ha")
        raise ValueError("broken half-way")

    workspace = Workspace(tmp_path)
    with pytest.raises(ValueError, match="half-way"):
        complete_stage(workspace, STAGE, failing)
    assert find_stage(workspace, STAGE) is None
    assert not workspace.partial_folder("tokens", STAGE.digest).exists()


def test_a_resumable_build_finds_what_an_interrupted_one_left(tmp_path: Path) -> None:
    def interrupted(folder: Path) -> SampleFacts:
        (folder / "checkpoint").write_text("epoch 3")
        raise KeyboardInterrupt

    def resumed(folder: Path) -> SampleFacts:
        assert (folder / "checkpoint").read_text() == "epoch 3"
        return build(folder)

    workspace = Workspace(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        complete_stage(workspace, STAGE, interrupted, resumable=True)
    assert complete_stage(workspace, STAGE, resumed, resumable=True).facts == SampleFacts(rows=1)


def slow_build(folder: Path) -> SampleFacts:
    (folder / "half.txt").write_text("ha")
    time.sleep(60)
    return SampleFacts()


def test_a_killed_build_leaves_nothing_that_passes_for_complete(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    process = multiprocessing.get_context("spawn").Process(target=complete_stage, args=(workspace, STAGE, slow_build))
    process.start()
    half = workspace.partial_folder("tokens", STAGE.digest) / "half.txt"
    while not half.exists():
        time.sleep(0.02)
    assert process.pid
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert find_stage(workspace, STAGE) is None
    manifest = complete_stage(workspace, STAGE, build)  # neither the lock nor the partial file blocks it
    assert sorted(manifest.files) == ["data.txt"]


def test_a_second_run_waits_for_the_first_and_reuses_its_work(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=build_slowly, args=(workspace,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert len(list(tmp_path.glob("built-*"))) == 1


def build_slowly(workspace: Workspace) -> None:
    def slow(folder: Path) -> SampleFacts:
        (workspace.root / f"built-{os.getpid()}").touch()
        time.sleep(0.5)
        return build(folder)

    complete_stage(workspace, STAGE, slow)


def test_a_full_disk_is_named_with_its_remedy(tmp_path: Path) -> None:
    def full(folder: Path) -> SampleFacts:
        raise OSError(28, "No space left on device")

    with pytest.raises(WorkspaceError, match=r"is full.*finished stages are kept.*--workspace"):
        complete_stage(Workspace(tmp_path), STAGE, full)


def test_a_workspace_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WorkspaceError, match="is not writable"):
        complete_stage(Workspace(tmp_path / "file"), STAGE, build)
    with pytest.raises(WorkspaceError, match="VECMILL_WORKSPACE"):
        Workspace(tmp_path / "file").check_writable()
