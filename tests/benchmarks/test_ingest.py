"""The benchmark of reading on a small text."""

from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.__main__ import app
from benchmarks.ingest import STAGES, read_with_peer, read_with_vecmill, write_grown, write_speeds
from benchmarks.ingest_peers import PEERS

TEXT = '<doc id="1" title="A">\nThe cat\'s winter and the dog\n</doc>\n' * 50


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_every_stage_is_measured(text: Path) -> None:
    readings = [read_with_vecmill("unicode_words", text), read_with_peer("Polars", text)]
    assert (readings[0].tokens, readings[0].words) == (300, 5)
    assert list(readings[0].seconds) == list(STAGES)
    assert (readings[1].tokens, readings[1].words) == (300, 5)
    page = write_speeds("news", 1, readings).splitlines()
    assert sum(line.startswith("| unicode_words | ") for line in page) == 1


def test_sizes_are_measured_without_the_speeds_and_keep_them(text: Path, tmp_path: Path) -> None:
    page = tmp_path / "ingest.md"
    page.write_text("# Reading a corpus\n\nspeeds\n\n## Memory by size\n\nold\n")
    arguments = ["ingest", "--corpus", str(text), "--output", str(tmp_path), "--repeat", "0", "--gigabytes", "0.000001"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    written = page.read_text()
    assert written.startswith("# Reading a corpus\n\nspeeds\n\n## Memory by size\n\n`unicode_words` on ")
    assert "old" not in written
    assert written.endswith("| 0.0 | 5 |\n")


def test_gensim_counts_words_of_two_letters_or_more(text: Path) -> None:
    assert PEERS["gensim"](text) == (300, 5)


def test_hugging_face_splits_at_apostrophes(text: Path) -> None:
    pytest.importorskip("datasets", reason="the extra `bench` is not installed")
    assert PEERS["datasets and tokenizers"](text) == (400, 7)


def test_every_copy_has_words_of_its_own(text: Path, tmp_path: Path) -> None:
    write_grown(text, tmp_path / "grown", 3 * len(TEXT) - 1)
    words = Counter((tmp_path / "grown").read_text().split())
    assert words["The"] == 150
    assert words["winter"] == words["winabterab"] == words["winacterac"] == 50


def test_a_missing_text_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["ingest", "--corpus", str(tmp_path / "none")])
    assert result.exit_code == 2
