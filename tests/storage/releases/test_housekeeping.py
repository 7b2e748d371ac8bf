"""Cleaning removes what nothing needs, and nothing that a release, a run or a checkpoint needs."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from storage.errors import ReleaseError
from storage.layout import Workspace
from storage.locks import held_lock
from storage.releases.file import ReleaseContent
from storage.releases.housekeeping import clean_stages
from storage.releases.publishing import keep_candidate, publish_release
from storage.runs import oldest_run, registered_run
from storage.stages import Stage, complete_stage, find_stage
from tests.storage.sample_releases import content
from tests.storage.sample_stages import SampleFacts, sample_stage

DAY = 86_400
ROOT = Path(__file__).resolve().parents[3]


def stage(kind: str, name: str, **inputs: str) -> Stage[SampleFacts]:
    return sample_stage(kind, config={"name": name}, inputs=inputs)


def complete(workspace: Workspace, wanted: Stage[SampleFacts]) -> None:
    def build(folder: Path) -> SampleFacts:
        (folder / "data").write_bytes(b"x" * 1000)
        return SampleFacts()

    complete_stage(workspace, wanted, build)


def make_lineage(workspace: Workspace, name: str, start: str | None = None) -> dict[str, Stage[SampleFacts]]:
    """All stages of one build, small: as the real ones name their inputs."""
    corpus = stage("corpora", name, file=f"sha256 of {name}")
    tokens = stage("tokens", name, corpus=corpus.digest)
    vocabulary = stage("vocabularies", name, tokens=tokens.digest)
    encoded = stage("encoded", name, tokens=tokens.digest, vocabulary=vocabulary.digest)
    inputs = {"encoded": encoded.digest, "vocabulary": vocabulary.digest} | ({"start": start} if start else {})
    model = stage("models", name, **inputs)
    evaluation = stage("evaluations", name, model=model.digest, vocabulary=vocabulary.digest)
    made = [corpus, tokens, vocabulary, encoded, model, evaluation]
    for one in made:
        complete(workspace, one)
    return {one.kind: one for one in made}


def released(lineage: dict[str, Stage[SampleFacts]]) -> ReleaseContent:
    made = content(model_digest=lineage["models"].digest)
    provenance = made.provenance.model_copy(update={"corpus_digest": lineage["corpora"].digest})
    return ReleaseContent(made.words, made.counts, made.vectors, provenance)


def age(workspace: Workspace, days: float) -> None:
    """Let everything in the workspace have been used that many days ago."""
    for path in workspace.root.rglob("*"):
        os.utime(path, (time.time() - days * DAY,) * 2, follow_symlinks=False)


def left(workspace: Workspace, lineage: dict[str, Stage[SampleFacts]]) -> set[str]:
    return {kind for kind, one in lineage.items() if find_stage(workspace, one)}


def partial(workspace: Workspace, wanted: Stage[SampleFacts]) -> Path:
    folder = workspace.partial_folder(wanted.kind, wanted.digest)
    folder.mkdir(parents=True)
    (folder / "checkpoint").write_bytes(b"x" * 10)
    return folder


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def test_what_a_kept_release_or_candidate_was_made_of_stays(workspace: Workspace) -> None:
    kept, refused, gone = (make_lineage(workspace, name) for name in ("kept", "refused", "gone"))
    publish_release(workspace, "news", released(kept))
    keep_candidate(workspace, "other-table", released(refused))
    age(workspace, 30)
    removed = clean_stages(workspace)
    assert left(workspace, kept) == left(workspace, refused) == set(kept)
    assert left(workspace, gone) == set()
    assert {(found.kind, found.path.name) for found in removed} == {(one.kind, one.digest) for one in gone.values()}
    assert all(found.complete and found.size > 1000 and not found.path.exists() for found in removed)
    assert clean_stages(workspace) == []


def test_a_shared_stage_stays_as_long_as_one_release_needs_it(workspace: Workspace) -> None:
    lineage = make_lineage(workspace, "shared")
    inputs = {"encoded": lineage["encoded"].digest, "vocabulary": lineage["vocabularies"].digest}
    adhoc = stage("models", "adhoc", **inputs)
    complete(workspace, adhoc)
    evaluation = stage("evaluations", "adhoc", model=adhoc.digest)
    complete(workspace, evaluation)
    publish_release(workspace, "news", released(lineage))
    age(workspace, 30)
    assert {found.path.name for found in clean_stages(workspace)} == {adhoc.digest, evaluation.digest}
    assert left(workspace, lineage) == set(lineage)


def test_the_model_that_a_training_began_with_is_not_needed(workspace: Workspace) -> None:
    first = make_lineage(workspace, "first")
    second = make_lineage(workspace, "second", start=first["models"].digest)
    publish_release(workspace, "news", released(second))
    age(workspace, 30)
    clean_stages(workspace)
    assert left(workspace, first) == set()
    assert left(workspace, second) == set(second)


def test_what_was_used_lately_stays(workspace: Workspace) -> None:
    old, used = make_lineage(workspace, "old"), make_lineage(workspace, "used")
    age(workspace, 8)
    complete(workspace, used["tokens"])  # finds it
    assert len(clean_stages(workspace, keep_days=10)) == 0
    clean_stages(workspace)
    assert (left(workspace, old), left(workspace, used)) == (set(), {"tokens"})


def test_a_dry_run_reports_the_same_and_removes_nothing(workspace: Workspace) -> None:
    gone = make_lineage(workspace, "gone")
    age(workspace, 30)
    planned = clean_stages(workspace, dry_run=True)
    assert left(workspace, gone) == set(gone)
    assert clean_stages(workspace) == planned
    assert left(workspace, gone) == set()


def test_an_old_checkpoint_goes_and_a_fresh_or_locked_one_stays(workspace: Workspace) -> None:
    old, locked, fresh = (stage("models", name) for name in ("old", "locked", "fresh"))
    folders = [partial(workspace, one) for one in (old, locked)]
    age(workspace, 30)
    folders.append(partial(workspace, fresh))
    with held_lock(workspace.stage_lock("models", locked.digest), "the test"):
        (removed,) = clean_stages(workspace)
    assert (removed.path, removed.complete, removed.size) == (folders[0], False, 10)
    assert [folder.exists() for folder in folders] == [False, True, True]


def test_only_stages_are_removed(workspace: Workspace) -> None:
    digest = stage("models", "x").digest
    foreign = [
        workspace.root / "notes.txt",
        workspace.root / "models" / "mine" / "file",
        workspace.root / "models" / f"{digest}.txt",
        workspace.root / "tables" / digest / "file",
        workspace.root / ".hidden" / digest / "file",
    ]
    for path in foreign:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    outside = workspace.root / "outside"
    outside.mkdir()
    (workspace.root / "models" / digest).symlink_to(outside)
    age(workspace, 30)
    assert clean_stages(workspace, keep_days=0) == []
    assert all(path.exists() for path in [*foreign, outside])
    assert clean_stages(Workspace(workspace.root / "nothing")) == []


def test_a_release_that_cannot_be_read_stops_the_cleaning(workspace: Workspace) -> None:
    gone = make_lineage(workspace, "gone")
    release = publish_release(workspace, "news", content())
    release.path.with_suffix(".json").unlink()
    release.path.write_text("not a release")
    age(workspace, 30)
    with pytest.raises(ReleaseError, match=r"v000001\.duckdb"):
        clean_stages(workspace)
    assert left(workspace, gone) == set(gone)


def test_what_a_killed_cleaning_left_goes_with_the_next(workspace: Workspace) -> None:
    gone = make_lineage(workspace, "gone")
    folder = workspace.stage_folder("models", gone["models"].digest)
    trash = folder.rename(folder.with_name(f".{folder.name}.removed"))
    clean_stages(workspace)
    assert not trash.exists()


def test_what_a_killed_run_spooled_is_removed_once_it_is_old(workspace: Workspace) -> None:
    workspace.spool.mkdir(parents=True)
    spooled = workspace.spool / "stdin-1"
    spooled.write_text("text")
    assert clean_stages(workspace, keep_days=1) == []
    age(workspace, days=2)
    for dry_run in (True, False):
        assert spooled.exists()
        (removed,) = [it for it in clean_stages(workspace, keep_days=1, dry_run=dry_run) if it.kind == "spool"]
        assert (removed.path, removed.size, removed.complete) == (spooled, 4, False)
    assert not spooled.exists()


def test_a_run_is_known_while_it_lasts(workspace: Workspace) -> None:
    assert oldest_run(workspace) is None
    with registered_run(workspace):
        begun = oldest_run(workspace)
        assert begun is not None
        assert abs(time.time() - begun) < 60
    assert oldest_run(workspace) is None
    assert list(workspace.runs_folder.iterdir()) == []


# A build that has finished one stage, waits, then makes another of it.
BUILD = """
import sys
from pathlib import Path
from storage.layout import Workspace
from storage.runs import registered_run
from storage.stages import complete_stage
from tests.storage.sample_stages import SampleFacts, sample_stage

def first(folder):
    (folder / "data").write_text("tokens")
    return SampleFacts()

workspace = Workspace(Path(sys.argv[1]))
with registered_run(workspace):
    tokens = complete_stage(workspace, sample_stage("tokens"), first)
    print("waiting", flush=True)
    sys.stdin.readline()

    def second(folder):
        (folder / "data").write_text((tokens.path / "data").read_text())
        return SampleFacts()

    complete_stage(workspace, sample_stage("models", inputs={"tokens": tokens.digest}), second)
"""


@pytest.mark.parametrize("ends", ["by itself", "killed"])
def test_a_run_at_work_loses_nothing_and_a_dead_one_protects_nothing(workspace: Workspace, ends: str) -> None:
    gone = make_lineage(workspace, "gone")
    age(workspace, 30)
    command = [sys.executable, "-c", BUILD, str(workspace.root)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "waiting\n"
        tokens = workspace.stage_folder("tokens", sample_stage("tokens").digest)
        clean_stages(workspace, keep_days=-1)  # everything that is older than tomorrow
        assert tokens.is_dir()
        assert left(workspace, gone) == set()
        if ends == "killed":
            process.kill()
        process.communicate("\n")
        assert process.returncode == (0 if ends == "by itself" else -9)
    assert clean_stages(workspace, keep_days=-1)
    assert not tokens.exists()
