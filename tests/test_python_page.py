"""The code of docs/python.md runs as one program, on a small table."""

import os
import re
import subprocess
import sys
from pathlib import Path

from storage.layout import CACHE_VARIABLE, Workspace
from storage.releases.publishing import publish_release
from tests.storage.sample_releases import content

PAGE = (Path(__file__).resolve().parent.parent / "docs/python.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
WORDS = ["a", "the", "film", "movie", "good", "bad", "terrible", "awful", "man", "king", "woman", "queen", "dull", "of"]


def test_every_block_of_the_page_runs(tmp_path: Path) -> None:
    assert len(BLOCKS) == PAGE.count("```python")
    words = [
        *WORDS,
        "wonderful",
        "an",
        "fun",
        "funny",
        "boring",
        "i",
        "it",
        *(f"word{number}" for number in range(100)),
    ]
    publish_release(Workspace(tmp_path / "workspace"), "movie-reviews", content(words, dimension=20))
    environment = os.environ | {CACHE_VARIABLE: str(tmp_path / "cache")}
    ended = subprocess.run(
        [sys.executable, "-c", "\n".join(BLOCKS)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert "<vecmill table 'movie-reviews', version 1: 121 words x 20>" in ended.stdout
    assert "'movie-reviews' has no word 'terible'; did you mean terrible?" in ended.stdout
