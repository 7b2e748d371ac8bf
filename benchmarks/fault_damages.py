"""Every kind of file in a workspace is damaged; then build, verify, rollback, prune and clean run."""

import math
import random
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from rich.progress import track

from benchmarks.fault_builds import FaultRow
from benchmarks.fault_commands import TABLE, Stage, command_stage
from storage.layout import Workspace

RELEASES = 3
DIGEST = re.compile(r"[0-9a-f]{16,}|\d{8}T[\w-]+|\d{5,}")
# What names the table itself; a release whose own files are damaged may be lost, no other.
RELEASE_PARTS = (".duckdb", ".parquet", ".json")

Damage = Callable[[Path, random.Random], None]


def _flip(path: Path, chosen: random.Random) -> None:
    data = bytearray(path.read_bytes() or b"\0")
    data[chosen.randrange(len(data))] ^= 1 << chosen.randrange(8)
    path.write_bytes(data)


def _cut(path: Path, chosen: random.Random) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: chosen.randrange(max(len(data), 1))])


def _grow(path: Path, chosen: random.Random) -> None:
    path.write_bytes(path.read_bytes() + chosen.randbytes(50))


def _garbage(path: Path, chosen: random.Random) -> None:
    path.write_bytes(chosen.randbytes(1000))


def _zeros(path: Path, _: random.Random) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def _empty(path: Path, _: random.Random) -> None:
    path.write_bytes(b"")


def _remove(path: Path, _: random.Random) -> None:
    path.unlink()


def _folder(path: Path, _: random.Random) -> None:
    path.unlink()
    path.mkdir()


def _nested(path: Path, _: random.Random) -> None:
    path.write_text("[" * 100_000)


def _null(path: Path, _: random.Random) -> None:
    path.write_text("null")


DAMAGES: tuple[Damage, ...] = (_flip, _cut, _grow, _garbage, _zeros, _empty, _remove, _folder, _nested, _null)


def damage_files(
    damages: int, seed: int = 1, *, only: str = "", limit_seconds: float = math.inf, show: bool = False
) -> FaultRow:
    """Damage every kind of file so many times. only: a part of the names. limit_seconds: stop after."""
    with command_stage(RELEASES) as stage:
        started = time.perf_counter()
        chosen = random.Random(seed)
        whole = stage.folder / "whole"
        shutil.copytree(stage.workspace, whole, symlinks=True)
        kinds = kinds_of_files(whole)
        names = [name for name in sorted(kinds) if only in name]
        found: Counter[str] = Counter()
        wrong: list[str] = []
        cases = [(name, number) for number in range(damages) for name in names]
        for name, number in track(cases, description="damaging files", disable=not show, transient=True):
            if time.perf_counter() - started > limit_seconds:
                break
            damage = DAMAGES[number % len(DAMAGES)]
            _copied(stage, whole)
            path = stage.workspace / chosen.choice(kinds[name])
            # Releases are read-only, also to the ordinary user who damages them here.
            path.chmod(0o644)
            damage(path, chosen)
            case = f"{name}{damage.__name__}"
            outcome, problems = _tried(stage, path, case)
            found[outcome] += 1
            wrong += problems
        seconds = round(time.perf_counter() - started, 1)
        fault = f"a damaged file, of {len(names)} kinds in the workspace"
        return FaultRow(fault=fault, times=sum(found.values()), found=dict(found), wrong=wrong, seconds=seconds)


def kinds_of_files(workspace: Path) -> dict[str, list[Path]]:
    """Name with digests and numbers left out -> the files of that kind."""
    kinds: dict[str, list[Path]] = {}
    for path in sorted(workspace.rglob("*")):
        if path.is_file() and not path.is_symlink():
            relative = path.relative_to(workspace)
            kinds.setdefault(DIGEST.sub("#", str(relative)), []).append(relative)
    return kinds


def _copied(stage: Stage, whole: Path) -> None:
    """Bring the workspace back to what it was; the current release is a link again."""
    shutil.rmtree(stage.workspace)
    shutil.copytree(whole, stage.workspace, symlinks=True)
    workspace = Workspace(stage.workspace)
    workspace.table_file(TABLE).unlink()
    workspace.table_file(TABLE).hardlink_to(workspace.release_file(TABLE, RELEASES))


def _tried(stage: Stage, path: Path, case: str) -> tuple[str, list[str]]:
    """Run every command on the damaged workspace; returns the outcomes and what was wrong."""
    at = ["--workspace", str(stage.workspace)]
    table = Workspace(stage.workspace)
    is_current = path == table.table_file(TABLE)
    # The build may publish one release more.
    commands = [
        ["verify", TABLE, *at], ["releases", TABLE, *at], stage.build_arguments(RELEASES - 1), ["verify", TABLE, *at],
        ["rollback", TABLE, "2", *at], ["prune", TABLE, "--keep", str(RELEASES + 1), *at],
        ["clean", "--keep-days", "0", *at],
    ]  # fmt: skip
    if path.is_relative_to(table.tables_root):
        commands.append(stage.build_arguments(RELEASES + 1))
    done = stage.run(*commands)
    problem = done.wrong()
    wrong = [f"{case}: {problem}"] if problem else []
    for number in range(1, RELEASES + 1):
        for suffix in RELEASE_PARTS:
            file = table.release_file(TABLE, number, suffix)
            # The link has the bytes of its release, so damage to the one is damage to the other.
            damaged = file == path or (is_current and number == RELEASES and suffix == ".duckdb")
            if not damaged and not file.exists():
                wrong.append(f"{case}: {file.name} was removed")
    return ("built again" if done.code == 0 else "refused"), wrong
