"""Metrics are computed in blocks: they need little memory compared with a large table."""

import json
import subprocess
import sys

import pytest


@pytest.mark.long
def test_no_measure_needs_two_gigabytes_for_a_million_words() -> None:
    """300,000 words, in a separate process; what is held per word may be 0.3 times as much as for a million."""
    command = [sys.executable, "-m", "benchmarks", "evaluation", "--words", "300000", "--dimension", "300"]
    found = subprocess.run(
        [*command, "--analogy-max-rank", "30000", "--json"], capture_output=True, text=True, timeout=600, check=True
    )
    costs = json.loads(found.stdout.splitlines()[-1])
    assert len(costs) == 5
    assert {cost["measure"]: cost["megabytes"] for cost in costs if cost["megabytes"] > 0.3 * 2000} == {}
