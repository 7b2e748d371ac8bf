"""Every tokenizer against a slow and obvious one, and what must hold for any text."""

import unicodedata
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.text import tokenizers
from tasks.text.scanning import scan_words
from tasks.text.tokenizers import TOKENIZERS, TokenizerConfig, TokenizerName, exact_unicode_words, tokenize

CORPORA = Path(__file__).parents[3] / "shared" / "data" / "corpora"

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


# Letters of scripts that Unicode writes with spaces, with the signs that join, part or vanish between them.
SPACED_TEXT = st.text(
    st.sampled_from(
        list("abZ09 \n-.,:;_!\u066c\u2044\u0301ŠΣσςИйÅשלмکر\u0652हिन्\u094d한국")
        + list("\u200b\u200c\u200d\u00ad\u2060\ufe0f\u20e3\ufeff\u200e")
    ),
    max_size=30,
)


# Rows with words and apostrophes at their ends, and at multiples of 64 bytes.
LONG_TEXT = st.text(st.sampled_from(list("aZ0' -é’\u2028")), max_size=200)


# Signs that Unicode keeps inside numbers ("0,5"), words ("a:b") and identifiers ("a_b"), and docs/settings.md does not.
ALWAYS_BETWEEN_WORDS = regex.compile(
    r"[[\p{WB=MidNum}\p{WB=MidNumLet}\p{WB=MidLetter}\p{WB=ExtendNumLet}]--[·‧״׳'’‘＇]]", regex.V1
)


def unicode_reference(text: str) -> list[str]:
    """The segments of `regex`'s Unicode word boundaries (UAX #29) that hold a letter or digit, invisible signs gone."""
    vanish = r"[\u00ad\u200e\u200f\u2060\ufeff\ufe00-\ufe0f\u20e3]"
    text = unicodedata.normalize("NFC", regex.sub(vanish, "", text).lower()).replace("’", "'")
    text = ALWAYS_BETWEEN_WORDS.sub(" ", text)
    segments = regex.split(r"(?w)\b", text, flags=regex.V1)
    words = [regex.sub(r"^[^\p{L}\p{N}]+|[\u200c\u200d]+$", "", segment) for segment in segments]
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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1\ufe0f\u20e3 \u2665\ufe0f \u0301 x\u0301", ["1", "x\u0301"]),
        ("co\u00adop re\u2060do \u200efoo\u200f", ["coop", "redo", "foo"]),
        ("می\u200cخواهم کتاب\u200cها\u200c،", ["می\u200cخواهم", "کتاب\u200cها"]),
        ("क्\u200dष a\u200bb", ["क्\u200dष", "a", "b"]),
        ("Col·lecció ·x a·3 α·β 정치·경제", ["col·lecció", "x", "a", "3", "α", "β", "정치", "경제"]),
        ('צה״ל צה"ל "שלום" ג׳ירפה ג׳ ״שלום״', ["צה״ל", "צה״ל", "שלום", "ג׳ירפה", "ג׳", "שלום"]),
        ("İstanbul, don‘t", ["i̇stanbul", "don't"]),
    ],
)
def test_signs_inside_words_are_those_of_unicode(text: str, expected: list[str]) -> None:
    assert tokens_of(text) == expected


@settings(deadline=None, max_examples=300)
@given(text=SPACED_TEXT)
def test_unicode_words_are_those_of_unicode(text: str) -> None:
    assert tokens_of(text) == unicode_reference(text)


@settings(deadline=None)
@given(text=ANY_TEXT)
def test_every_token_starts_with_a_letter_or_digit(text: str) -> None:
    assert all(regex.match(r"[\p{L}\p{N}]", token) for token in tokens_of(text))


@pytest.mark.parametrize("size", [50_000, pytest.param(1_000_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("name", ["enwiki2015_AA", "kowiki2022_AC00-49"])
def test_words_of_wikipedia_are_those_of_unicode(name: str, size: int) -> None:
    file = CORPORA / f"{name}_wikiextractor.txt.zst"
    if not file.exists():
        pytest.skip(f"{file} is absent")
    with pa.CompressedInputStream(pa.OSFile(str(file)), "zstd") as stream:
        text = stream.read(size).decode("utf-8", errors="ignore")
    # Without what docs/settings.md lists as different: signs between letters and scripts without spaces.
    text = regex.sub(
        r"[·‧'’‘\uff07]|[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{So}\p{No}]+",
        " ",
        text,
    )
    assert tokens_of(text) == unicode_reference(text)


@settings(deadline=None)
@given(texts=st.lists(st.one_of(ANY_TEXT, LONG_TEXT), max_size=5))
def test_whitespace_tokens_are_those_of_split(texts: list[str]) -> None:
    found = tokenize(pa.array(texts, pa.string()), TokenizerConfig(name="whitespace")).to_pylist()
    assert found == [text.split() for text in texts]


def test_whitespace_at_the_end_of_the_last_text_is_no_word() -> None:
    texts = ["00\x9f\xad𦽩", "00¿Ã𤳌", "000000000\x80\x80\x80\x8dµࡏࢀࢆ𠆰", "00000000¨\x85"]
    for _ in range(2000):
        # Arrow reads what happens to be in memory behind the array.
        lists = tokenize(pa.array(texts), TokenizerConfig(name="whitespace")).to_pylist()
        assert lists == [text.split() for text in texts]


@pytest.mark.parametrize("letter", ["a", "É", "‘", "ı", "·"])
@pytest.mark.parametrize("words", [3, 40_000])
def test_scanned_tokens_of_any_length_and_number(letter: str, words: int) -> None:
    # More distinct tokens than the first table holds, of up to 30 bytes and more.
    text = " ".join(f"{letter * (n % 3)}x{'y' * (n % 28)}{n % words} Ünd’s{letter}w" for n in range(words))
    array = pa.array([text, "", text[:100]], pa.string())
    assert tokenize(array, TokenizerConfig()).to_pylist() == exact_unicode_words(array).to_pylist()
    found = tokenize(array, TokenizerConfig(name="whitespace")).to_pylist()
    assert found == [part.split() for part in array.to_pylist()]


@settings(deadline=None)
@given(texts=st.lists(st.one_of(ANY_TEXT, SPACED_TEXT, LONG_TEXT), max_size=5))
def test_scanned_words_are_those_of_the_exact_rules(texts: list[str]) -> None:
    array = pa.array(texts, pa.string())
    assert tokenize(array, TokenizerConfig()).to_pylist() == exact_unicode_words(array).to_pylist()


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


def test_a_slice_of_an_array_yields_its_own_tokens() -> None:
    texts = pa.array(["no", "one two", "", "three"])[1:3]
    for name in TOKENIZERS:
        assert tokenize(texts, TokenizerConfig(name=name)).to_pylist() == [["one", "two"], []]


@pytest.mark.parametrize("pattern", ["{0}", "a{0}", "{0}b", "x {0}{0}", "Ж{0}", "한{0}ㅏ"])
def test_every_character_is_split_as_by_the_exact_rules(pattern: str) -> None:
    texts = pa.array([pattern.format(chr(code)) for code in range(1, 0x11000) if not 0xD800 <= code < 0xE000])
    assert tokenize(texts, TokenizerConfig()).to_pylist() == exact_unicode_words(texts).to_pylist()


def test_few_texts_are_split_as_many(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = [*range(1, 0x3000), *range(0x3000, 0xD800, 61), *range(0xE000, 0x32400, 61)]
    texts = [f"a{chr(code)}b '{chr(code)}' {chr(code)}'c" for code in codes if unicodedata.category(chr(code)) != "Cn"]
    few = [words for at in range(0, len(texts), 500) for words in exact_words(texts[at : at + 500])]
    unknown = exact_words(["a\U000105c0b", "a b"])
    monkeypatch.setattr(tokenizers, "FEW_TEXTS", 0)
    assert few == exact_words(texts)
    assert unknown == exact_words(["a\U000105c0b", "a b"])


def exact_words(texts: list[str]) -> list[list[str]]:
    found: list[list[str]] = exact_unicode_words(pa.array(texts)).to_pylist()
    return found


def test_a_word_has_one_entry_wherever_it_stands() -> None:
    (words,) = scan_words(pa.array(["word –word «word» Word"]), exact_unicode_words).flatten().dictionary.to_pylist()
    assert words == "word"
