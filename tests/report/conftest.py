"""One browser and one release with its report for all browser tests."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from storage.layout import Workspace
from storage.releases.publishing import publish_release
from tasks.release_report import ReportConfig, make_report
from tests.report.browsing import MAP_WORDS, RECORD_LABELS, WORDS, open_report, watched
from tests.storage.sample_releases import content

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of 3,011 words, some of them hostile, with its report."""
    workspace = Workspace(tmp_path_factory.mktemp("workspace"))
    published = publish_release(workspace, "news", content(WORDS, dimension=64))
    make_report(published, ReportConfig(map_words=MAP_WORDS, map_method="pca"), workspace)
    return published.path


@pytest.fixture(scope="session")
def report(release: Path) -> str:
    return release.with_suffix(".report.html").as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here; `apt-get install chromium` brings one")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def trouble() -> list[str]:
    """What the page complained of, filled in by `page`."""
    return []


@pytest.fixture
def page(browser: Browser, report: str, trouble: list[str]) -> Iterator[Page]:
    """The report, just opened; whatever it complains of fails the test, as does any request that leaves the file."""
    context = browser.new_context(viewport={"width": 1300, "height": 900})
    context.add_init_script(RECORD_LABELS)
    opened = watched(context.new_page(), trouble)
    open_report(opened, report)
    yield opened
    context.close()
    assert trouble == []
