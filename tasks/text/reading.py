"""Read text as a corpus was read: clean it, cut it into words, and those into pieces."""

import pyarrow as pa
import pyarrow.compute as pc

from tasks.text.cleaning import clean_texts, drop_tokens, name_tokens, stop_words
from tasks.text.languages import is_language, segment
from tasks.text.options import PIECES, TokenizerConfig
from tasks.text.pieces import Pieces
from tasks.text.tokenizers import TOKENIZERS

# Scripts written without spaces, and the tokenizer that cuts each.
UNSEGMENTED = {
    "Han": "chinese",
    "Hiragana": "japanese",
    "Katakana": "japanese",
    "Thai": "thai",
    "Lao": "bpe",
    "Khmer": "bpe",
    "Myanmar": "bpe",
}
# Share of letters in such a script above which a word tokenizer gets a warning.
MOST_UNSEGMENTED = 0.1


def read_words(texts: pa.Array, config: TokenizerConfig) -> pa.Array:
    """Texts (N,) cleaned and split into words or morphemes (N,). Raises MissingExtraError."""
    cleaned = clean_texts(texts, config)
    lists = segment(cleaned, config) if is_language(config.words) else TOKENIZERS[config.words](cleaned)  # type: ignore[index]
    return name_tokens(lists, config)


class TextReader:
    """Reads text with the tokenizer of a table. pieces: its trained model, for bpe and unigram.

    Raises MissingExtraError if the tokenizer needs a package that is not installed.
    """

    def __init__(self, config: TokenizerConfig, pieces: str | None = None) -> None:
        self.config = config
        self._stop_words = stop_words(config)
        self._pieces = Pieces(pieces) if config.name in PIECES and pieces is not None else None

    def tokens(self, texts: pa.Array) -> pa.Array:
        """Texts (N,) as lists of tokens (N,), without joining phrases."""
        return self.finish(read_words(texts, self.config))

    def finish(self, words: pa.Array) -> pa.Array:
        """Lists of words without stop words, split into pieces."""
        kept = drop_tokens(words, self._stop_words)
        return self._pieces.cut(kept) if self._pieces else kept

    def cut(self, words: list[str]) -> list[list[str]]:
        """The tokens of each of some words of a gold set or query."""
        found: list[list[str]] = self.tokens(pa.array(words, pa.string())).to_pylist()
        return found

    def spellings(self, word: str, tokens: list[str]) -> list[str]:
        """What a table may call a word, most exact first: as it is, its tokens joined as a phrase, its only token."""
        joined = [self.config.phrase_delimiter.join(tokens)] if self.config.phrases and tokens else []
        return [word, *joined, *(tokens if len(tokens) == 1 else [])]


def unsegmented_share(texts: pa.Array) -> dict[str, float]:
    """Script -> share of the letters in each script that is written without spaces, where there are any."""
    letters = _count(texts, r"\p{L}")
    counts = {script: _count(texts, rf"\p{{{script}}}") for script in UNSEGMENTED}
    return {script: count / letters for script, count in counts.items() if count and letters}


def unsegmented_warning(texts: pa.Array, config: TokenizerConfig) -> str | None:
    """A warning with the remedy if a word tokenizer reads text without spaces between words, else None."""
    if is_language(config.name):
        return None
    shares = unsegmented_share(texts)
    if sum(shares.values()) <= MOST_UNSEGMENTED:
        return None
    # Japanese is mostly written in Han, but no other language has kana.
    kana = shares.get("Hiragana", 0) + shares.get("Katakana", 0)
    script = max(shares, key=lambda name: shares[name])
    remedy = "japanese" if kana > MOST_UNSEGMENTED / 2 else UNSEGMENTED[script]
    # A language without a segmenter here has pieces, and those need no words.
    if config.name in PIECES and remedy == "bpe":
        return None
    return (
        f"{sum(shares.values()):.0%} of the letters are {', '.join(shares)}, which is written without spaces, so "
        f"{config.words} keeps each run as one word; set tokenizer.name={remedy}"
    )


def _count(texts: pa.Array, pattern: str) -> int:
    return int(pc.sum(pc.count_substring_regex(texts, pattern)).as_py() or 0)
