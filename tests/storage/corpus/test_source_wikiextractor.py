"""Articles found in whole blocks are those found line by line."""

import html
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.corpus import source_files, source_wikiextractor
from storage.corpus.source_files import described_files
from storage.corpus.source_wikiextractor import wikiextractor_pieces
from storage.errors import CorpusError

LINES = [
    '<doc id="1" title="a">',
    "</doc>",
    "</doc> \t",
    " </doc>",
    "</doc> x",
    "R&amp;D &lt;doc &gt;",
    "",
    "two words",
]


def articles(text: str) -> tuple[list[str], int]:
    """The articles, and the line that opens one without an end, or 0."""
    found: list[str] = []
    lines: list[str] = []
    opened = 0
    for number, line in enumerate(text.split("\n"), 1):
        if not opened:
            opened, lines = (number, []) if line.startswith("<doc ") else (0, [])
        elif line.rstrip() == "</doc>":
            found.append("\n".join(lines))
            opened = 0
        else:
            lines.append(html.unescape(line))
    return found, opened


@settings(deadline=None, max_examples=100)
@given(
    lines=st.lists(st.sampled_from(LINES), max_size=40),
    block=st.integers(4, 60),
    piece=st.integers(1, 40),
    newline=st.booleans(),
)
def test_articles_are_those_of_a_reader_of_lines(lines: list[str], block: int, piece: int, newline: bool) -> None:
    text = "\n".join(lines) + "\n" * newline
    expected, opened = articles(text)
    found: list[str] = []
    parts: list[str] = []
    failure = ""
    with (
        TemporaryDirectory() as folder,
        patch.object(source_files, "BLOCK_BYTES", block),
        patch.object(source_wikiextractor, "PIECE_LETTERS", piece),
    ):
        path = Path(folder) / "a.txt"
        path.write_text(text, encoding="utf-8")
        pieces = wikiextractor_pieces(described_files([path])[0], "strict")
        try:
            for part, ends_document, _ in pieces:
                parts.append(part.decode())
                if ends_document:
                    found.append("".join(parts))
                    parts = []
        except CorpusError as error:
            failure = str(error)
    assert (f"starts in line {opened} has no </doc>" in failure) if opened else not failure
    # A piece that is not the last ends in the newline that joins it to the next one.
    assert len(found) == len(expected)
    assert all(article in (whole, f"{whole}\n") for article, whole in zip(found, expected, strict=True))


def test_a_truncated_file_is_named_with_the_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("<doc 1>\na\n</doc>\n\n<doc 2>\nb\n")
    with pytest.raises(CorpusError, match=r"a\.txt: the document that starts in line 5 has no </doc>"):
        list(wikiextractor_pieces(described_files([tmp_path / "a.txt"])[0], "strict"))
