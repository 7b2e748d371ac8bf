"""What the explorer answers for words that it lacks, and what it highlights, in a real browser."""

import itertools
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, CDPSession, Page, expect

from tasks.report.content import ReportContent, WordMap
from tasks.report.page import render_report
from tests.report.browsing import (
    RECORD_LABELS,
    WORDS,
    drawn_labels,
    open_report,
    phone_context,
    wait_until,
    wait_until_still,
    watched,
)
from tests.report.sample_content import report_content

pytestmark = pytest.mark.long

SIZES = [(1300, 900), (360, 740)]


def _ask(page: Page, field: str, word: str) -> None:
    page.fill(field, word)
    page.press(field, "Enter")


@pytest.mark.parametrize(
    ("tab", "field", "answers", "sql"),
    [
        ("neighbors", "#search", "#neighbors li, #more:visible", "from nearest('zebra')"),
        ("compare", "#search", "#similarity:visible, #neighbors li", "from nearest('zebra')"),
        ("analogy", "#analogy-b", "#analogy li", "from analogy('word0', 'zebra', 'word2')"),
        ("compare", "#compare-one", "#similarity:not(:empty), #similarity-text:not(:empty)", "similarity('zebra', "),
        ("compare", "#compare-other", "#similarity:not(:empty), #similarity-text:not(:empty)", ", 'zebra')"),
    ],
)
def test_no_answer_stays_below_an_unknown_word(page: Page, tab: str, field: str, answers: str, sql: str) -> None:
    page.click(f"#tab-{tab}")
    _ask(page, field, "zebra")
    expect(page.locator("#message")).to_contain_text("“zebra” is not among the 3,011 words")
    expect(page.locator(answers)).to_have_count(0)
    expect(page.locator("#sql")).to_contain_text(sql)
    _ask(page, field, "word7")
    expect(page.locator("#message")).to_be_hidden()
    expect(page.locator(answers)).not_to_have_count(0)
    expect(page.locator("#sql")).to_contain_text("'word7'")


@pytest.mark.parametrize(
    ("link", "named", "answers"),
    [
        ("tab=neighbors&word=zebra&k=25", "“zebra” is not", "#neighbors li"),
        ("tab=compare&one=zebra&other=word1", "“zebra” is not", "#similarity:not(:empty)"),
        ("tab=compare&one=zebra&other=<b>gnu</b>", "“zebra” and “<b>gnu</b>” are not", "#similarity:not(:empty)"),
        ("tab=analogy&a=word1&b=gnu&c=word3", "“gnu” is not", "#analogy li"),
    ],
)
def test_a_link_with_an_unknown_word_names_it_and_answers_nothing_else(
    browser: Browser, report: str, trouble: list[str], link: str, named: str, answers: str
) -> None:
    opened = watched(browser.new_page(), trouble)
    opened.goto(f"{report}#{link}")
    expect(opened.locator("#message")).to_contain_text(f"{named} among the 3,011 words")
    expect(opened.locator(answers)).to_have_count(0)
    expect(opened).to_have_url(re.compile("view=|c=word|c=gnu|b="))
    assert ("gnu" if "gnu" in link else "zebra") in opened.url  # the link stays what it was
    opened.close()
    assert trouble == []


def test_leaving_a_field_answers_for_what_it_says(page: Page) -> None:
    page.click("#tab-compare")
    _ask(page, "#compare-other", "word1")
    page.fill("#compare-one", "WORD5")
    page.press("#compare-one", "Tab")
    expect(page.locator("#sql")).to_have_text("select similarity('word5', 'word1')")
    page.fill("#compare-one", "zebra")
    page.press("#compare-one", "Tab")
    expect(page.locator("#similarity")).to_be_empty()
    page.fill("#compare-one", "")
    page.press("#compare-one", "Tab")
    expect(page.locator("#compare-one")).to_have_value("zebra")


def test_a_mistyped_word_is_offered_as_it_is_spelt(page: Page) -> None:
    _ask(page, "#search", "wrod77")
    expect(page.locator("#message button")).to_have_text(["word77", "word7", "word17"])
    page.locator("#message button").first.click()
    expect(page.locator("#word")).to_have_text("word77")


def _two_halves() -> ReportContent:
    """Words of two kinds, left and right on the map; of 400 the map has 200."""
    rng = np.random.default_rng(3)
    kinds = np.arange(400) % 2
    vectors = (rng.normal(size=(400, 20)) * 0.3).astype(np.float32)
    vectors[np.arange(400), kinds] += 2
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    positions = rng.uniform(-0.3, 0.3, (200, 2)).astype(np.float32)
    positions[:, 0] += np.where(kinds[:200] == 0, -0.7, 0.7)
    names = [f"{'left' if kind == 0 else 'right'}{row}" for row, kind in enumerate(kinds)]
    return replace(
        report_content(names, dimension=20),
        vectors=vectors,
        word_map=WordMap(positions, kinds[:200].astype(np.int64), "tsne"),
    )


# The page's timers wait until the test lets the next one run.
HOLD_TIMERS = """
    const later = window.setTimeout;
    window.waiting = [];
    window.setTimeout = (act, delay, ...rest) => (
        window.waiting && !delay ? window.waiting.push(act) : later(act, delay, ...rest)
    );
    window.runTimer = () => window.waiting.length > 0 && (window.waiting.shift()(), true);
    window.runAllTimers = () => { const all = window.waiting; window.waiting = null; all.forEach(later); };
"""


def test_what_is_done_while_the_page_starts_is_not_lost(browser: Browser, tmp_path: Path, trouble: list[str]) -> None:
    (tmp_path / "report.html").write_text(render_report(_two_halves()), encoding="utf-8")
    for steps in range(20):
        context = browser.new_context(viewport={"width": 1300, "height": 900})
        context.add_init_script(HOLD_TIMERS)
        opened = watched(context.new_page(), trouble)
        opened.goto((tmp_path / "report.html").as_uri())
        wait_until(opened, lambda opened=opened: bool(opened.evaluate("window.waiting.length")))  # type: ignore[misc]
        for _ in range(steps):
            opened.evaluate("window.runTimer()")
            opened.wait_for_timeout(20)
        started = opened.evaluate("document.documentElement.dataset.ready") == "true"
        _ask(opened, "#search", "right3")
        opened.press("#tab-compare", "ArrowRight")
        opened.locator("#tab-mark").dispatch_event("click")
        opened.evaluate("window.runAllTimers()")
        opened.fill("#mark-words", "left0, right1, missing")
        expect(opened.locator("#mark-text")).to_contain_text("2 of 3 words on the map.")
        opened.check("#mark-alone")
        expect(opened).to_have_url(re.compile("tab=mark&word=right3.*&alone=1"))
        context.close()
        if started:
            break
    assert started
    assert steps >= 5
    assert trouble == []


@pytest.mark.parametrize("size", SIZES)
def test_highlighted_words_are_counted_placed_labelled_and_in_view(
    browser: Browser, tmp_path: Path, trouble: list[str], size: tuple[int, int]
) -> None:
    (tmp_path / "report.html").write_text(render_report(_two_halves()), encoding="utf-8")
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, reduced_motion="reduce")
    context.add_init_script(RECORD_LABELS)
    opened = watched(context.new_page(), trouble)
    opened.goto((tmp_path / "report.html").as_uri())
    opened.click("#tab-mark")
    asked = [
        f"{side}{row}" for side, first in (("left", 0), ("right", 1)) for row in (*range(first, 20, 2), 398 + first)
    ]
    unknown = [f"missing{number}" for number in range(20)]
    opened.fill("#mark-words", ", ".join([*asked, *unknown, "missing3"]))
    expect(opened.locator("#mark-text")).to_have_text(
        "22 of 42 words on the map. Less frequent than the words on the map, so drawn next to their neighbours: "
        "left398, right399. "
        f"Not on this page: {', '.join(unknown)}."
    )
    # The view is fitted once the typing pauses.
    wait_until(opened, lambda: set(asked) <= {label["text"] for label in drawn_labels(opened)})
    wait_until_still(opened, lambda: drawn_labels(opened))
    width, height = opened.locator("#map").evaluate("map => [map.clientWidth, map.clientHeight]")
    drawn = {label["text"]: label for label in drawn_labels(opened)}
    assert set(asked) <= set(drawn)
    boxes = {}
    for word in asked:
        label = drawn[word]
        assert 0 <= label["x"] - label["width"] / 2 < label["x"] + label["width"] / 2 <= width, word
        assert 10 <= label["y"] <= height, word
        boxes[word] = label
    for one, other in itertools.combinations(boxes.values(), 2):
        apart = abs(one["x"] - other["x"]) >= (one["width"] + other["width"]) / 2 or abs(one["y"] - other["y"]) >= 11
        assert apart, (one["text"], other["text"])
    assert boxes["left398"]["x"] < width / 2 < boxes["right399"]["x"]
    context.close()
    assert trouble == []


def test_a_list_elsewhere_on_the_map_comes_into_view(page: Page) -> None:
    page.click("#tab-mark")
    for _ in range(4):
        page.click("#zoom-in")
    wait_until_still(page, lambda: drawn_labels(page))
    asked = ["word3", "word77", "word2500", "new york"]
    page.fill("#mark-words", ", ".join(asked))
    wait_until(page, lambda: set(asked) <= {label["text"] for label in drawn_labels(page)})


def test_the_words_of_an_analogy_are_all_on_the_map_with_their_labels(page: Page) -> None:
    page.click("#tab-analogy")
    for field, word in zip("abc", ("word1", "word2900", WORDS[2500]), strict=True):
        _ask(page, f"#analogy-{field}", word)
    expect(page.locator("#sql")).to_have_text(f"from analogy('word1', 'word2900', '{WORDS[2500]}')")
    answer = page.locator("#analogy .name").first.text_content()
    expected = {"word1", "word2900", WORDS[2500], answer}
    wait_until(page, lambda: expected <= {label["text"] for label in drawn_labels(page)})


def _drag(session: CDPSession, *paths: tuple[tuple[float, float], tuple[float, float]]) -> None:
    """Fingers that go down, move straight, each along its own path, and are lifted."""
    points: list[dict[str, float]] = []
    for step in range(11):
        points = [
            {"x": x + (to_x - x) * step / 10, "y": y + (to_y - y) * step / 10, "id": finger}
            for finger, ((x, y), (to_x, to_y)) in enumerate(paths)
        ]
        session.send("Input.dispatchTouchEvent", {"type": "touchMove" if step else "touchStart", "touchPoints": points})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_one_finger_scrolls_the_page_and_two_move_and_zoom_the_map(
    browser: Browser, report: str, trouble: list[str]
) -> None:
    context = phone_context(browser)
    phone = watched(context.new_page(), trouble)
    open_report(phone, report)
    phone.locator("#map").scroll_into_view_if_needed()
    session = context.new_cdp_session(phone)

    def middle() -> tuple[float, float]:
        box = phone.locator("#map").bounding_box()
        assert box
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    (x, y), before = middle(), phone.evaluate("scrollY")
    _drag(session, ((x, y + 150), (x, y - 50)))
    wait_until(phone, lambda: phone.evaluate("scrollY") > before + 100)
    assert "view=" not in phone.url
    # The page glides on.
    wait_until_still(phone, lambda: phone.evaluate("scrollY"))
    (x, y), before = middle(), phone.evaluate("scrollY")
    _drag(session, ((x - 30, y), (x - 90, y)), ((x + 30, y), (x + 90, y)))
    expect(phone).to_have_url(re.compile(r"view=3\.000%2C"))
    _drag(session, ((x - 40, y), (x - 40, y + 120)), ((x + 40, y), (x + 40, y + 120)))
    expect(phone).to_have_url(re.compile(r"view=3\.000%2C[^&]*%2C-"))
    assert phone.evaluate("scrollY") == before
    assert phone.evaluate("visualViewport.scale") == 1
    context.close()
    assert trouble == []
