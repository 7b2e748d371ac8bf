"""Tokenizers of languages whose words are not separated by spaces, or that glue endings to them; each is an extra."""

import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from typing import Any

import pyarrow as pa

from tasks.text.options import LANGUAGES, PIECES, LanguageTokenizer, TokenizerConfig

# Sudachi accepts at most 49,149 bytes; short pieces also keep the lattices of all four small.
MOST_CHARACTERS = 4000
CUT = re.compile(r"[\s。！？]")
HAS_LETTER_OR_DIGIT = re.compile(r"\w")
# Korean parts of speech (Sejong tags). Verbs and adjectives take 다, as in a dictionary.
KOREAN_STEMS = ("VV", "VA", "VX", "VCN")
KOREAN_CONTENT = ("N", "VV", "VA", "MA", "XR", "SL", "SH", "SN")
KOREAN_FOREIGN_AND_NUMBERS = ("SL", "SH", "SN")
JAPANESE_CONTENT = ("名詞", "代名詞", "動詞", "形容詞", "形状詞", "副詞")
JAPANESE_INFLECTED = ("動詞", "形容詞")
JAPANESE_SIGNS = ("補助記号", "空白", "記号")
TOKENS = pa.list_(pa.string())
# What each tokenizer imports, for the check before a run.
MODULES: dict[str, tuple[str, ...]] = {
    "korean": ("kiwipiepy", "kiwipiepy_model"),
    "chinese": ("rjieba",),
    "japanese": ("sudachipy", "sudachidict_small"),
    "thai": ("pythainlp",),
}


class MissingExtraError(ImportError):
    """A setting needs a package that is not installed; the message names the extra."""


def import_extra(module: str, extra: str, setting: str) -> Any:  # noqa: ANN401 - a module
    """Import a module of an extra. Raises MissingExtraError with the command that installs it."""
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtraError(f"{setting} needs {error.name or module}: pip install 'vecmill[{extra}]'") from error


def segment(texts: pa.Array, config: TokenizerConfig) -> pa.Array:
    """The words or morphemes of each text, in lower case and NFC, without punctuation.

    texts: (N,) strings.  Returns (N,) lists of strings.  Raises MissingExtraError.
    """
    cut = _segmenter(config.words, config.parts_of_speech == "content")
    return pa.array([[token for part in _parts(text) for token in cut(part)] for text in texts.to_pylist()], TOKENS)


def required_modules(config: TokenizerConfig) -> Iterator[tuple[str, str, str]]:
    """Modules that the settings need, each with its extra and the setting."""
    if is_language(config.words):
        yield from ((module, config.words, f"tokenizer.name={config.words}") for module in MODULES[config.words])
    if config.name in PIECES:
        yield "tokenizers", "pieces", f"tokenizer.name={config.name}"
    if config.duplicates == "near":
        yield "rensa", "text", "tokenizer.duplicates=near"
    if config.languages:
        yield "py3langid", "text", "tokenizer.languages"


def is_language(name: str) -> bool:
    """Whether a tokenizer is one of this module."""
    return name in LANGUAGES


def _parts(text: str) -> Iterator[str]:
    """The lines of a text, long ones cut at whitespace or the end of a sentence where possible."""
    for line in unicodedata.normalize("NFC", text).splitlines():
        start = 0
        while len(line) - start > MOST_CHARACTERS:
            ends = [match.end() for match in CUT.finditer(line, start + MOST_CHARACTERS // 2, start + MOST_CHARACTERS)]
            end = ends[-1] if ends else start + MOST_CHARACTERS
            yield line[start:end]
            start = end
        if start < len(line):
            yield line[start:]


@cache
def _segmenter(name: LanguageTokenizer, content: bool) -> Callable[[str], list[str]]:
    """The function that cuts one line; one per process, as each loads a dictionary."""
    setting = f"tokenizer.name={name}"
    for module in MODULES[name]:
        import_extra(module, name, setting)
    return {"korean": _korean, "chinese": _chinese, "japanese": _japanese, "thai": _thai}[name](content)


def _korean(content: bool) -> Callable[[str], list[str]]:
    from kiwipiepy import Kiwi

    kiwi = Kiwi(num_workers=1)

    def is_kept(tag: str) -> bool:
        if content:
            return tag.startswith(KOREAN_CONTENT)
        return not tag.startswith("S") or tag in KOREAN_FOREIGN_AND_NUMBERS

    def cut(line: str) -> list[str]:
        return [
            _word(token.lemma if token.tag.startswith(KOREAN_STEMS) else token.form)
            for token in kiwi.tokenize(line)
            if is_kept(token.tag) and HAS_LETTER_OR_DIGIT.search(token.form)
        ]

    return cut


def _japanese(content: bool) -> Callable[[str], list[str]]:
    from sudachipy import Dictionary, SplitMode

    tokenizer = Dictionary(dict="small").tokenizer(mode=SplitMode.C)

    def cut(line: str) -> list[str]:
        found = []
        for morpheme in tokenizer.tokenize(line):
            kind, surface = morpheme.part_of_speech()[0], morpheme.surface()
            if kind in JAPANESE_SIGNS or not HAS_LETTER_OR_DIGIT.search(surface):
                continue
            if not content:
                found.append(_word(surface))
            elif kind in JAPANESE_CONTENT:
                found.append(_word(morpheme.dictionary_form() if kind in JAPANESE_INFLECTED else surface))
        return found

    return cut


def _chinese(content: bool) -> Callable[[str], list[str]]:
    import rjieba

    return lambda line: [_word(word) for word in rjieba.cut(line) if HAS_LETTER_OR_DIGIT.search(word)]


def _thai(content: bool) -> Callable[[str], list[str]]:
    from pythainlp.tokenize import word_tokenize

    return lambda line: [
        _word(word)
        for word in word_tokenize(line, engine="newmm", keep_whitespace=False)
        if HAS_LETTER_OR_DIGIT.search(word)
    ]


def _word(form: str) -> str:
    # Some dictionary entries contain spaces, which no token may.
    return unicodedata.normalize("NFC", "".join(form.lower().split()))
