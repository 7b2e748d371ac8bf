"""`vecmill explore`: more words than a report holds, in a real browser."""

import json
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, expect
from typer.testing import CliRunner

from flows.cli.app import app
from storage.layout import Workspace
from storage.releases.publishing import publish_release
from tests.report.browsing import watched
from tests.storage.sample_releases import content

pytestmark = pytest.mark.long

WORDS = 22_000


def test_the_rarest_word_has_its_neighbours(browser: Browser, tmp_path: Path) -> None:
    sample = content(dimension=24, rows=WORDS)
    publish_release(Workspace(tmp_path), "many", sample)
    arguments = ["explore", "many", "--workspace", str(tmp_path), "--no-open", "--json", "--map-words", "500"]
    written = CliRunner().invoke(app, [*arguments, "--method", "pca"])
    assert written.exit_code == 0, written.output
    path = Path(json.loads(written.stdout.splitlines()[-1])["path"])
    assert path == tmp_path / "explorers" / "many.html"
    unit = sample.vectors / np.linalg.norm(sample.vectors, axis=1, keepdims=True)
    nearest = np.argsort(-(unit @ unit[-1]))[1:4]
    trouble: list[str] = []
    page = watched(browser.new_page(), trouble)
    page.goto(f"{path.as_uri()}#tab=neighbors&word=word{WORDS - 1}")
    expect(page.locator("#sql")).to_contain_text(f"word{WORDS - 1}")
    expect(page.locator("#neighbors li")).to_have_count(10)
    shown = page.locator("#neighbors li").all_inner_texts()
    assert {text.split()[0] for text in shown} >= {f"word{row}" for row in nearest}
    expect(page.locator("body")).to_contain_text("The 22,000 most frequent of 22,000 words")
    page.close()
    assert trouble == []


def test_the_number_of_words_and_the_file_can_be_chosen(tmp_path: Path) -> None:
    publish_release(Workspace(tmp_path), "many", content(rows=300))
    target = tmp_path / "some.html"
    arguments = ["explore", "many", "--workspace", str(tmp_path), "--no-open", "--words", "120", "--method", "pca"]
    written = CliRunner().invoke(app, [*arguments, "-o", str(target)])
    assert written.exit_code == 0, written.output
    assert "The 120 most frequent of 300 words" in target.read_text(encoding="utf-8")
    assert not (tmp_path / "explorers").exists()
