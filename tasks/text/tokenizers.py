"""Tokenizers: from texts to lists of tokens, as Arrow arrays without a Python object per token."""

import re
import unicodedata
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.text.options import TokenizerConfig as TokenizerConfig
from tasks.text.options import WordTokenizer

TokenizerName = WordTokenizer

# Invisible characters that neither join nor part words: soft hyphens, word joiners, directional marks, variation
# selectors and tags, and the frames around keycaps. UAX #29 ignores them as "Format" and "Extend".
# In RE2's syntax: searching 8 MB takes `re` 85 ms and Arrow 14.
INVISIBLE = (
    r"[\x{ad}\x{34f}\x{61c}\x{180b}-\x{180f}\x{200e}\x{200f}\x{202a}-\x{202e}\x{2060}-\x{206f}\x{20dd}-\x{20e0}"
    r"\x{20e2}-\x{20e4}\x{fe00}-\x{fe0f}\x{feff}\x{e0001}-\x{e007f}\x{e0100}-\x{e01ef}]+"
)
APOSTROPHES = ("\u2018", "\u2019", "\uff07")
# Signs that belong to a word only between, or after, letters of one script. The text is lower case and composed.
LATIN = "[a-zªºß-öø-ʯ\u0300-\u036fᴀ-ᶿḁ-ỿⱡ-ⱿꜢ-ꟿﬀ-ﬆ]"
HEBREW = "[\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u05d0-\u05ea\u05ef-\u05f2\ufb1d-\ufb28\ufb2a-\ufb4f]"
# Each pattern starts with the sign, so that `re` scans for that one character.
STRAY_MIDDLE_DOT = re.compile(f"[·‧](?:(?<!{LATIN}[·‧])|(?!{LATIN}))")
HEBREW_QUOTATION_MARK = re.compile(f'"(?<={HEBREW}")(?={HEBREW})')
STRAY_HEBREW_SIGN = re.compile(f"(?<!{HEBREW})[״׳]|״(?!{HEBREW})")

# Separators of words, in RE2's syntax. A word is a letter or digit followed by letters, digits, marks and zero-width
# joiners; one apostrophe may join two such runs. Everything else separates.
JOINERS = ("\u200c", "\u200d")
JOINING = f"{''.join(JOINERS)}·‧״׳"
INSIDE = rf"\p{{L}}\p{{M}}\p{{N}}{JOINING}"
NO_START = r"[^\p{L}\p{N}]"
BETWEEN_WORDS = rf"(?:[^{INSIDE}']|'{NO_START}){NO_START}*"
# Of more texts, `re` takes longer than RE2 with its compilation.
FEW_TEXTS = 4096
JOINERS_AT_THE_END = rf"[{''.join(JOINERS)}]+ "


def tokenize(texts: pa.Array, config: TokenizerConfig) -> pa.Array:
    """Split each text into words, by a tokenizer of words; tasks/text/reading.py has all tokenizers and options.

    texts: (N,) strings without nulls.  Returns (N,) lists of non-empty strings, dictionary-encoded if they come so.
    """
    name = config.words
    return SCANNED[name](texts) if name in SCANNED else TOKENIZERS[name](texts)  # type: ignore[index]


def unicode_words(texts: pa.Array) -> pa.Array:
    """Runs of letters, marks and digits, with inner apostrophes, in lower case and NFC (composed accents).

    Every token starts with a letter or digit.  Typographic apostrophes become the plain one, so "don’t" and "don't"
    are the same word.  Word boundaries are Unicode's (UAX #29), with the exceptions listed in docs/settings.md.
    """
    return _decoded(_scanned_words(texts))


def _scanned_words(texts: pa.Array) -> pa.Array:
    # Deferred: Numba takes half a second to import, and most commands tokenize nothing.
    from tasks.text.scanning import scan_words

    return scan_words(texts, exact_unicode_words)


def exact_unicode_words(texts: pa.Array) -> pa.Array:
    """The words of `unicode_words`, by Unicode's tables for each letter."""
    # 6 million tokens take 1.3 s this way, and 3.1 s with `regex.findall` on each text.
    beyond_ascii = pc.invert(pc.string_is_ascii(texts))
    visible = pc.replace_with_mask(
        texts, beyond_ascii, pc.replace_substring_regex(texts.filter(beyond_ascii), INVISIBLE, "")
    )
    # Newlines around the text spare the pattern alternatives for its start and end, which would cost time per letter.
    folded = [f"\n{_fold(text)}\n" for text in visible.to_pylist()]
    spaced = _spaced(folded)
    if any(joiner in text for text in folded for joiner in JOINERS):
        spaced = pc.replace_substring_regex(spaced, JOINERS_AT_THE_END, " ")
    return _without_empty(pc.split_pattern(spaced, " "))


def _spaced(texts: list[str]) -> pa.Array:
    """The texts with a space in place of all between two words."""
    # RE2 compiles BETWEEN_WORDS in 13 ms, and Arrow does not keep it; `re` compiles the letters of a few texts in 1 ms.
    pattern = _between_words(set("".join(texts))) if len(texts) <= FEW_TEXTS else None
    if pattern is None:
        return pc.replace_substring_regex(pa.array(texts, pa.string()), BETWEEN_WORDS, " ")
    return pa.array([pattern.sub(" ", text) for text in texts], pa.string())


def _between_words(characters: set[str]) -> re.Pattern[str] | None:
    """BETWEEN_WORDS for texts of these characters; None if Python's Unicode is too old for one of them."""
    kinds = {character: unicodedata.category(character) for character in characters}
    if "Cn" in kinds.values():
        return None
    start = "a" + re.escape("".join(character for character, kind in kinds.items() if kind[0] in "LN"))
    marks = re.escape("".join(character for character, kind in kinds.items() if kind[0] == "M"))
    return re.compile(f"(?:[^{start}{marks}{JOINING}']|'[^{start}])[^{start}]*")


def _fold(text: str) -> str:
    """The text in normalised spelling, with signs that do not join a word replaced by spaces."""
    if text.isascii():
        return text.lower()
    # Python lowers "ΟΔΟΣ" to "οδος"; Arrow's kernel has no final sigma, and is slower here. Lower-case first, because
    # it can enable a composition: "J̌" has no composed form, "ǰ" does.
    text = unicodedata.normalize("NFC", text.lower())
    # `replace` scans for one character at a tenth of the cost of a pattern.
    for apostrophe in APOSTROPHES:
        text = text.replace(apostrophe, "'")
    if "·" in text or "‧" in text:
        text = STRAY_MIDDLE_DOT.sub(" ", text)
    text = HEBREW_QUOTATION_MARK.sub("״", text)
    if "״" in text or "׳" in text:
        text = STRAY_HEBREW_SIGN.sub(" ", text)
    return text


def whitespace(texts: pa.Array) -> pa.Array:
    """Tokens separated by Unicode whitespace, as in `str.split`, otherwise unchanged."""
    return _decoded(_scanned_whitespace(texts))


def _scanned_whitespace(texts: pa.Array) -> pa.Array:
    from tasks.text.scanning import scan_whitespace

    return scan_whitespace(texts, _exact_whitespace)


def _exact_whitespace(texts: pa.Array) -> pa.Array:
    # Where the last text ends in whitespace, Arrow 26 reads on behind it, and at random makes that whitespace a word.
    with_end = pa.concat_arrays([texts, pa.array(["end"], texts.type)])
    return _without_empty(pc.utf8_split_whitespace(with_end)[:-1])


def basic_english(texts: pa.Array) -> pa.Array:
    """The `basic_english` of torchtext: lower case, punctuation as separate tokens, quotation marks dropped."""
    # Deferred: torchtext imports torch, which takes a second and nothing else here needs.
    from torchtext.data.utils import get_tokenizer

    tokenizer = get_tokenizer("basic_english")
    return pa.array([tokenizer(text) for text in texts.to_pylist()], pa.list_(pa.string()))


TOKENIZERS: dict[TokenizerName, Callable[[pa.Array], pa.Array]] = {
    "unicode_words": unicode_words,
    "basic_english": basic_english,
    "whitespace": whitespace,
}


# These return every distinct token of an array once, which is what counting, writing and encoding need.
SCANNED: dict[TokenizerName, Callable[[pa.Array], pa.Array]] = {
    "unicode_words": _scanned_words,
    "whitespace": _scanned_whitespace,
}


def _decoded(lists: pa.Array) -> pa.Array:
    tokens = lists.flatten()
    return pa.ListArray.from_arrays(lists.offsets, tokens.dictionary.take(tokens.indices))


def _without_empty(lists: pa.Array) -> pa.Array:
    """The lists without their empty strings."""
    tokens = lists.flatten()
    is_word = pc.not_equal(tokens, "")
    before = np.concatenate([[0], np.cumsum(is_word.to_numpy(zero_copy_only=False))])
    lengths = lists.value_lengths().to_numpy(zero_copy_only=False)
    offsets = before[np.concatenate([[0], np.cumsum(lengths)])]
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), tokens.filter(is_word))
