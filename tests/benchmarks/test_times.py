"""The table of times: whole processes are measured, and ratios compare medians."""

import os
import sys
from pathlib import Path

import pytest

from benchmarks.times import Cost, Line, _timed, page


def test_a_process_is_timed_with_its_processor_time_and_memory(tmp_path: Path) -> None:
    command = [sys.executable, "-S", "-c", "held = bytearray(50_000_000)"]
    held = bytearray(200_000_000)
    usage = _timed(command, dict(os.environ), tmp_path)
    assert len(held) > usage.memory > 50_000_000
    assert usage.wall > 0
    assert usage.processor > 0


def test_an_unexpected_end_is_an_error_with_its_output(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"ended with 3:\nwrong"):
        _timed([sys.executable, "-c", "print('wrong'); raise SystemExit(3)"], dict(os.environ), tmp_path)


def test_ratios_are_those_of_the_medians() -> None:
    now = Cost([1.0, 2.0, 9.0], [1.0, 1.0, 1.0], [100_000_000] * 3)
    before = Cost([4.0, 4.0, 4.0], [2.0, 2.0, 2.0], [400_000_000] * 3)
    text = page([Line("nearest", now, before, before), Line("list", now, None)], "a day, a machine")
    assert "a day, a machine." in text
    assert "| nearest | 2.00 | 1.00 | 100 | 0.50 | 0.50 | 0.25 | 4.00 s |" in text
    assert "| list | 2.00 | 1.00 | 100 |  |  |  |  |" in text
