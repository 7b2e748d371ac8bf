"""Every tokenizer against a slow and obvious one, and what must hold for any text."""

import unicodedata
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.text.tokenizers import TOKENIZERS, TokenizerConfig, TokenizerName, tokenize

# Letters that Python's own Unicode tables know; Arrow's are newer. Twice as many of those that matter.
ANY_TEXT = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs", "Cn", "Co"]),
        st.sampled_from(list("abZ09 '’\n\t-.,\u0301\u0327ΣσςİIÅJ\u030c한국ไทยै\u200d\u3000\x85\x1c")),
    )
)


def tokens_of(text: str, name: TokenizerName = "unicode_words") -> list[str]:
    found: list[list[str]] = tokenize(pa.array([text], pa.string()), TokenizerConfig(name=name)).to_pylist()
    return found[0]


def obvious_words(text: str) -> list[str]:
    """Letter by letter: a word goes on while letters, marks and digits do, and over one apostrophe between two."""
    text = unicodedata.normalize("NFC", text.lower()).replace("’", "'")
    inside = [unicodedata.category(letter)[0] in "LMN" for letter in text]
    words = [""]
    for position, letter in enumerate(text):
        between = 0 < position < len(text) - 1 and inside[position - 1] and inside[position + 1]
        if inside[position] or (letter == "'" and between):
            words[-1] += letter
        elif words[-1]:
            words.append("")
    return [word for word in words if word]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The cat -- sat, on 2 mats!", ["the", "cat", "sat", "on", "2", "mats"]),
        (
            "Don't; rock ’n’ roll, the dogs' 'quoted' o’clock''s",
            ["don't", "rock", "n", "roll", "the", "dogs", "quoted", "o'clock", "s"],
        ),
        ("CAFE\u0301 naïve Straße", ["café", "naïve", "straße"]),
        ("ΟΔΟΣ οδός", ["οδος", "οδός"]),
        ("한국어, 日本語。हिन्दी ไทย", ["한국어", "日本語", "हिन्दी", "ไทย"]),
        ("a_b c/d e.g. 3.14 ½", ["a", "b", "c", "d", "e", "g", "3", "14", "½"]),
        ("'", []),
        ("", []),
    ],
)
def test_words_are_letters_marks_and_digits_with_inner_apostrophes(text: str, expected: list[str]) -> None:
    assert tokens_of(text) == expected


@settings(deadline=None)
@given(texts=st.lists(ANY_TEXT, max_size=5))
def test_unicode_words_are_those_of_an_obvious_tokenizer(texts: list[str]) -> None:
    found = tokenize(pa.array(texts, pa.string()), TokenizerConfig()).to_pylist()
    assert found == [obvious_words(text) for text in texts]


@settings(deadline=None)
@given(texts=st.lists(ANY_TEXT, max_size=5))
def test_whitespace_tokens_are_those_of_split(texts: list[str]) -> None:
    found = tokenize(pa.array(texts, pa.string()), TokenizerConfig(name="whitespace")).to_pylist()
    assert found == [text.split() for text in texts]


@settings(deadline=None)
@given(text=ANY_TEXT)
def test_words_tokenize_to_themselves(text: str) -> None:
    words = tokens_of(text)
    assert tokens_of(" ".join(words)) == words


@pytest.mark.parametrize("name", TOKENIZERS)
@settings(deadline=None)
@given(text=ANY_TEXT)
def test_no_token_is_empty_or_holds_whitespace(name: TokenizerName, text: str) -> None:
    for token in tokens_of(text, name):
        assert token.split() == [token]


@pytest.mark.parametrize("name", ["unicode_words", "whitespace"])
@settings(deadline=None)
@given(text=ANY_TEXT, cuts=st.lists(st.integers(0, 100), max_size=3))
def test_a_text_cut_at_whitespace_has_the_same_tokens(name: TokenizerName, text: str, cuts: list[int]) -> None:
    possible = [position for position, letter in enumerate(text, 1) if letter.isspace()]
    chosen = sorted({0, len(text), *(possible[cut % len(possible)] for cut in cuts if possible)})
    parts = [text[begin:end] for begin, end in pairwise(chosen)]
    assert [token for part in parts for token in tokens_of(part, name)] == tokens_of(text, name)


@pytest.mark.parametrize("name", TOKENIZERS)
@settings(deadline=None)
@given(texts=st.lists(ANY_TEXT, max_size=4))
def test_documents_never_merge(name: TokenizerName, texts: list[str]) -> None:
    together = tokenize(pa.array(texts, pa.string()), TokenizerConfig(name=name)).to_pylist()
    assert together == [tokens_of(text, name) for text in texts]


def test_basic_english_is_torchtexts() -> None:
    text = 'Hello, "World": it\'s (all) here.<br />Good!'
    assert tokens_of(text, "basic_english") == [
        "hello", ",", "world", "it", "'", "s", "(", "all", ")", "here", ".", "good", "!",
    ]  # fmt: skip


def test_a_slice_of_an_array_gives_its_own_tokens() -> None:
    texts = pa.array(["no", "one two", "", "three"])[1:3]
    for name in TOKENIZERS:
        assert tokenize(texts, TokenizerConfig(name=name)).to_pylist() == [["one", "two"], []]
