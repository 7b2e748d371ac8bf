"""The page can be read: contrast in both themes, and tables that fit narrow screens. In a real browser."""

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tasks.report.content import ComparedWord
from tasks.report.page import render_report
from tests.report.browsing import RECORD_LABELS, drawn_labels, wait_until, watched
from tests.report.sample_content import report_content

pytestmark = pytest.mark.long

OPEN_ALL = "() => document.querySelectorAll('details').forEach((part) => { part.open = true; })"


@pytest.fixture(scope="module")
def full_report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A report with every table, long words and long settings among them."""
    sample = report_content()
    assert sample.changes
    long = ComparedWord("unbroken" * 30, 4321, 0.1, ["neighbour" * 20, *(f"word{n}" for n in range(10))], [])
    path = tmp_path_factory.mktemp("full") / "report.html"
    content = replace(
        sample,
        changes=replace(sample.changes, words=[long, *sample.changes.words]),
        settings=[*sample.settings, ("a.setting", "x" * 300)],
    )
    path.write_text(render_report(content), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def opened(browser: Browser, full_report: str, trouble: list[str]) -> Iterator[Page]:
    context = browser.new_context(reduced_motion="reduce")
    context.add_init_script(RECORD_LABELS)
    page = watched(context.new_page(), trouble)
    page.goto(full_report)
    page.evaluate(OPEN_ALL)
    yield page
    context.close()
    assert trouble == []


@pytest.mark.parametrize("width", [320, 360, 620, 768, 1024])
def test_no_table_is_cut_off(opened: Page, width: int) -> None:
    opened.set_viewport_size({"width": width, "height": 740})
    cut = opened.evaluate("""() => [...document.querySelectorAll("tbody th, tbody td")].filter((cell) => {
        const box = cell.getBoundingClientRect();
        return box.width > 0 && (box.left < 0 || box.right > innerWidth + 1 || cell.scrollWidth > cell.clientWidth + 1);
    }).map((cell) => cell.textContent.trim().slice(0, 40))""")
    assert cut == []
    assert opened.locator(".scroll").count() > 6
    assert opened.evaluate(
        "[...document.querySelectorAll('.scroll')].every((part) => part.scrollWidth <= part.clientWidth)"
    )


def test_each_value_of_a_narrow_table_has_the_heading_of_its_column(opened: Page) -> None:
    opened.set_viewport_size({"width": 360, "height": 740})
    headings = opened.evaluate("""() => [...document.querySelectorAll("table.stacked")].map((table) => [
        [...table.querySelectorAll("thead th")].slice(1).map((cell) => cell.textContent),
        [...table.querySelector("tbody tr").querySelectorAll("td:not(:empty)")].map(
            (cell) => getComputedStyle(cell, "::before").content.slice(1, -1)),
    ])""")
    assert len(headings) >= 6
    for columns, shown in headings:
        if columns:
            assert [name for name in shown if name] == columns


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1366])
def test_all_text_has_contrast_and_no_accessibility_rule_is_broken(opened: Page, theme: str, width: int) -> None:
    opened.set_viewport_size({"width": width, "height": 900})
    opened.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    # All that can be seen at one time or another: every tool, a message, words that are offered.
    opened.fill("#search", "zebra")
    opened.press("#search", "Enter")
    opened.evaluate("() => document.querySelectorAll('[role=tabpanel]').forEach((panel) => { panel.hidden = false; })")
    opened.fill("#search", "word1")
    found = Axe().run(opened).response["violations"]
    assert [(rule["id"], [node["target"] for node in rule["nodes"]][:3]) for rule in found] == []
    opened.fill("#search", "")
    placeholder = opened.evaluate("getComputedStyle(document.getElementById('search'), '::placeholder').color")
    paper = opened.evaluate("getComputedStyle(document.getElementById('search')).backgroundColor")
    assert _contrast(placeholder, paper) >= 4.5


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_labels_of_the_map_have_contrast(opened: Page, theme: str) -> None:
    opened.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    # The map is drawn in the new colours a moment after the page has them.
    wait_until(opened, lambda: labels_have_contrast(opened))


def labels_have_contrast(page: Page) -> bool:
    surface = page.evaluate("getComputedStyle(document.querySelector('.explorer')).backgroundColor")
    ratios = [_contrast(label["color"], surface, label["alpha"]) for label in drawn_labels(page)]
    return len(ratios) > 20 and min(ratios) >= 4.5


# The theme changes as soon as the map has read its colours for the first time, before it is drawn.
CHANGE_THEME_EARLY = """
    const read = window.getComputedStyle;
    window.getComputedStyle = function (element, ...rest) {
        if (element.localName === "i" && !window.changed) {
            window.changed = true;
            setTimeout(() => { for (const _ of ["light", "dark"]) document.getElementById("theme").click(); });
        }
        return read.call(this, element, ...rest);
    };
"""


def test_a_theme_chosen_while_the_page_starts_reaches_the_map(browser: Browser, full_report: str) -> None:
    context = browser.new_context(reduced_motion="reduce", color_scheme="light")
    context.add_init_script(RECORD_LABELS + CHANGE_THEME_EARLY)
    page = context.new_page()
    page.goto(full_report)
    wait_until(page, lambda: labels_have_contrast(page))
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    context.close()


def _contrast(text: str, background: str, alpha: float = 1.0) -> float:
    """Contrast ratio of two CSS colours as WCAG 2 defines it. alpha: of the text."""
    behind = _channels(background)
    front = [alpha * one + (1 - alpha) * other for one, other in zip(_channels(text), behind, strict=True)]
    high, low = sorted((_luminance(front), _luminance(behind)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _channels(color: str) -> list[float]:
    if color.startswith("#"):
        return [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    return [float(number) / 255 for number in re.findall(r"[\d.]+", color)[:3]]


def _luminance(channels: list[float]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
