"""Opens reports in a Chromium of the system, and records what it draws on the map."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, Request, expect

from tests.report.sample_content import HOSTILE_WORDS

# Every wait ends as soon as its condition holds; this is how long a machine busy with other tests may take.
PATIENCE_MILLISECONDS = 60_000
LOOK_MILLISECONDS = 50
STILL_LOOKS = 20
expect.set_options(timeout=PATIENCE_MILLISECONDS)

WORDS = [*(f"word{n}" for n in range(20)), *HOSTILE_WORDS, "new york", "it's", *(f"word{n}" for n in range(20, 3000))]
MAP_WORDS = 400

# Keeps the labels of the last picture; a picture starts with an empty canvas.
RECORD_LABELS = """
    window.drawnLabels = [];
    const canvas = CanvasRenderingContext2D.prototype;
    const { clearRect, fillText } = canvas;
    canvas.clearRect = function (...box) { window.drawnLabels = []; clearRect.apply(this, box); };
    canvas.fillText = function (text, x, y) {
        window.drawnLabels.push({ text, x, y, width: this.measureText(text).width, color: this.fillStyle, alpha: this.globalAlpha });
        fillText.call(this, text, x, y);
    };
"""  # noqa: E501


def watched(page: Page, trouble: list[str]) -> Page:
    """The page, with its complaints and any request that leaves the file added to `trouble`."""
    page.set_default_timeout(PATIENCE_MILLISECONDS)

    def dismiss(dialog: Dialog) -> None:
        trouble.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def check(request: Request) -> None:
        if not request.url.startswith(("file:", "data:")):
            trouble.append(f"request: {request.url[:200]}")

    def complain(message: ConsoleMessage) -> None:
        # A software renderer says that taking a screenshot is slow.
        if "GL Driver Message" not in message.text:
            trouble.append(f"{message.type}: {message.text}")

    page.on("console", complain)
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("dialog", dismiss)
    page.on("request", check)
    return page


def open_report(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.locator("#neighbors li")).to_have_count(10)


def phone_context(browser: Browser, width: int = 360) -> BrowserContext:
    return browser.new_context(viewport={"width": width, "height": 740}, is_mobile=True, has_touch=True)


def drawn_labels(page: Page) -> list[dict[str, Any]]:
    """Labels of the map as drawn last: text, x and y of the middle of its base line, width, color, alpha."""
    labels: list[dict[str, Any]] = page.evaluate("window.drawnLabels")
    return labels


def wait_until(page: Page, holds: Callable[[], bool]) -> None:
    """Playwright's own wait needs `eval`, which the page's policy forbids."""
    for _ in range(PATIENCE_MILLISECONDS // LOOK_MILLISECONDS):
        if holds():
            return
        page.wait_for_timeout(LOOK_MILLISECONDS)
    pytest.fail("the page did not get there")


def wait_until_still(page: Page, look: Callable[[], object]) -> None:
    """Until what is looked at has stayed the same for a second."""
    seen: list[object] = []

    def is_still() -> bool:
        seen.append(look())
        return len(seen) > STILL_LOOKS and all(value == seen[-1] for value in seen[-STILL_LOOKS:])

    wait_until(page, is_still)
