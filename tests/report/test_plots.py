"""Pictures are real PNG and SVG files that hold every word, whatever is in it, and come out the same twice."""

import io
import logging
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tasks.report.plots import Curve, PictureFormat, draw_curves, draw_map

HARD_WORDS = ["king", "queen", "</text><script>", "a & b", "$x^{2", "\x01control", "naïve", "\\frac"]
SVG = "{http://www.w3.org/2000/svg}"


def positions(rows: int) -> NDArray[np.float32]:
    return np.random.default_rng(1).uniform(-1, 1, size=(rows, 2)).astype(np.float32)


def drawn(words: list[str], form: PictureFormat) -> bytes:
    return draw_map(words, positions(len(words)), np.arange(len(words)), "a title with $ and <b>", form)


def texts(svg: bytes) -> set[str]:
    return {"".join(text.itertext()) for text in ET.fromstring(svg).iter(f"{SVG}text")}


def test_a_png_of_a_map_can_be_read_and_is_not_blank() -> None:
    image = Image.open(io.BytesIO(drawn(HARD_WORDS, "png")))
    assert image.format == "PNG"
    assert image.width > image.height > 400
    assert len(image.convert("RGB").getcolors(10**6) or []) > 50


def test_an_svg_holds_every_word_as_text() -> None:
    assert texts(drawn(HARD_WORDS, "svg")) == {*HARD_WORDS, "a title with $ and <b>"} - {"\x01control"} | {"�control"}


@pytest.mark.parametrize("form", ["png", "svg"])
def test_the_same_words_yield_the_same_bytes(form: PictureFormat) -> None:
    assert drawn(HARD_WORDS, form) == drawn(HARD_WORDS, form)


@pytest.mark.parametrize("words", [[], ["alone"]])
def test_no_word_and_one_word_can_be_drawn(words: list[str]) -> None:
    assert {*words} <= texts(drawn(words, "svg"))


def test_words_at_one_point_can_be_drawn() -> None:
    picture = draw_map(["a", "b"], np.zeros((2, 2), np.float32), np.zeros(2, np.int64), "same", "svg")
    assert {"a", "b"} <= texts(picture)


def test_letters_without_a_font_are_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        drawn(["\U00013000\U00013001 hieroglyphs"], "png")
    assert [record.getMessage() for record in caplog.records if "no font" in record.getMessage()]
    assert len(caplog.records) == 1


def test_learning_curves_have_a_panel_for_each_measure() -> None:
    curves = [
        Curve("training", "loss", [1, 2, 3], [0.7, 0.6, 0.5]),
        Curve("validation", "loss", [1, 2, 3], [0.7, 0.65, 0.62]),
        Curve("validation", "accuracy", [1, 2, 3], [0.6, 0.7, 0.75]),
    ]
    found = texts(draw_curves(curves, "reviews", "svg"))
    assert {"loss", "accuracy", "training", "validation", "epoch", "reviews"} <= found
    wide, narrow = (Image.open(io.BytesIO(draw_curves(some, "reviews"))) for some in (curves, curves[:2]))
    assert wide.width == 2 * narrow.width


@pytest.mark.parametrize("curves", [[], [Curve("training", "loss", [1, 2], [0.5])]])
def test_curves_that_cannot_be_drawn_are_refused(curves: list[Curve]) -> None:
    with pytest.raises(ValueError, match="learning curves"):
        draw_curves(curves, "nothing")


def test_a_map_without_a_place_for_each_word_is_refused() -> None:
    with pytest.raises(ValueError, match="3 words"):
        draw_map(["a", "b", "c"], positions(2), np.zeros(2, np.int64), "short")


def test_curves_of_many_panels_take_several_rows_and_name_their_axis() -> None:
    curves = [Curve("news", f"metric {number}", [1, 2], [0.1, 0.2]) for number in range(6)]
    picture = draw_curves(curves, "trend", "svg", "version")
    assert {f"metric {number}" for number in range(6)} | {"version"} <= texts(picture)
    width, height = (float(ET.fromstring(picture).attrib[side].removesuffix("pt")) for side in ("width", "height"))
    assert width / height < 4.8 * 6 / 3.6 / 2
