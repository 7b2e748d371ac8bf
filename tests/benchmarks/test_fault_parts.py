"""Builds are killed, crowded, and run on full, read-only and damaged disks: nothing published is lost."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.fault_builds import NO_REPORT, FaultRow, build_at_once, fill_disks, kill_builds, refuse_writes
from benchmarks.fault_commands import Ended, Stage
from benchmarks.fault_damages import damage_files
from benchmarks.faults import fresh_processes
from flows.deployments import build_parameters, find_deployment

FEW_PLACES = ("tokens", "models", "tables/news")


@pytest.mark.parametrize(
    ("code", "said", "wrong"),
    [
        (0, "published", None),
        (1, "error: the disk is full", None),
        (1, "", "exit code 1 without an error"),
        (1, "Traceback (most recent call last):\nKeyError", "a traceback: KeyError"),
        (-9, "", "exit code -9"),
    ],
)
def test_what_a_user_must_not_see_is_wrong(code: int, said: str, wrong: str | None) -> None:
    found = Ended(code, said).wrong()
    assert found is None if wrong is None else found is not None and found.startswith(wrong)


def test_the_settings_of_the_builds_exist(tmp_path: Path) -> None:
    stage = Stage(tmp_path, fresh_processes())
    stage.corpus.touch()
    arguments = stage.build_arguments(7, NO_REPORT)
    settings = [value for flag, value in pairwise(arguments) if flag == "--set"]
    parameters = build_parameters(find_deployment("adhoc"), settings)
    assert parameters.training.seed == 7
    assert not parameters.report.enabled


def assert_nothing_wrong(row: FaultRow, times: int) -> None:
    assert row.wrong == []
    assert row.times == sum(row.found.values()) == times


@pytest.mark.long
def test_killed_builds_leave_whole_releases() -> None:
    assert_nothing_wrong(kill_builds(6), 6)


@pytest.mark.long
def test_builds_at_once_take_turns() -> None:
    assert_nothing_wrong(build_at_once(3), 3)


@pytest.mark.long
@pytest.mark.parametrize("fault", [fill_disks, refuse_writes])
def test_a_disk_that_takes_nothing_is_named(fault: Callable[[tuple[str, ...]], FaultRow]) -> None:
    assert_nothing_wrong(fault(FEW_PLACES), len(FEW_PLACES))


@pytest.mark.long
@pytest.mark.parametrize("only", ["versions", "models/#/manifest"])
def test_damaged_files_are_reported_or_rebuilt(only: str) -> None:
    assert_nothing_wrong(damage_files(4, only=only), 4)
