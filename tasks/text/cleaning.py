"""Clean text before it is tokenized, and tokens afterwards; every step is an option."""

import re
import unicodedata
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.text.languages import import_extra
from tasks.text.options import TokenizerConfig

# Stand-ins that every tokenizer keeps as one word, and the tokens they become.
NAMED_TOKENS = {"qxnumqx": "<num>", "qxurlqx": "<url>", "qxmailqx": "<email>"}
NUMBER, URL, EMAIL = NAMED_TOKENS
URLS = re.compile(r"(?:https?|ftp)://[^\s<>\"]+[^\s<>\".,;:!?)\]}'»”]|\bwww\.[\w-]+\.[^\s<>\"]*[\w/]", re.IGNORECASE)
EMAILS = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
# Letters may follow a decimal, as a unit (1.5km); other digits with letters are a word (3rd, co2).
NUMBERS = re.compile(r"(?<![\w'])(?:\d+(?:[.,]\d+)++|\d++(?!\w))")
ACCENTS = re.compile("[\u0300-\u036f]")
# Ends of sentences: signs of any script, closing quotes after them, then a space; a full-width sign needs no space.
SENTENCE_END = re.compile(r"(?:[.!?…؟।॥]+[\"'”’»)\]]*(?=\s)|[。！？]+[」』”’）]*)\s*|\n+\s*")
# A full stop after these, or after a single letter, does not end a sentence.
ABBREVIATION = re.compile(
    r"(?:^|[\s(\"'])(?:\w|mr|mrs|ms|dr|prof|st|vs|etc|no|vol|fig|al|e\.g|i\.e|cf|ca|approx|jr|sr|inc|ltd|co|u\.s)\.$",
    re.IGNORECASE,
)
ISO = "iso:"


def clean_texts(texts: pa.Array, config: TokenizerConfig) -> pa.Array:
    """Texts with compatibility characters, links, accents and numbers replaced as the settings say. (N,) -> (N,)."""
    if not (config.nfkc or config.strip_accents or config.numbers != "keep" or config.links != "keep"):
        return texts
    return pa.array([_clean(text, config) for text in texts.to_pylist()], pa.string())


def _clean(text: str, config: TokenizerConfig) -> str:
    if config.nfkc:
        text = unicodedata.normalize("NFKC", text)
    if config.links != "keep":
        text = URLS.sub(f" {URL} " if config.links == "token" else " ", text)
        text = EMAILS.sub(f" {EMAIL} " if config.links == "token" else " ", text)
    if config.strip_accents:
        text = unicodedata.normalize("NFC", ACCENTS.sub("", unicodedata.normalize("NFD", text)))
    if config.numbers == "token":
        text = NUMBERS.sub(f" {NUMBER} ", text)
    return text


def name_tokens(lists: pa.Array, config: TokenizerConfig) -> pa.Array:
    """Token lists in which stand-ins and, if numbers are replaced, tokens of digits only have their final names."""
    if config.numbers == "keep" and config.links != "token":
        return lists
    tokens = lists.flatten().dictionary_encode()
    names = tokens.dictionary.to_pylist()
    numbers = config.numbers == "token"
    renamed = [NAMED_TOKENS.get(name, "<num>" if numbers and name.isdecimal() else name) for name in names]
    renamed_tokens = pa.array(renamed, pa.string()).take(tokens.indices)
    return pa.ListArray.from_arrays(pa.array(list_offsets(lists), pa.int32()), renamed_tokens)


def drop_tokens(lists: pa.Array, unwanted: frozenset[str]) -> pa.Array:
    """Token lists (N,) without the unwanted tokens."""
    if not unwanted:
        return lists
    tokens = lists.flatten()
    kept = pc.invert(pc.is_in(tokens, value_set=pa.array(sorted(unwanted), pa.string())))
    before = np.concatenate([[0], np.cumsum(kept.to_numpy(zero_copy_only=False))])
    offsets = before[list_offsets(lists)]
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), tokens.filter(kept))


def stop_words(config: TokenizerConfig) -> frozenset[str]:
    """The words to drop. `iso:en` is a list of stopwordsiso.

    Raises ValueError for a language without a list, MissingExtraError without the package.
    """
    words: set[str] = set()
    for entry in config.stop_words:
        if not entry.startswith(ISO):
            words.add(entry)
            continue
        lists = import_extra("stopwordsiso", "text", f"tokenizer.stop_words={entry}")
        language = entry.removeprefix(ISO)
        if language not in lists.langs():
            raise ValueError(
                f"tokenizer.stop_words: no list for {language!r}; the languages are {', '.join(sorted(lists.langs()))}"
            )
        words |= lists.stopwords(language)
    return frozenset(words)


def split_sentences(text: str) -> Iterator[str]:
    """The sentences of a text, without blank ones. A line always ends one. Joined they contain all non-space text."""
    start = 0
    for match in SENTENCE_END.finditer(text):
        if "\n" not in match[0] and ABBREVIATION.search(text, max(start, match.start() - 12), match.start() + 1):
            continue
        if sentence := text[start : match.end()].strip():
            yield sentence
        start = match.end()
    if rest := text[start:].strip():
        yield rest


def language_of(text: str) -> str:
    """ISO 639-1 code of the most likely language, by py3langid. Raises MissingExtraError without the package."""
    code: str = import_extra("py3langid", "text", "tokenizer.languages").classify(text)[0]
    return code


def list_offsets(lists: pa.Array) -> NDArray[np.int64]:
    """Offsets (N + 1,) of N lists into their flattened values, also for a slice."""
    lengths = lists.value_lengths().to_numpy(zero_copy_only=False)
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
