"""Make untrusted text safe for a terminal: no control sequences, no reordering or hiding of other text."""

import unicodedata

# These format characters join letters in some scripts, where they are part of the word.
JOINERS = "\u200c\u200d"
ESCAPED_CATEGORIES = ("Cc", "Cf", "Cs", "Zl", "Zp", "Co", "Cn")


def printable(text: str, *, keep_lines: bool = False) -> str:
    r"""Escape control, bidirectional, other invisible and unassigned characters, e.g. as `\u202e`.

    keep_lines: keep newlines and tabs.
    """
    if text.isascii() and text.isprintable():
        return text
    kept = "\n\t" if keep_lines else ""
    return "".join(_escaped(character) if _is_hidden(character, kept) else character for character in text)


def _is_hidden(character: str, kept: str) -> bool:
    return character not in kept and character not in JOINERS and unicodedata.category(character) in ESCAPED_CATEGORIES


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
