"""The tools of the explorer beyond neighbours: axes, selections, what moved, history, copying. In a real browser."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from tasks.report.content import ComparedWord, EarlierVectors, ReportContent
from tasks.report.page import render_report
from tasks.report.regions import Region
from tests.report.browsing import RECORD_LABELS, drawn_labels, phone_context, wait_until, watched
from tests.report.sample_content import INJECTION, report_content

pytestmark = pytest.mark.long

NAMES = ["man", "king", "woman", "queen", "bad", "good", *(f"word{n}" for n in range(500)), INJECTION]


def _content() -> ReportContent:
    """A royal family with exact relations, a region, and one word that moved away from its neighbours."""
    sample = report_content(NAMES, dimension=16)
    assert sample.changes
    vectors = sample.vectors.copy()
    male, female, royal = np.eye(16, dtype=np.float32)[:3]
    vectors[:4] = [male, male + royal, female, female + royal]
    vectors[4], vectors[5] = -np.eye(16, dtype=np.float32)[5], np.eye(16, dtype=np.float32)[5]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    before = vectors.copy()
    before[10] = vectors[20]
    moved = ComparedWord("word4", 11, 0.2, ["word6", INJECTION], ["word14", "<b>gone</b>"])
    return replace(
        sample,
        vectors=vectors,
        changes=replace(sample.changes, words=[moved]),
        earlier=EarlierVectors(before),
        regions=[Region(0, 0.1, 0.1, [1, 3], list(range(6, 40))), Region(1, 0.4, -0.2, [2], list(range(8)))],
        examples=[1, 3],
    )


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("tools") / "report.html"
    path.write_text(render_report(_content()), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def opened(browser: Browser, address: str, trouble: list[str]) -> Page:
    context = browser.new_context(viewport={"width": 1366, "height": 768}, reduced_motion="reduce")
    context.add_init_script(RECORD_LABELS)
    page = watched(context.new_page(), trouble)
    page.goto(address)
    expect(page.locator("#neighbors li")).to_have_count(10)
    return page


def test_map_and_list_fit_a_small_laptop_and_regions_are_named(opened: Page, trouble: list[str]) -> None:
    opened.locator("nav a").first.click()
    box = opened.locator("#explorer").bounding_box()
    assert box
    assert box["y"] + box["height"] <= 768
    assert box["width"] > 1300
    assert "king · queen" in {label["text"] for label in drawn_labels(opened)}
    opened.click("#tab-mark")
    opened.locator("#regions button").first.click()
    expect(opened.locator("#mark-list .chip")).to_have_count(34)
    expect(opened.locator("#mark-alone")).to_be_checked()
    wait_until(opened, lambda: {label["text"] for label in drawn_labels(opened)} <= set(NAMES[6:40]))
    assert trouble == []


def test_an_axis_orders_the_words_and_is_swapped_and_shared(opened: Page, trouble: list[str]) -> None:
    vectors = _content().vectors
    opened.click("#tab-axis")
    expect(opened.locator("#sql")).to_have_text("from most_similar(['good'], ['bad'], max_rank := 50)")
    ordered = [NAMES[row] for row in np.argsort(-(vectors[:50] @ (vectors[5] - vectors[4]))) if row not in (4, 5)]
    shown = opened.locator("#axis-highest .name").all_text_contents()
    assert len(set(shown) & set(ordered[:8])) >= 7
    opened.click("#axis-turn")
    expect(opened.locator("#axis-low-name")).to_have_text("good")
    opened.fill("#axis-high", "man, king, nobody")
    opened.press("#axis-high", "Enter")
    expect(opened.locator("#message")).to_contain_text("“nobody” is not among")
    expect(opened.locator("#sql")).to_contain_text("['man', 'king'], ['good']")
    wait_until(opened, lambda: "high=man" in opened.url)
    xs = {label["text"]: label["x"] for label in drawn_labels(opened)}
    assert xs["good"] < 480 < xs["man"]
    assert trouble == []


def test_an_analogy_is_drawn_as_a_parallelogram(opened: Page, trouble: list[str]) -> None:
    opened.click("#tab-analogy")
    expect(opened.locator("#analogy .name").first).to_have_text("queen")
    expect(opened.locator("#parallelogram text")).to_have_text(["man", "king", "woman", "queen"])
    corners = opened.evaluate("""() => ["ideal", "answer"].map((name) => {
        const corner = document.querySelector(`#parallelogram .${name}`);
        return [corner.cx.baseVal.value, corner.cy.baseVal.value];
    })""")
    assert np.abs(np.subtract(*corners)).max() < 45
    assert trouble == []


def test_what_moved_shows_the_neighbors_lost_and_won_as_text(opened: Page, trouble: list[str]) -> None:
    opened.click("#tab-drift")
    expect(opened.locator("#drift-word")).to_have_text("word4")
    expect(opened.locator("#drift-lost .chip")).to_have_text(["word14", "<b>gone</b>"])
    expect(opened.locator("#drift-won .chip")).to_have_text(["word6", f"{INJECTION[:27]}…"])
    assert opened.locator("img, .chips b").count() == 0
    expect(opened.locator("#drift .number")).to_have_text("20 %")
    opened.select_option("#color-by", "drift")
    expect(opened).to_have_url(re.compile("color=drift"))
    opened.locator("#drift-lost button").click()
    expect(opened.locator("#word")).to_have_text("word14")
    assert trouble == []


def test_a_dragged_rectangle_selects_and_lists_words(opened: Page, trouble: list[str]) -> None:
    box = opened.locator("#map").bounding_box()
    assert box
    opened.keyboard.down("Shift")
    opened.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.3)
    opened.mouse.down()
    opened.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.7, steps=4)
    opened.mouse.up()
    opened.keyboard.up("Shift")
    expect(opened.locator("#tab-mark")).to_have_attribute("aria-selected", "true")
    selected = opened.locator("#mark-list .chip").all_text_contents()
    assert 5 < len(selected) < 300
    wait_until(opened, lambda: {label["text"] for label in drawn_labels(opened)} <= set(selected))
    opened.click("#mark-clear")
    expect(opened.locator("#mark-list .chip")).to_have_count(0)
    assert trouble == []


def test_back_returns_to_the_word_before_and_enter_takes_the_suggestion(opened: Page, trouble: list[str]) -> None:
    first = opened.locator("#word").text_content()
    opened.fill("#search", "kin")
    opened.press("#search", "Enter")
    expect(opened.locator("#word")).to_have_text("king")
    opened.click("#tab-axis")
    opened.go_back()
    expect(opened.locator("#tab-neighbors")).to_have_attribute("aria-selected", "true")
    opened.go_back()
    expect(opened.locator("#word")).to_have_text(first or "")
    opened.go_forward()
    expect(opened.locator("#word")).to_have_text("king")
    assert trouble == []


def test_the_query_and_the_neighbors_can_be_copied(browser: Browser, address: str, trouble: list[str]) -> None:
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = watched(context.new_page(), trouble)
    page.goto(f"{address}#tab=neighbors&word=king")
    page.click("#copy-sql")
    expect(page.locator("#copy-sql")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "from nearest('king')"
    page.click("#copy-neighbors")
    expect(page.locator("#copy-neighbors")).to_have_text("Copied")
    assert len(page.evaluate("navigator.clipboard.readText()").splitlines()) == 10
    context.close()
    assert trouble == []


def test_a_phone_shows_map_and_list_at_once(browser: Browser, address: str, trouble: list[str]) -> None:
    context = phone_context(browser, 390)
    phone = watched(context.new_page(), trouble)
    phone.goto(address)
    expect(phone.locator("#neighbors li")).to_have_count(10)
    phone.evaluate("document.getElementById('explore').scrollIntoView()")
    boxes = [phone.locator(part).bounding_box() for part in ("#map", "#neighbors li >> nth=0")]
    assert all(box and box["y"] >= 0 and box["y"] + box["height"] <= 740 for box in boxes)
    context.close()
    assert trouble == []


def test_without_a_script_and_on_paper_there_is_a_map(browser: Browser, address: str, tmp_path: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    still = context.new_page()
    still.goto(address)
    expect(still.locator(".still svg")).to_be_visible()
    expect(still.locator(".still th").first).to_have_text("king")
    expect(still.locator("#explorer")).to_be_hidden()
    context.close()
    printed = browser.new_page()
    printed.goto(address)
    printed.emulate_media(media="print")
    expect(printed.locator(".still svg")).to_be_visible()
    expect(printed.locator("#explorer")).to_be_hidden()
    printed.close()
