"""Texts to words in one pass over their UTF-8 bytes, as compiled code.

The kernel cuts at ASCII whitespace, which no word spans. A stretch between whitespace whose characters are letters,
digits and separators without special rules is split there; each other distinct stretch is split once per array, by the
exact but slow rules.
"""

import threading
import unicodedata
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.text.byte_bits import APOSTROPHE, BLOCK
from tasks.text.looking_up import bytes_of
from tasks.text.scan_kernel import AHEAD, IS_EXACT, SEPARATES, SLOT, Memory, scan
from tasks.text.scan_pieces import expand, find_tokens

# Slots of the table of distinct tokens: 4 MiB of English have 45,000.
SMALLEST_TABLE = 1 << 14
BYTES_PER_SLOT = 64
# Code points of up to three bytes in UTF-8; only the exact rules know longer ones.
FORMS_END = 1 << 16
APOSTROPHES = (0x2018, 0x2019, 0xFF07)
# Signs that join letters of their script, and Hebrew, where quotation marks do. The final sigma depends on its place.
IN_CONTEXT = (0xB7, 0x2027, 0x3A3, *range(0x590, 0x600), *range(0xFB1D, 0xFB50))
# The letters of Hangul's syllables compose with each other.
CONJOINING_JAMO = range(0x1100, 0x1200)


def _byte_classes() -> tuple[NDArray[np.bool_], NDArray[np.uint8]]:
    """Whether a byte is ASCII whitespace; and the lower-case form of an ASCII letter or digit, 0 for other bytes."""
    space = np.zeros(256, np.bool_)
    word = np.zeros(256, np.uint8)
    for code in range(128):
        space[code] = chr(code).isspace()
        word[code] = ord(chr(code).lower()) if chr(code).isalnum() else 0
    return space, word


def _forms() -> NDArray[np.int32]:
    """The lower-case form of each letter or digit below FORMS_END, APOSTROPHE, SEPARATES or IS_EXACT for the others.

    A form is here only if it has the same number of bytes as the letter and does not depend on its neighbours. Marks
    compose with letters; format characters join, split or vanish. Characters unknown to Python may be letters in
    Arrow.
    """
    found = np.full(FORMS_END, IS_EXACT, np.int32)
    for code in range(128, FORMS_END):
        letter = chr(code)
        category = unicodedata.category(letter)
        if category[0] in "ZPS" or category == "Cc":
            if unicodedata.is_normalized("NFC", letter):
                found[code] = SEPARATES
        elif category[0] in "LN":
            lower = letter.lower()
            same_size = len(lower.encode()) == len(letter.encode())
            if len(lower) == 1 and same_size and unicodedata.is_normalized("NFC", lower):
                found[code] = ord(lower)
    found[[*IN_CONTEXT, *CONJOINING_JAMO]] = IS_EXACT
    found[list(APOSTROPHES)] = APOSTROPHE
    return found


IS_SPACE, WORD_BYTE = _byte_classes()
FORMS = _forms()
_memory = threading.local()


def scan_words(texts: pa.Array, exact: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """Split texts into words of letters and digits, in lower case, with inner apostrophes.

    texts: (N,) strings without nulls.  exact: the tokenizer for the distinct stretches that need Unicode's tables,
    which returns a list of strings for each.  Returns (N,) lists of dictionary-encoded strings.
    """
    return _split(texts, exact, whole=False)


def scan_whitespace(texts: pa.Array, exact: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """Split texts at Unicode whitespace, as scan_words. exact: for the distinct stretches that may contain some."""
    return _split(texts, exact, whole=True)


def _split(texts: pa.Array, exact: Callable[[pa.Array], pa.Array], *, whole: bool) -> pa.Array:
    texts = texts.cast(pa.string())
    _, offsets_buffer, data = texts.buffers()
    if not len(texts) or data is None or not data.size:
        none = pa.DictionaryArray.from_arrays(pa.array([], pa.int32()), pa.array([], pa.string()))
        return pa.ListArray.from_arrays(pa.array([0] * (len(texts) + 1), pa.int32()), none)
    offsets = np.frombuffer(offsets_buffer, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    letters = np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]]
    offsets = offsets - offsets[0]
    slots, fits = SMALLEST_TABLE, False
    while slots < len(letters) // BYTES_PER_SLOT:
        slots *= 2
    while not fits:
        memory = _memory_for(len(letters), len(texts), slots)
        row_offsets = np.zeros(len(texts) + 1, np.int32)
        fits, tokens, count = scan(letters, offsets, IS_SPACE, WORD_BYTE, FORMS, whole, slots, memory, row_offsets)
        searched, slots = slots, 4 * slots
    ids, starts, foreign = memory.ids[:tokens].copy(), memory.starts[: count + 1].copy(), memory.foreign[:count].copy()
    distinct = memory.distinct[: starts[count]].copy()
    dictionary = _strings(distinct, starts)
    is_foreign = foreign.view(np.bool_)
    if is_foreign.any():
        lists = exact(dictionary.filter(pa.array(is_foreign)))
        pieces = lists.flatten().cast(pa.string()).dictionary_encode()
        # Searched in the scan's table: encoding all distinct tokens again would take a quarter of the scan's time.
        known = np.empty(len(pieces.dictionary), np.int32)
        find_tokens(*bytes_of(pieces.dictionary), searched, memory.table, distinct, starts, foreign, known)
        is_new = known < 0
        dictionary = pa.concat_arrays(
            [dictionary.filter(pa.array(~is_foreign)), pieces.dictionary.filter(pa.array(is_new))]
        )
        plain = np.cumsum(~is_foreign, dtype=np.int32)
        renamed = np.where(is_foreign, -np.cumsum(is_foreign, dtype=np.int32), plain - 1)
        piece_ids = np.where(is_new, plain[-1] + np.cumsum(is_new, dtype=np.int32) - 1, renamed[known])
        bounds = np.concatenate([[0], np.cumsum(lists.value_lengths().to_numpy(), dtype=np.int32)], dtype=np.int32)
        ids, row_offsets = expand(ids, row_offsets, renamed, bounds, piece_ids[pieces.indices.to_numpy()])
    tokens = pa.DictionaryArray.from_arrays(pa.array(ids, pa.int32()), dictionary, safe=False)
    return pa.ListArray.from_arrays(pa.array(row_offsets, pa.int32()), tokens)


def _memory_for(size: int, rows: int, slots: int) -> Memory:
    """Memory of this thread for texts of `size` bytes. New pages would cost as much time as the scan."""
    most = size // 2 + rows + 1
    held: dict[str, NDArray[Any]] = vars(_memory)
    wanted = {
        "ids": (most, np.int32),
        "distinct": (size + 16, np.uint8),
        "starts": (most + 1, np.int32),
        "foreign": (most, np.uint8),
        "copies": (size + 16, np.uint8),
        "table": (slots * SLOT, np.uint64),
        "token_bits": (size // BLOCK + 2, np.uint64),
        "other_bits": (size // BLOCK + 2, np.uint64),
    }
    for name, (length, kind) in wanted.items():
        if name not in held or len(held[name]) < length:
            held[name] = np.empty(length, kind)
    return Memory(
        **{name: held[name] for name in wanted},
        last_block=np.zeros(BLOCK, np.uint8),
        keys=np.empty((AHEAD, 2), np.uint64),
        copy_offsets=np.empty(AHEAD, np.int64),
        lengths=np.empty(AHEAD, np.int64),
        to_split=np.empty(AHEAD, np.uint8),
    )


def _strings(letters: NDArray[np.uint8], starts: NDArray[np.int32]) -> pa.Array:
    return pa.StringArray.from_buffers(len(starts) - 1, pa.py_buffer(starts), pa.py_buffer(letters))
