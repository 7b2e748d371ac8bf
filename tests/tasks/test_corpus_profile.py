"""A corpus is described by its figures, and warned about where it looks wrong."""

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.layout import Workspace
from tasks.corpus_config import CorpusConfig
from tasks.corpus_profile import CorpusProfile, describe_corpus
from tasks.text.options import TokenizerConfig
from tasks.text.text_profile import SCRIPTS, TextProfile

LINE = "All rights reserved by the site"


def described(folder: Path, text: str, **corpus: object) -> CorpusProfile:
    (folder / "a.txt").write_text(text, encoding="utf-8")
    config = CorpusConfig.model_validate({"path": str(folder / "a.txt"), **corpus})
    return describe_corpus(config, TokenizerConfig(), Workspace(folder))


def test_the_figures_are_those_of_the_text(tmp_path: Path) -> None:
    lines = ["The cat sat", "the dog ran и кот", "The cat sat"]
    found = described(tmp_path, "\n".join(lines))
    words = Counter(" ".join(lines).lower().split())
    assert (found.documents, found.tokens, found.distinct_words) == (3, sum(words.values()), len(words))
    assert found.characters == sum(map(len, lines))
    assert found.top_words["the"] == 3
    assert found.words_seen_once == sum(count == 1 for count in words.values())
    assert set(found.rarest_words) <= set(words)
    assert found.duplicate_documents == 1
    assert found.scripts == {"Latin": pytest.approx(28 / 32, abs=0.05), "Cyrillic": pytest.approx(4 / 32, abs=0.05)}


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("One <b>two</b> &amp; three\nfour five six seven\n", "HTML in 50.0%"),
        ("le cafÃ© est fermÃ©\nune autre ligne\n", "wrong encoding"),
        ("a\nb\nc\nd\n", "1.0 characters on average"),
        ("same line\nsame line\nother line\n", "33.3% of the documents repeat"),
        ("我来到北京清华大学然后去公园\n", "tokenizer.name=chinese"),
    ],
)
def test_what_looks_wrong_is_a_warning_with_a_remedy(tmp_path: Path, text: str, warning: str) -> None:
    assert any(warning in given_warning for given_warning in described(tmp_path, text).warnings)


def test_lines_that_repeat_in_documents_are_boilerplate(tmp_path: Path) -> None:
    articles = "".join(
        f'<doc id="{n}" url="u" title="t{n}">\nArticle {n} is about number {n}.\n{LINE}\n</doc>\n' for n in range(30)
    )
    found = described(tmp_path, articles, format="wikiextractor")
    assert found.documents == 30
    assert found.repeated_lines == {LINE: 30}
    assert any(LINE in warning for warning in found.warnings)


def test_clean_text_has_no_warning(tmp_path: Path, news_file: Path) -> None:
    articles = dict.fromkeys(news_file.read_text(encoding="utf-8").splitlines())
    assert described(tmp_path, "\n".join(articles)).warnings == []


@settings(deadline=None, max_examples=100)
@given(text=st.text(st.characters(exclude_categories=["Cs", "Cn", "Co"])))
def test_letters_of_scripts_are_those_of_regex(text: str) -> None:
    profile = TextProfile()
    profile.add_letters(pa.array([text], pa.string()))
    for script in SCRIPTS:
        assert profile.letters[script] == len(regex.findall(rf"[\p{{Script={script}}}]", text)), script
