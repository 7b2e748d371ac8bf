"""Languages, pieces and the cleaning of text and tokens."""

import importlib.util
import sys
import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.text import languages
from tasks.text.cleaning import clean_texts, drop_tokens, language_of, split_sentences, stop_words
from tasks.text.duplicates import DuplicateFinder, shingles
from tasks.text.languages import MODULES, MissingExtraError, import_extra
from tasks.text.options import TokenizerConfig
from tasks.text.pieces import UNKNOWN, Pieces, train_pieces
from tasks.text.reading import TextReader, read_words, unsegmented_warning
from tasks.text.vocabulary import WordCounts, count_words

ANY_TEXT = st.text(
    st.one_of(st.characters(exclude_categories=["Cs", "Cn", "Co"]), st.sampled_from(list("ab Z9.'\n한국中文かなไทย。")))
)


def texts(*values: str) -> pa.Array:
    return pa.array(values, pa.string())


def words_of(text: str, **settings: object) -> list[str]:
    found: list[str] = read_words(texts(text), TokenizerConfig.model_validate(settings)).to_pylist()[0]
    return found


def require(name: str) -> None:
    for module in MODULES[name]:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed: pip install vecmill[{name}]")


@pytest.mark.parametrize(
    ("name", "parts", "text", "expected"),
    [
        ("korean", "content", "아름다운 꽃 3송이를 보았다. Python을 배우자", "아름답다 꽃 3 송이 보다 python 배우다"),
        ("korean", "all", "꽃이 아름답다.", "꽃 이 아름답다 다"),
        ("chinese", "all", "我来到北京清华大学。Hello", "我 来到 北京 清华大学 hello"),
        ("japanese", "all", "国会へ行きました。", "国会 へ 行き まし た"),
        ("japanese", "content", "国会へ行きました。", "国会 行く"),
        ("thai", "all", "ผมรักภาษาไทย และ Hello", "ผม รัก ภาษาไทย และ hello"),
    ],
)
def test_each_language_is_cut_into_its_words(name: str, parts: str, text: str, expected: str) -> None:
    require(name)
    assert words_of(text, name=name, parts_of_speech=parts) == expected.split()


@pytest.mark.parametrize("name", ["chinese", "thai", "japanese", "korean"])
def test_tokens_of_any_text_hold_letters_and_no_whitespace(name: str) -> None:
    require(name)

    @settings(deadline=None, max_examples=50)
    @given(text=ANY_TEXT)
    def check(text: str) -> None:
        for token in words_of(text, name=name):
            assert token.split() == [token]
            assert any(letter.isalnum() or letter == "_" for letter in token)

    check()


def test_a_line_longer_than_a_segmenter_takes_is_cut_at_a_space_or_sentence() -> None:
    text = "第一句话。" * 3000
    parts = list(languages._parts(text))
    assert "".join(parts) == text
    assert all(part.endswith("。") and len(part) <= languages.MOST_CHARACTERS for part in parts)
    assert "".join(languages._parts("x" * 9000)) == "x" * 9000


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rjieba", None)
    with pytest.raises(
        MissingExtraError, match=r"tokenizer.name=chinese needs rjieba: pip install 'vecmill\[chinese\]'"
    ):
        import_extra("rjieba", "chinese", "tokenizer.name=chinese")


@pytest.mark.parametrize(
    ("text", "name", "remedy"),
    [
        ("我来到北京清华大学", "unicode_words", "chinese"),
        ("東京都の国会へ行きました", "whitespace", "japanese"),
        ("ผมรักภาษาไทย", "unicode_words", "thai"),
        ("ຂ້ອຍຮັກ", "unicode_words", "bpe"),
        ("ຂ້ອຍຮັກ", "bpe", None),
        ("한국어와 mostly English 中", "unicode_words", None),
        ("我来到北京", "chinese", None),
    ],
)
def test_a_script_without_spaces_is_warned_about_with_the_remedy(text: str, name: str, remedy: str | None) -> None:
    warning = unsegmented_warning(texts(text), TokenizerConfig.model_validate({"name": name}))
    assert (warning or "").endswith(f"set tokenizer.name={remedy}" if remedy else "")
    assert (warning is None) == (remedy is None)


COUNTS = WordCounts(
    texts("lower", "lowest", "newest", "wider", "naïve", "한국어"), pa.array([9, 8, 7, 5, 3, 2]).to_numpy()
)


@pytest.mark.parametrize("name", ["bpe", "unigram"])
def test_pieces_join_to_their_word_and_are_those_of_the_library(name: str) -> None:
    from tokenizers import Tokenizer

    content = train_pieces(COUNTS, TokenizerConfig.model_validate({"name": name, "pieces": 100}))
    pieces, library = Pieces(content), Tokenizer.from_str(content)

    @settings(deadline=None, max_examples=50)
    @given(words=st.lists(st.text("lowerstnid한", min_size=1, max_size=8)))
    def check(words: list[str]) -> None:
        (found,) = pieces.cut(pa.array([words], pa.list_(pa.string()))).to_pylist()
        assert found == [piece for piece in library.encode(" ".join(words)).tokens if piece != UNKNOWN]
        assert "".join(piece.removeprefix("##").lstrip("▁") for piece in found) == "".join(words)

    check()


def test_pieces_of_lists_stay_in_their_lists_and_named_tokens_whole() -> None:
    pieces = Pieces(train_pieces(COUNTS, TokenizerConfig(name="bpe", pieces=100)))
    lists = pa.array([["x"], ["lowest", "<num>"], [], ["lower"]], pa.list_(pa.string()))[1:]
    assert pieces.cut(lists).to_pylist() == [["lowest", "<num>"], [], ["lower"]]


def test_counts_of_pieces_above_the_limit_are_scaled(monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks.text import pieces

    monkeypatch.setattr(pieces, "MOST_REPEATS", 17)
    assert sum(len(text.split()) for text in pieces._repeated(COUNTS)) in range(15, 20)


@pytest.mark.parametrize(
    ("options", "text", "expected"),
    [
        ({"nfkc": True}, "ﬁne Ｆｕｌｌ", "fine full"),
        ({"strip_accents": True}, "café Ёлка हिन्दी 한국 ไทย่", "cafe елка हिन्दी 한국 ไทย่"),
        ({"numbers": "token"}, "3.14 and 2,000; co2 3rd", "<num> and <num> co2 3rd"),
        ({"links": "token"}, "See https://a.b/c?d=1. mail me@x.org www.x.org/y", "see <url> mail <email> <url>"),
        ({"links": "remove"}, "See http://a.b (me@x.org)", "see"),
        ({"name": "whitespace", "numbers": "token"}, "a 7 b7", "a <num> b7"),
        ({"numbers": "token"}, "1.5x 12,5km, -5km 1st. 2.", "<num> x <num> km 5km 1st <num>"),
    ],
)
def test_text_is_cleaned_as_the_settings_say(options: dict[str, object], text: str, expected: str) -> None:
    assert words_of(text, **options) == expected.split()


@settings(deadline=None)
@given(text=ANY_TEXT)
def test_nothing_is_cleaned_by_default(text: str) -> None:
    assert clean_texts(texts(text), TokenizerConfig()).to_pylist() == [text]
    assert clean_texts(texts(text), TokenizerConfig(nfkc=True)).to_pylist() == [unicodedata.normalize("NFKC", text)]


@settings(deadline=None)
@given(lists=st.lists(st.lists(st.sampled_from("abcd"))), unwanted=st.frozensets(st.sampled_from("abx")))
def test_stop_words_go_from_every_list(lists: list[list[str]], unwanted: frozenset[str]) -> None:
    found = drop_tokens(pa.array(lists, pa.list_(pa.string())), unwanted).to_pylist()
    assert found == [[token for token in tokens if token not in unwanted] for tokens in lists]


def test_stop_words_are_words_or_the_list_of_a_language() -> None:
    found = stop_words(TokenizerConfig(stop_words=["vecmill", "iso:en"]))
    assert {"vecmill", "the", "of"} <= found
    with pytest.raises(ValueError, match="no list for 'xx'"):
        stop_words(TokenizerConfig(stop_words=["iso:xx"]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One two. Three? “Four!” Five", ["One two.", "Three?", "“Four!”", "Five"]),
        ("Mr. J. Smith paid 3.50 e.g. to Dr. Who. Then left", ["Mr. J. Smith paid 3.50 e.g. to Dr. Who.", "Then left"]),
        ("一。二！三", ["一。", "二！", "三"]),
        ("no stop\n\nnext line", ["no stop", "next line"]),
        (" \n", []),
    ],
)
def test_sentences_end_at_their_signs_and_at_lines(text: str, expected: list[str]) -> None:
    assert list(split_sentences(text)) == expected


@settings(deadline=None)
@given(text=ANY_TEXT)
def test_sentences_hold_all_the_text(text: str) -> None:
    assert "".join("".join(split_sentences(text)).split()) == "".join(text.split())


def test_repeated_documents_are_recognised() -> None:
    base = " ".join(f"word{number}" for number in range(100))
    exact, near = DuplicateFinder(), DuplicateFinder(0.8)
    assert [exact.repeats(text) for text in ("A b", " a  B\n", "a c", base, base + " end")] == [
        None,
        "exact",
        None,
        None,
        None,
    ]
    assert [near.repeats(text) for text in (base, base.upper(), base + " end", base[: len(base) // 2])] == [
        None, "exact", "near", None,
    ]  # fmt: skip


def test_minhash_agrees_with_the_exact_similarity() -> None:
    rng = __import__("random").Random(1)
    wrong = 0
    for _ in range(40):
        first = [str(rng.randrange(10**6)) for _ in range(200)]
        second = first[: rng.randrange(1, 200)]
        second += [str(rng.randrange(10**6)) for _ in range(200 - len(second))]
        a, b = shingles(" ".join(first)), shingles(" ".join(second))
        similarity = len(a & b) / len(a | b)
        finder = DuplicateFinder(0.7)
        finder.repeats(" ".join(first))
        repeated = finder.repeats(" ".join(second)) is not None
        # 128 permutations: a standard error of 0.04.
        wrong += repeated != (similarity >= 0.7) and abs(similarity - 0.7) > 0.12
    assert wrong == 0


def test_languages_are_recognised() -> None:
    assert [language_of(text) for text in ("This is a sentence in English.", "이것은 한국어 문장입니다.")] == [
        "en",
        "ko",
    ]


def test_settings_that_cannot_act_are_refused() -> None:
    for settings_ in ({"parts_of_speech": "content"}, {"name": "bpe", "phrases": 1}):
        with pytest.raises(ValidationError, match="tokenizer"):
            TokenizerConfig.model_validate(settings_)


def test_a_gold_word_has_the_spelling_of_its_phrase_or_piece() -> None:
    reader = TextReader(TokenizerConfig(phrases=1))
    assert reader.spellings("New York", *reader.cut(["New York"])) == ["New York", "new_york"]
    content = train_pieces(
        count_words([pa.array([["lowest"] * 9], pa.list_(pa.string()))]), TokenizerConfig(name="bpe")
    )
    reader = TextReader(TokenizerConfig(name="bpe"), content)
    assert reader.spellings("Lowest", *reader.cut(["Lowest"])) == ["Lowest", "lowest"]
