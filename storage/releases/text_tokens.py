r"""The tokenizers `unicode_words` and `whitespace` as SQL, for the macros that read text.

The same rules as tasks/text/tokenizers.py, in RE2's syntax without lookaround: a sign that must occur between two
letters is removed in passes, each of which looks at one neighbour. Tests compare both on 10,000 texts. Where the
Unicode tables of DuckDB and Python differ in version, a new letter may be split differently.
"""

import json
from collections.abc import Mapping

from storage.releases.schema import quoted

DEFAULT = "unicode_words"
WHITESPACE = r"[\x{9}-\x{d}\x{1c}-\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]+"
# Settings that change the tokens of a text. Stop words are not in the vocabulary, and the others drop whole documents.
SHAPING = ("nfkc", "strip_accents", "numbers", "links", "phrases")
UNSHAPED = ("false", '"keep"', "0")

INVISIBLE = (
    r"[\x{ad}\x{34f}\x{61c}\x{180b}-\x{180f}\x{200e}\x{200f}\x{202a}-\x{202e}\x{2060}-\x{206f}\x{20dd}-\x{20e0}"
    r"\x{20e2}-\x{20e4}\x{fe00}-\x{fe0f}\x{feff}\x{e0001}-\x{e007f}\x{e0100}-\x{e01ef}]+"
)
LATIN = r"a-zªºß-öø-ʯ\x{300}-\x{36f}ᴀ-ᶿḁ-ỿⱡ-ⱿꜢ-ꟿﬀ-ﬆ"
HEBREW = (
    r"\x{591}-\x{5bd}\x{5bf}\x{5c1}\x{5c2}\x{5c4}\x{5c5}\x{5c7}\x{5d0}-\x{5ea}\x{5ef}-\x{5f2}"
    r"\x{fb1d}-\x{fb28}\x{fb2a}-\x{fb4f}"
)
GERSHAYIM, GERESH = r"\x{5f4}", r"\x{5f3}"
JOINERS = r"\x{200c}\x{200d}"
INSIDE = rf"\p{{L}}\p{{M}}\p{{N}}{JOINERS}·‧{GERSHAYIM}{GERESH}"
NO_START = r"[^\p{L}\p{N}]"
BETWEEN_WORDS = rf"(?:[^{INSIDE}']|'{NO_START}){NO_START}*"
# Unicode's condition Final_Sigma: after a letter with case and not before one, passing over what has no case.
CASED = r"\p{Lu}\p{Ll}\p{Lt}ªº\x{2160}-\x{217f}\x{24b6}-\x{24e9}"
WITHOUT_CASE = r"\p{Mn}\p{Me}\p{Cf}\p{Lm}\p{Sk}'.:·‘’․‧︓﹒﹕＇．：\x{5f4}"
FINAL_SIGMA = rf"([{CASED}][{WITHOUT_CASE}]*)Σ([{WITHOUT_CASE}]*[^{CASED}{WITHOUT_CASE}])"
# Pattern -> replacement, in this order; the text is lower case and composed, with plain apostrophes.
FOLDS = (
    # Middle dots join Latin letters only.
    ("[·‧]{2,}", " "),
    (rf"([^{LATIN}])[·‧]", r"\1 "),
    (rf"[·‧]([^{LATIN}])", r" \1"),
    # Gershayim join Hebrew letters, for which people also type a quotation mark. Twice: א"ב"ג shares a letter.
    (f'([{HEBREW}])"([{HEBREW}])', r"\1״\2"),
    (f'([{HEBREW}])"([{HEBREW}])', r"\1״\2"),
    (f"([{GERSHAYIM}{GERESH}])[{GERSHAYIM}{GERESH}]+", r"\1 "),
    (f"([^{HEBREW}])[{GERSHAYIM}{GERESH}]", r"\1 "),
    (f"{GERSHAYIM}([^{HEBREW}])", r" \1"),
)


def tokenizer_in_sql(settings: Mapping[str, str]) -> str | None:
    """The tokenizer of a release, if `token_list` supports it, else None.

    settings: dotted name -> JSON text, as in the table `settings`. A release without a tokenizer was imported; its text
    is read with the default one.
    """
    name = json.loads(settings.get("tokenizer.name", f'"{DEFAULT}"'))
    plain = all(settings.get(f"tokenizer.{setting}", UNSHAPED[0]) in UNSHAPED for setting in SHAPING)
    return name if plain and name in (DEFAULT, "whitespace") else None


def token_list(tokenizer: str, text: str) -> str:
    """The SQL of the list of tokens of a text. text: the name of a column of our own."""
    if tokenizer == "whitespace":
        return _without_empty(f"string_split_regex({text}, {quoted(WHITESPACE)})")
    # Newlines around the text, so that no pattern needs alternatives for its start and end.
    folded = _replaced(f"'\n' || {text} || '\n'", INVISIBLE, "")
    folded = f"replace({_replaced(folded, FINAL_SIGMA, chr(92) + '1ς' + chr(92) + '2')}, 'İ', 'i\u0307')"
    folded = f"translate(nfc_normalize(lower({folded})), '‘’＇', '''''''')"
    for pattern, replacement in FOLDS:
        folded = _replaced(folded, pattern, replacement)
    letters = (
        f"CASE WHEN regexp_full_match({text}, '[\\x00-\\x7f]*') THEN '\n' || lower({text}) || '\n' ELSE {folded} END"
    )
    spaced = _replaced(_replaced(letters, BETWEEN_WORDS, " "), f"[{JOINERS}]+ ", " ")
    return _without_empty(f"string_split({spaced}, ' ')")


def _replaced(text: str, pattern: str, replacement: str) -> str:
    return f"regexp_replace({text}, {quoted(pattern)}, {quoted(replacement)}, 'g')"


def _without_empty(tokens: str) -> str:
    return f"list_filter({tokens}, lambda x: x <> '')"
