"""The first section of docs/operations.md is followed to the letter, on a real server with a real worker."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.flows.server_stack import ServerStack, wait_for

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
DEPLOYMENT = "build-word-vectors/movie-reviews"


def blocks() -> list[str]:
    """The commands of the section, block by block."""
    (section,) = re.findall(r"^## From nothing to .*?$(.*?)^## ", PAGE, re.MULTILINE | re.DOTALL)
    return re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def follow(commands: str, stack: ServerStack) -> str:
    """Run a block in a fresh shell; the tests' server has another port and workspace."""
    typed = subprocess.run(
        ["bash", "-euc", commands.replace("4200", str(stack.port))], cwd=ROOT, env=stack.environment,
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert typed.returncode == 0, typed.stdout + typed.stderr
    return typed.stdout


def schedules(stack: ServerStack) -> list[str | float]:
    """When the deployment is due: cron lines and seconds."""
    found = [schedule["schedule"] for schedule in stack.ask(f"deployments/name/{DEPLOYMENT}")["schedules"]]
    return sorted((schedule.get("cron") or schedule["interval"] for schedule in found), key=str)


def test_the_page_leads_to_a_scheduled_release_by_server_and_worker(stack: ServerStack) -> None:
    start, schedule, look, back = blocks()
    # The stack is what the last line starts.
    install, last = start.rsplit("vecmill up\n", 1)
    assert not last
    follow(install, stack)
    assert schedules(stack) == ["0 3 * * 1"]
    follow(schedule, stack)
    assert schedules(stack) == ["0 3 * * 1", 60]
    try:
        table = stack.workspace / "tables" / "movie-reviews.duckdb"
        wait_for("scheduled release", table.exists)
        seen = follow(look, stack)
    finally:
        follow(back, stack)
    assert "published" in seen or "started" in seen
    assert "1 *" in seen
    assert "horrible" in seen
    assert schedules(stack) == ["0 3 * * 1"]
