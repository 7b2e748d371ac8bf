"""Describe a text: scripts, repeated documents and lines, and signs that it was read wrongly."""

import hashlib
import re
from collections import Counter
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

SCRIPTS = (
    "Latin", "Han", "Hangul", "Hiragana", "Katakana", "Cyrillic", "Greek", "Arabic", "Hebrew", "Devanagari", "Bengali",
    "Tamil", "Telugu", "Thai", "Lao", "Khmer", "Myanmar", "Georgian", "Armenian", "Ethiopic",
)  # fmt: skip
# Letters are counted in this much text; a share needs no more.
SCRIPT_BYTES = 32 << 20
HTML = re.compile(
    r"</?(?:p|div|span|br|a|b|i|li|ul|td|tr|table|img|h[1-6])\b[^<>]{0,300}>|&(?:amp|lt|gt|quot|nbsp|#\d+);"
)
# UTF-8 that was read as Latin-1 or Windows-1252, and characters that no decoder could read.
WRONG_ENCODING = re.compile("\ufffd|[ÃÂ][\u0080-\u00bf€™œŸ]|â€|ï»¿|\u0000")
SHORTEST_LINE = 20
MOST_LINES = 2_000_000
# Shares of documents from which a warning is due.
HTML_SHARE, ENCODING_SHARE, LINE_SHARE, DUPLICATE_SHARE = 0.01, 0.001, 0.05, 0.01
FEWEST_REPEATS = 10
SHORT_DOCUMENT = 3
SHOWN_LINES = 5


@dataclass
class TextProfile:
    """What is seen of documents, one after the other. Memory: 8 bytes a document, and for at most 2 M lines."""

    documents: int = 0
    characters: int = 0
    duplicates: int = 0
    with_html: int = 0
    with_wrong_encoding: int = 0
    letters: Counter[str] = field(default_factory=Counter)
    lines: Counter[str] = field(default_factory=Counter)
    _seen: set[bytes] = field(default_factory=set)
    _script_bytes: int = 0

    def add(self, text: str) -> None:
        """Look at a whole document."""
        self.documents += 1
        self.characters += len(text)
        digest = hashlib.blake2b(" ".join(text.split()).encode(), digest_size=8).digest()
        self.duplicates += digest in self._seen
        self._seen.add(digest)
        self.with_html += HTML.search(text) is not None
        self.with_wrong_encoding += WRONG_ENCODING.search(text) is not None
        if "\n" in text:
            for line in {line.strip() for line in text.splitlines()}:
                if len(line) >= SHORTEST_LINE and (line in self.lines or len(self.lines) < MOST_LINES):
                    self.lines[line] += 1

    def add_letters(self, texts: pa.Array) -> None:
        """Count the letters of texts by script, until enough were seen."""
        if self._script_bytes >= SCRIPT_BYTES:
            return
        self._script_bytes += pc.sum(pc.binary_length(texts)).as_py() or 0
        for script in ("L", *SCRIPTS):
            found = pc.sum(pc.count_substring_regex(texts, rf"[\p{{{script}}}]")).as_py()
            self.letters[script] += found or 0

    @property
    def scripts(self) -> dict[str, float]:
        """Script -> share of the letters, largest first."""
        total = sum(self.letters[script] for script in SCRIPTS)
        all_letters = max(self.letters["L"], total)
        shares = {script: self.letters[script] / all_letters for script in SCRIPTS if self.letters[script]}
        if all_letters > total:
            shares["other"] = 1 - total / all_letters
        return dict(sorted(shares.items(), key=lambda item: -item[1]))

    @property
    def repeated_lines(self) -> dict[str, int]:
        """Lines that many documents have -> how many documents."""
        fewest = max(FEWEST_REPEATS, LINE_SHARE * self.documents)
        return {line: count for line, count in self.lines.most_common(SHOWN_LINES) if count >= fewest}

    def warnings(self) -> list[str]:
        """What may be wrong with the text, each with the remedy."""
        found = []
        documents = max(1, self.documents)
        if self.with_html / documents >= HTML_SHARE:
            found.append(f"HTML in {self.with_html / documents:.1%} of the documents; remove the markup first")
        if self.with_wrong_encoding / documents >= ENCODING_SHARE:
            found.append(
                f"{self.with_wrong_encoding / documents:.1%} of the documents look decoded with the wrong encoding "
                "(Ã©, â€™, U+FFFD); convert the files to UTF-8 from their true encoding"
            )
        if self.documents > 1 and self.characters / documents < SHORT_DOCUMENT:
            found.append(
                f"documents have {self.characters / documents:.1f} characters on average; each letter or word seems to "
                "be a separate document: correct corpus.format or corpus.text_column"
            )
        if self.duplicates / documents >= DUPLICATE_SHARE:
            found.append(
                f"{self.duplicates / documents:.1%} of the documents repeat an earlier one; "
                "set tokenizer.duplicates=exact or near"
            )
        if lines := self.repeated_lines:
            line, count = next(iter(lines.items()))
            found.append(
                f"{len(lines)} or more lines repeat in many documents, for example {line[:60]!r} in {count:,}; "
                "remove such boilerplate first"
            )
        return found
