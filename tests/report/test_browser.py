"""The report in a real browser: what a person types, clicks and reads, compared with SQL.

Needs a Chromium of the system, such as Debian's package `chromium`; skipped with the reason where there is none.
"""

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tasks.report.content import ReportContent
from tasks.report.page import render_report
from tests.report.browsing import WORDS, open_report, phone_context, wait_until, watched
from tests.report.sample_content import INJECTION, report_content

pytestmark = pytest.mark.long

LOOKED_UP = 120


def _look_up(page: Page, word: str) -> list[str]:
    page.fill("#search", word)
    page.press("#search", "Enter")
    expect(page.locator("#word")).to_have_text(word, use_inner_text=False)
    return page.locator("#neighbors .name").all_text_contents()


def _nearest(release: Path, words: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    with duckdb.connect(str(release), read_only=True) as connection:
        for query, word in connection.execute(
            "SELECT query, word FROM nearest_many(?, k := 10, max_rank := 20000)", [words]
        ).fetchall():
            found.setdefault(query, []).append(word)
    return found


def test_typing_offers_words_and_the_keyboard_takes_one(page: Page) -> None:
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.fill("#search", "")
    page.keyboard.type("word12")
    offered = page.locator("#search-options li")
    expect(offered).to_have_count(8)
    assert offered.first.text_content() == "word1213"  # word12 and its rank
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#search")).to_have_attribute("aria-activedescendant", "search-options-1")
    page.keyboard.press("Enter")
    expect(page.locator("#word")).to_have_text("word120")
    expect(offered.first).to_be_hidden()


def test_neighbors_agree_with_sql(page: Page, release: Path) -> None:
    words = [
        WORDS[rank]
        for rank in np.random.default_rng(2).permutation(len(WORDS))[:LOOKED_UP]
        if WORDS[rank].startswith("word")
    ]
    assert len(words) > 100
    expected = _nearest(release, words)
    # Without a GPU, a flight over the map for each word would take a minute and a half.
    page.emulate_media(reduced_motion="reduce")
    shared = [len(set(_look_up(page, word)) & set(expected[word])) for word in words]
    assert np.mean(shared) / 10 >= 0.95


def test_an_unknown_word_is_said_to_be_unknown(page: Page) -> None:
    page.fill("#search", "<b>zebra</b>")
    page.press("#search", "Enter")
    expect(page.locator("#message")).to_contain_text("“<b>zebra</b>” is not among the 3,011 words")
    assert page.locator("#message b").count() == 0


def test_analogies_and_similarities_agree_with_sql(page: Page, release: Path) -> None:
    with duckdb.connect(str(release), read_only=True) as connection:
        answers = [
            w for (w,) in connection.sql("SELECT word FROM analogy('word1', 'word2', 'word3', k := 10)").fetchall()
        ]
        ((cosine,),) = connection.sql("SELECT similarity('word1', 'word2')").fetchall()
    page.click("#tab-analogy")
    for field, word in zip("abc", ("word1", "word2", "word3"), strict=True):
        page.fill(f"#analogy-{field}", word)
        page.press(f"#analogy-{field}", "Enter")
    expect(page.locator("#sql")).to_have_text("from analogy('word1', 'word2', 'word3')")
    shown = page.locator("#analogy .name").all_text_contents()
    assert shown[0] == answers[0]
    assert len(set(shown) & set(answers)) >= 9
    page.click("#tab-compare")
    for field, word in (("one", "word1"), ("other", "word2")):
        page.fill(f"#compare-{field}", word)
        page.press(f"#compare-{field}", "Enter")
    assert float(page.locator("#similarity").text_content() or "") == pytest.approx(cosine, abs=0.005)


@pytest.mark.parametrize("word", [INJECTION, "<!--<script>", "{{ 7*7 }}", "${alert(1)}", "'\"`", "a&lt;b"])
def test_a_hostile_word_is_shown_as_text(page: Page, release: Path, word: str) -> None:
    neighbors = _look_up(page, word)
    assert len(set(neighbors) & set(_nearest(release, [word])[word])) >= 9
    assert page.locator("#search-options img, #neighbors img, #word img, body > img").count() == 0
    assert page.locator("img").count() == 0


def test_a_hostile_word_can_be_chosen_from_what_is_offered(page: Page) -> None:
    page.fill("#search", "</scr")
    page.locator("#search-options li").first.click()
    expect(page.locator("#word")).to_have_text(INJECTION)


def test_a_link_brings_the_whole_state_back(page: Page, browser: Browser, report: str, trouble: list[str]) -> None:
    page.click("#tab-mark")
    page.fill("#mark-words", f"word3, new york\n{INJECTION}\nnothing")
    expect(page.locator("#mark-text")).to_have_text("3 of 4 words on the map. Not on this page: nothing.")
    page.click("#tab-compare")
    page.fill("#compare-one", "it's")
    page.press("#compare-one", "Enter")
    page.click("#tab-neighbors")
    _look_up(page, INJECTION)
    page.click("#more")
    page.click("#zoom-in")
    expect(page).to_have_url(re.compile(r"k=25.*view="))
    other = watched(browser.new_page(viewport={"width": 800, "height": 1000}), trouble)
    other.goto(page.url)
    expect(other.locator("#neighbors li")).to_have_count(25)
    expect(other.locator("#word")).to_have_text(INJECTION)
    other.click("#tab-mark")
    expect(other.locator("#mark-words")).to_have_value(f"word3, new york\n{INJECTION}\nnothing")
    other.click("#tab-compare")
    expect(other.locator("#compare-one")).to_have_value("it's")
    expect(other.locator("#sql")).to_contain_text("similarity('it''s'")
    other.close()


@pytest.mark.parametrize(
    "ending", ["#tab=wrong&word=nobody&k=9&view=a,b", "#tab=analogy&a=&view=1e9,NaN,0", "#%%%", "#=&=&tab="]
)
def test_a_damaged_link_still_opens(browser: Browser, report: str, trouble: list[str], ending: str) -> None:
    opened = watched(browser.new_page(), trouble)
    opened.goto(report + ending)
    expect(opened.locator("#sql")).not_to_be_empty()
    opened.close()
    assert trouble == []


def _crowded() -> ReportContent:
    """Vectors so near each other that a page takes 16 bits for each number."""
    sample = report_content(rows=2000, dimension=50)
    vectors = 1 + 0.2 * sample.vectors
    return replace(sample, vectors=vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


@pytest.mark.parametrize(
    ("content", "neighbors"),
    [
        (report_content(["only"], changes=None, training=[], measures=[], verdicts=[]), 0),
        (report_content(["x" * 10_000, "ü" * 10_000, "w x", "\t", "''"]), 4),
        (_crowded(), 10),
    ],
    ids=["one word", "words of 10 kB", "16 bits"],
)
def test_an_unusual_release_opens_and_answers(
    browser: Browser, tmp_path: Path, trouble: list[str], content: ReportContent, neighbors: int
) -> None:
    (tmp_path / "report.html").write_text(render_report(content), encoding="utf-8")
    opened = watched(browser.new_page(), trouble)
    opened.goto((tmp_path / "report.html").as_uri())
    expect(opened.locator("#sql")).to_contain_text("nearest(")
    shown = opened.locator("#neighbors .name").all_text_contents()
    first = (opened.locator("#word").text_content() or "", *shown)
    order = np.argsort(-(content.vectors @ content.vectors[content.words.index(first[0])]), kind="stable")
    expected = [content.words[row] for row in order[1 : neighbors + 1]]
    assert len(shown) == neighbors
    assert len(set(shown) & set(expected)) >= 0.9 * neighbors
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
    opened.close()
    assert trouble == []


def _dark_share(page: Page) -> float:
    """Share of dark points in a picture of the map."""
    pixels: NDArray[np.uint8] = np.asarray(Image.open(io.BytesIO(page.locator("#map").screenshot())).convert("L"))
    return float((pixels < 80).mean())


def test_the_page_is_light_or_dark_as_the_system_or_the_button_says(page: Page) -> None:
    wait_until(page, lambda: _dark_share(page) < 0.2)
    page.emulate_media(color_scheme="dark")
    wait_until(page, lambda: _dark_share(page) > 0.6)
    page.click("#theme")
    expect(page.locator("#theme")).to_have_accessible_name("Theme: light")
    wait_until(page, lambda: _dark_share(page) < 0.2)


def test_clicking_a_point_of_the_map_shows_its_neighbors(page: Page) -> None:
    _look_up(page, "word0")
    page.click("#tab-neighbors")
    page.click("#zoom-all")
    clicked: Any = page.evaluate("""() => {
        const data = JSON.parse(document.getElementById("report-data").textContent);
        return data.words.slice(0, data.groups.length);
    }""")
    box = page.locator("#map").bounding_box()
    assert box
    before = page.locator("#word").text_content()
    for x in range(30, int(box["width"]), 40):
        page.mouse.click(box["x"] + x, box["y"] + box["height"] / 2)
        if page.locator("#word").text_content() != before:
            break
    assert page.locator("#word").text_content() in clicked
    assert page.locator("#word").text_content() != before


def test_the_map_is_moved_by_keys_and_the_wheel_only_when_it_has_the_focus(page: Page) -> None:
    page.locator("#map").hover()
    page.mouse.wheel(0, 300)
    wait_until(page, lambda: page.evaluate("scrollY") > 0)
    assert "view=" not in page.url
    page.locator("#map").focus()
    page.keyboard.press("+")
    expect(page).to_have_url(re.compile("view="))
    page.keyboard.press("0")
    expect(page).not_to_have_url(re.compile("view="))


def test_a_phone_has_no_sideways_scrolling_and_both_tools_and_map(
    browser: Browser, report: str, trouble: list[str]
) -> None:
    context = phone_context(browser)
    phone = watched(context.new_page(), trouble)
    open_report(phone, report)
    assert phone.evaluate("document.documentElement.scrollWidth") <= 360
    assert phone.locator("#map").evaluate("map => map.clientHeight") > 300
    phone.locator("#tab-mark").tap()
    expect(phone.locator("#mark-words")).to_be_visible()
    context.close()
    assert trouble == []
