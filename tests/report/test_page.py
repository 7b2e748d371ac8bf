"""The page is one file that loads nothing, keeps within its size, and shows every text as text."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.report import page
from tasks.report.content import Measure
from tasks.report.page import json_block, render_report
from tests.report.sample_content import HOSTILE_WORDS, INJECTION, report_content


class Elements(HTMLParser):
    """Every element of a page with its attributes, and the text inside each kind of element."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        self.texts.append((self._open[-1] if self._open else "", data))

    def all_text(self) -> str:
        return "".join(data for tag, data in self.texts if tag not in ("script", "style"))


def data_of(html: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="report-data">(.*?)</script>', html, re.DOTALL)
    assert found
    data: dict[str, object] = json.loads(found[1])
    return data


def test_a_word_that_looks_like_a_script_is_text() -> None:
    html = render_report(report_content())
    parsed = Elements(html)
    assert "img" not in {tag for tag, _ in parsed.elements}
    assert sum(tag == "script" for tag, _ in parsed.elements) == 4
    assert not [name for _, attributes in parsed.elements for name in attributes if name.startswith("on")]
    assert INJECTION in parsed.all_text()
    words = data_of(html)["words"]
    assert isinstance(words, list)
    assert words[: len(HOSTILE_WORDS)] == HOSTILE_WORDS


@settings(max_examples=60)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=5))
def test_any_text_survives_a_json_block_and_cannot_end_it(words: list[str]) -> None:
    block = json_block(words)
    assert not set("<>&\u2028\u2029") & set(block)
    assert json.loads(block) == words


def test_the_policy_names_the_scripts_and_the_style_that_are_there_and_nothing_else() -> None:
    html = render_report(report_content())
    (content,) = (a["content"] for t, a in Elements(html).elements if t == "meta" and "http-equiv" in a)
    policy = dict(re.findall(r"([a-z-]+) ([^;]+)", content or ""))
    assert policy["default-src"] == "'none'"
    for directive, pattern in (("script-src", r"<script>(.*?)</script>"), ("style-src", r"<style>(.*?)</style>")):
        digests = [hashlib.sha256(text.encode()).digest() for text in re.findall(pattern, html, re.DOTALL)]
        assert policy[directive] == " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    assert not re.search(r"""(?:src|href)=["'](?!#|data:)""", re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL))
    assert 'style="' not in re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL)


def test_the_vectors_come_back_from_the_page() -> None:
    content = report_content()
    html = render_report(content)
    found = re.search(r'<script type="application/octet-stream" id="report-vectors">(.*?)</script>', html)
    assert found
    kind = np.int8 if data_of(html)["bits"] == 8 else np.int16
    stored = np.frombuffer(base64.b64decode(found[1]), dtype=kind).reshape(-1, content.dimension).astype(np.float32)
    stored /= np.linalg.norm(stored, axis=1, keepdims=True)
    np.testing.assert_allclose(stored, content.vectors, atol=0.01)


def test_a_page_has_verdicts_measures_charts_changes_and_where_it_comes_from() -> None:
    html = render_report(report_content())
    text = Elements(html).all_text()
    for shown in (
        "news", "Version 2", "WordSim-353", "0.4000 to 0.6000", "at least 0.3", "too low", "+0.0500",
        "90.0 %", "318 of 353", "Words compared with glove </script>", "Neighbours there",
        "adjective to adverb", "Since version 1", "75.0 %", "training.epochs", "Mean loss", "public domain",
        "Published although 1 of 2 gates refused it",
    ):  # fmt: skip
        assert shown in text, shown
    assert html.count('<svg class="chart"') == 2
    assert html.count('<svg class="spark"') == 1


@pytest.mark.parametrize(
    ("metric", "value", "low", "high", "previous", "change"),
    [
        ("wordsim353", 0.5, 0.4, 0.6, 0.45, "same"),
        ("wordsim353", 0.5, 0.4, 0.6, 0.4, "same"),
        ("wordsim353", 0.5, 0.4, 0.6, 0.39, "up"),
        ("wordsim353", 0.5, 0.4, 0.6, 0.61, "down"),
        ("wordsim353", 0.5, 0.4, 0.6, None, None),
        ("my_gold", 0.5, None, None, 0.1, "same"),
        ("neighbor_overlap_random", 0.5, 0.4, 0.6, 0.1, "same"),
    ],
)
def test_only_a_difference_beyond_the_interval_is_a_gain_or_a_loss(
    metric: str, value: float, low: float | None, high: float | None, previous: float | None, change: str | None
) -> None:
    measure = Measure(metric, value, low=low, high=high, previous=previous)
    elements = Elements(render_report(report_content(measures=[measure]))).elements
    classes = [attributes["class"] for tag, attributes in elements if tag == "small" and "class" in attributes]
    assert classes == ([] if change is None else [change])


def test_a_candidate_says_that_it_was_refused() -> None:
    text = Elements(render_report(report_content(version=None, refused=True))).all_text()
    assert "Refused by 1 of 2 gates, kept as a candidate" in text
    assert "Candidate" in text


def test_a_bare_release_has_a_page_too() -> None:
    bare = report_content(
        ["only"], corpus="", training=[], measures=[], verdicts=[], settings=[], facts={}, figures=[], history=[],
        changes=None,
    )  # fmt: skip
    text = Elements(render_report(bare)).all_text()
    assert "No gates were set" in text
    assert "Since" not in text


@pytest.mark.parametrize(("dimension", "rows", "whole"), [(128, 20_000, True), (300, 20_000, False)])
def test_a_page_stays_under_8_mb_and_says_how_many_words_it_has(dimension: int, rows: int, whole: bool) -> None:
    html = render_report(report_content([f"word-number-{n}" for n in range(rows)], dimension=dimension))
    assert len(html.encode()) < 8_000_000
    words = data_of(html)["words"]
    assert isinstance(words, list)
    assert (len(words) == rows) == whole
    assert f"The {len(words):,} most frequent of {rows:,} words" in Elements(html).all_text()
    assert len(words) > 10_000


def test_a_smaller_page_has_fewer_words_on_its_map_too() -> None:
    html = render_report(report_content(rows=60), max_explorer_bytes=1_000)
    data = data_of(html)
    assert isinstance(data["words"], list)
    assert isinstance(data["groups"], list)
    assert 0 < len(data["words"]) == len(data["groups"]) < 50


def test_every_library_is_the_one_that_its_readme_names() -> None:
    vendor = Path(page.__file__).parent / "vendor"
    listed = dict(
        re.findall(r"^\| `([^`]+)` \|.*\| `([0-9a-f]{64})` \|$", (vendor / "README.md").read_text(), re.MULTILINE)
    )
    assert listed == {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in vendor.glob("*.js")}
    assert len(listed) == len(page.LIBRARIES)


def test_the_licences_of_the_libraries_are_in_the_page() -> None:
    text = Elements(render_report(report_content())).all_text()
    assert "Permission to use, copy, modify, and/or distribute this software" in text
    assert "Copyright 2001 Robert Penner" in text
