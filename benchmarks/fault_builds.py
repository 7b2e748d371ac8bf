"""Builds that are killed, that run at once, and whose disk is full or cannot be written."""

import math
import os
import random
import shutil
import subprocess
import time
from collections import Counter
from pathlib import Path

from pydantic import BaseModel
from rich.progress import track

from benchmarks.fault_commands import TABLE, Stage, command_stage, ended, timed_build
from storage.layout import Workspace
from storage.releases.history import prune
from storage.releases.ledger import kept_versions
from storage.releases.verification import verify_table

KILLS_A_MODEL = 5
# The report comes after the publish and takes most of the time of so small a build.
NO_REPORT = "report.enabled=false"
KILLS_BETWEEN_BUILDS = 20
# In the order a build writes them.
PLACES = (
    "corpora", "tokens", "vocabularies", "encoded", "models", "comparisons", "evaluations", "tables", f"tables/{TABLE}",
    "maps", "runs", ".runs",
)  # fmt: skip
LEAST_FREE_BYTES = 8192
DISK_MEBIBYTES = 24


class FaultRow(BaseModel):
    """One line of the table. times: inputs tried. found: outcome -> how often. wrong: all that may never happen."""

    fault: str
    times: int
    found: dict[str, int]
    wrong: list[str]
    seconds: float


def kill_builds(kills: int, seed: int = 1, *, limit_seconds: float = math.inf, show: bool = False) -> FaultRow:
    """Kill `vecmill build` at random moments; verify after each, and build to the end now and then.

    limit_seconds: stop after so long.
    """
    with command_stage() as stage:
        started = time.perf_counter()
        workspace = Workspace(stage.workspace)
        chosen = random.Random(seed)
        found: Counter[str] = Counter()
        wrong: list[str] = []
        seconds = timed_build(stage, 1, NO_REPORT)
        for kill in track(range(kills), description="killing builds", disable=not show, transient=True):
            if time.perf_counter() - started > limit_seconds:
                break
            model = 2 + kill // KILLS_A_MODEL
            process, said = stage.start(stage.build_arguments(model, NO_REPORT))
            process.join(chosen.uniform(0, 1.1 * seconds))
            moment = "after its end" if process.exitcode is not None else f"in {_newest(stage.workspace)}"
            process.kill()
            process.join()
            said.unlink()
            found[moment] += 1
            wrong += _problems(workspace, f"kill {kill} {moment}")
            if kill % KILLS_BETWEEN_BUILDS == KILLS_BETWEEN_BUILDS - 1:
                before = kept_versions(workspace, TABLE)[-1]
                seconds = timed_build(stage, kill + 1000, NO_REPORT)
                if kept_versions(workspace, TABLE)[-1] <= before:
                    wrong.append(f"no new version after kill {kill}")
                prune(workspace, TABLE, keep=2)
        return _row("vecmill build killed with SIGKILL", found.total(), found, wrong, started)


def build_at_once(builds: int) -> FaultRow:
    """Start so many builds of one table at the same time."""
    with command_stage() as stage:
        started = time.perf_counter()
        workspace = Workspace(stage.workspace)
        running = [stage.start(stage.build_arguments(seed)) for seed in range(1, builds + 1)]
        ends = [ended(process, said) for process, said in running]
        wrong = [problem for end in ends if (problem := end.wrong())]
        published = kept_versions(workspace, TABLE)
        if published != list(range(1, builds + 2)):
            wrong.append(f"the versions are {published}")
        wrong += _problems(workspace, "at the end")
        found = Counter("published" if end.code == 0 else "refused" for end in ends)
        return _row("builds of one table at once", builds, found, wrong, started)


def refuse_writes(places: tuple[str, ...] = PLACES) -> FaultRow:
    """Take the right to write from every folder of the workspace in turn, as an ordinary user."""
    with command_stage() as stage:
        started = time.perf_counter()
        found: Counter[str] = Counter()
        wrong: list[str] = []
        for number, place in enumerate(places):
            _forget(stage, place)
            folder = stage.workspace / place
            folder.chmod(0o555)
            end = stage.run(stage.build_arguments(10 + number))
            folder.chmod(0o755)
            wrong += _judged(stage, end.wrong(), 10 + number, f"{place} read-only")
            found["refused" if end.code else "built anyway"] += 1
        return _row("a folder that cannot be written, in every stage", len(places), found, wrong, started)


def fill_disks(places: tuple[str, ...] = PLACES) -> FaultRow:
    """Fill the disk when a build has come to each of its stages: a separate file system, else a file size limit."""
    with command_stage() as stage:
        started = time.perf_counter()
        found: Counter[str] = Counter()
        wrong: list[str] = []
        mounted = _mounted(stage)
        try:
            for number, place in enumerate(places):
                _forget(stage, place)
                filler = stage.workspace / "filler"
                limit = None
                if mounted:
                    free = shutil.disk_usage(stage.workspace).free
                    filler.write_bytes(bytes(max(free - LEAST_FREE_BYTES, 0)))
                else:
                    limit = 64
                end = stage.run(stage.build_arguments(10 + number), largest_file=limit)
                filler.unlink(missing_ok=True)
                wrong += _judged(stage, end.wrong(), 10 + number, f"disk full at {place}")
                found["refused" if end.code else "built anyway"] += 1
        finally:
            if mounted:
                subprocess.run(["umount", str(stage.workspace)], check=True)
        return _row("a full disk, in every stage", len(places), found, wrong, started)


def _mounted(stage: Stage) -> bool:
    """Put the workspace on a small separate file system; False if this user may not mount one."""
    if os.getuid() != 0 or not shutil.which("mount"):
        return False
    aside = stage.workspace.with_name("aside")
    stage.workspace.rename(aside)
    stage.workspace.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={DISK_MEBIBYTES}m", "faults", str(stage.workspace)]
    mounted = subprocess.run(["mount", *options], capture_output=True).returncode == 0
    if mounted:
        shutil.copytree(aside, stage.workspace, symlinks=True, dirs_exist_ok=True)
    else:
        stage.workspace.rmdir()
        aside.rename(stage.workspace)
    return mounted


def _forget(stage: Stage, place: str) -> None:
    """Remove the finished stages of a place, so that the next build writes them again."""
    if place in PLACES[:7]:
        shutil.rmtree(stage.workspace / place, ignore_errors=True)
        (stage.workspace / place).mkdir()


def _judged(stage: Stage, problem: str | None, seed: int, case: str) -> list[str]:
    """What went wrong in a case, that the releases are whole, and that the same build goes well afterwards."""
    wrong = [f"{case}: {problem}"] if problem else []
    workspace = Workspace(stage.workspace)
    wrong += _problems(workspace, case)
    again = stage.run(stage.build_arguments(seed))
    if again.code:
        wrong.append(f"{case}: the next build failed: {again.said[-300:]}")
    wrong += _problems(workspace, f"after {case}")
    prune(workspace, TABLE, keep=2)
    return wrong


def _problems(workspace: Workspace, when: str) -> list[str]:
    return [f"{when}: {line.problem}" for line in verify_table(workspace, TABLE) if line.problem]


def _newest(workspace: Path) -> str:
    """The top folder of what was written last: how far the build was."""
    newest, place = 0.0, "nothing"
    for path in workspace.rglob("*"):
        try:
            changed = path.stat().st_mtime
        except OSError:
            continue
        if path.is_file() and changed > newest and ".lock" not in path.name:
            newest, place = changed, path.relative_to(workspace).parts[0]
    return place


def _row(fault: str, times: int, found: Counter[str], wrong: list[str], started: float) -> FaultRow:
    seconds = round(time.perf_counter() - started, 1)
    return FaultRow(fault=fault, times=times, found=dict(found), wrong=wrong, seconds=seconds)
