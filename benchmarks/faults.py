"""Publishers are killed at random moments while three kinds of readers query the table.

The same code runs, shorter, in tests/storage/releases/test_release_faults.py.
"""

import os
import random
import time
from collections import Counter
from collections.abc import Sequence
from multiprocessing.context import ForkServerContext
from pathlib import Path

from pydantic import BaseModel
from rich.progress import track

from benchmarks.fault_readers import READERS, SEEDS, fresh_context, read_until, seeded_content
from storage.layout import Workspace
from storage.releases.history import prune
from storage.releases.ledger import SUFFIXES, current_version, read_ledger, staging_folder
from storage.releases.publishing import publish_release
from storage.releases.reader import check_release_file
from storage.releases.verification import verify_table

TABLE = "news"
KILLS_BETWEEN_PUBLISHES = 10
# A publisher lives for up to so many times what a publish takes here and now.
LONGEST_LIFE_PUBLISHES = 2.5
# Most of that time goes into writing the file. Half of the kills hit what comes after, which takes about a tenth.
LAST_STEPS_PUBLISHES = 0.15
LONGEST_WAIT_SECONDS = 120


class FaultReport(BaseModel):
    """What came of it. reads: kind of reader -> right answers. wrong: every error and every other answer.

    moments: where the kills hit.  published: versions that became current.  recovered: publishes between the kills
    that went well and left nothing of the killed ones.
    """

    kills: int
    moments: dict[str, int]
    published: int
    recovered: int
    reads: dict[str, int]
    wrong: list[str]
    seconds: float

    @property
    def interrupted(self) -> int:
        """Kills that hit a publish half-way."""
        return sum(count for moment, count in self.moments.items() if moment != BETWEEN)


BETWEEN = "between two publishes"
SETTLING = "lock taken, nothing written"
WRITING = "writing the release"
COPYING = "writing its Parquet copy and manifest"
MOVING = "moving files, not current yet"
NOTING = "current, not noted yet"


def kill_publishers(workspace: Workspace, kills: int, seed: int = 1, *, show: bool = False) -> FaultReport:
    """Kill so many publishers of one table of an empty workspace; the last release is verified at the end.

    Raises ReleaseError or AssertionError if the table itself was harmed.
    """
    started = time.perf_counter()
    publish_release(workspace, TABLE, seeded_content(0))
    context = fresh_processes()
    stop = context.Event()
    pipes = [context.Pipe() for _ in READERS]
    readers = [
        context.Process(target=read_until, args=(name, workspace.table_file(TABLE), stop, sender))
        for name, (_, sender) in zip(READERS, pipes, strict=True)
    ]
    for process in readers:
        process.start()
    for _, sender in pipes:
        sender.close()
    try:
        moments, recovered = _kill_one_after_the_other(workspace, context, kills, random.Random(seed), show)
    finally:
        stop.set()
    answers = [receiver.recv() for receiver, _ in pipes]
    for process in readers:
        process.join()
    highest = current_version(workspace, TABLE) or 0
    wrong = [line for _, lines, _ in answers for line in lines]
    wrong += [f"a reader saw version {last} of {highest}" for _, _, last in answers if last > highest]
    wrong += [f"{line.name}: {line.problem}" for line in verify_table(workspace, TABLE) if line.problem]
    return FaultReport(
        kills=kills,
        moments=dict(moments),
        published=highest,
        recovered=recovered,
        reads={name: right for name, (right, _, _) in zip(READERS, answers, strict=True)},
        wrong=wrong,
        seconds=time.perf_counter() - started,
    )


def fresh_processes() -> ForkServerContext:
    """Processes that start from a bare interpreter, with the imports of this module."""
    return fresh_context("benchmarks.faults")


def moment_of_death(workspace: Workspace, table: str) -> str:
    """How far the interrupted publish had come, judging by the files on the disk."""
    staging = staging_folder(workspace, table)
    current = current_version(workspace, table) or 0
    if read_ledger(workspace, table).highest_published < current:
        return NOTING
    versions = [int(file.stem[1:]) for file in workspace.releases_folder(table).glob("v0*.*")]
    if any(version > current for version in versions):
        return MOVING
    if not staging.exists():
        return BETWEEN
    written = {file.suffix for file in staging.iterdir()}
    if written & {".parquet", ".json"}:
        return COPYING
    return WRITING if written else SETTLING


def assert_whole(workspace: Workspace, table: str, versions: Sequence[int]) -> None:
    """The table's folder contains these complete releases and nothing else. Raises AssertionError."""
    expected = {f"v{version:06d}{suffix}" for version in versions for suffix in SUFFIXES}
    found = {file.name for file in workspace.releases_folder(table).iterdir()}
    assert found == expected | {".publish.lock", "versions.json"}, found ^ expected
    places = {file.name for file in workspace.tables_root.iterdir()}
    assert places == {table, f"{table}.duckdb", f"{table}.duckdb.wal"}, places


def _kill_one_after_the_other(
    workspace: Workspace, context: ForkServerContext, kills: int, chosen: random.Random, show: bool
) -> tuple[Counter[str], int]:
    """Kill publishers repeatedly; returns where the kills hit, and how often everything was intact afterwards."""
    moments: Counter[str] = Counter()
    highest, recovered = 1, 0
    publish_seconds = _recover(workspace, 0, highest)
    for kill in track(range(kills), description="killing publishers", disable=not show, transient=True):
        publisher = context.Process(target=_publish_forever, args=(workspace.root,))
        publisher.start()
        if kill % 2:
            time.sleep(chosen.uniform(0, LONGEST_LIFE_PUBLISHES * publish_seconds))
        else:
            _wait_for_copy(workspace)
            time.sleep(chosen.uniform(0, LAST_STEPS_PUBLISHES * publish_seconds))
        publisher.kill()
        publisher.join()
        moments[moment_of_death(workspace, TABLE)] += 1
        seen = current_version(workspace, TABLE) or 0
        assert seen >= highest, f"version {seen} after {highest}"
        highest = seen
        if kill % KILLS_BETWEEN_PUBLISHES == KILLS_BETWEEN_PUBLISHES - 1:
            publish_seconds = _recover(workspace, kill % SEEDS, highest)
            highest = current_version(workspace, TABLE) or 0
            recovered += 1
    return moments, recovered


def _wait_for_copy(workspace: Workspace) -> None:
    """Wait until a publisher has written its release and starts to change the table."""
    copy = staging_folder(workspace, TABLE) / "release.parquet"
    deadline = time.monotonic() + LONGEST_WAIT_SECONDS
    while not copy.exists():
        assert time.monotonic() < deadline, f"no publisher came to {copy} in {LONGEST_WAIT_SECONDS} seconds"
        time.sleep(0.0005)


def _recover(workspace: Workspace, seed: int, highest: int) -> float:
    """Publish once more; returns the seconds. Old releases are removed, so that the disk does not fill up."""
    started = time.perf_counter()
    release = publish_release(workspace, TABLE, seeded_content(seed))
    seconds = time.perf_counter() - started
    assert release.version > highest
    check_release_file(workspace.table_file(TABLE))
    prune(workspace, TABLE, keep=1)
    assert_whole(workspace, TABLE, [release.version])
    return seconds


def _publish_forever(root: Path) -> None:
    chosen = random.Random(os.getpid())
    while True:
        publish_release(Workspace(root), TABLE, seeded_content(chosen.randrange(SEEDS)))
