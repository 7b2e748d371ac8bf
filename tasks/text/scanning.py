"""Texts to words in one pass over their UTF-8 bytes, as compiled code.

The kernel cuts at ASCII whitespace, which no word spans. A stretch between whitespace whose characters are letters,
digits and separators without special rules is split here; each other distinct stretch is split once per array, by the
exact but slow rules.
"""

# Numba's compiled functions are untyped. The tests check what they return.
# mypy: disable-error-code="no-untyped-call, no-any-return"

import threading
import unicodedata
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

# Compiled functions accept other types than their annotations.
njit: Callable[..., Callable[..., Any]] = numba.njit
# Slots of the table of distinct tokens: 4 MiB of English have 45,000.
SMALLEST_TABLE = 1 << 14
BYTES_PER_SLOT = 32
APOSTROPHE = ord("'")
# Code points of up to three bytes in UTF-8; only the exact rules know longer ones.
FORMS_END = 1 << 16
SEPARATES, IS_EXACT = 0, -1
APOSTROPHES = (0x2018, 0x2019, 0xFF07)
# Signs that join letters of their script, and Hebrew, where quotation marks do. The final sigma depends on its place.
IN_CONTEXT = (0xB7, 0x2027, 0x3A3, *range(0x590, 0x600), *range(0xFB1D, 0xFB50))
# The letters of Hangul's syllables compose with each other.
CONJOINING_JAMO = range(0x1100, 0x1200)
# Tokens of up to this many bytes are compared as two numbers: the last 8 bytes, and those before with the length.
SHORT = 15
LONG = np.uint64(1 << 63)
# Knuth's multiplicative hash.
MIX = np.uint64(0x9E3779B97F4A7C15)


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

    A form is here only if it has as many bytes as the letter and does not depend on its neighbours. Marks compose with
    letters, and signs of format join, part or vanish. Characters that Python does not know may be letters in Arrow.
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
    letters = np.frombuffer(data, np.uint8)
    slots, fits = SMALLEST_TABLE, False
    while slots < (int(offsets[-1]) - int(offsets[0])) // BYTES_PER_SLOT:
        slots *= 2
    while not fits:
        scratch = _scratch(int(offsets[-1]) - int(offsets[0]), len(texts), slots)
        fits, ids, row_offsets, distinct, starts, foreign = _scan(
            letters, offsets, IS_SPACE, WORD_BYTE, FORMS, whole, slots, *scratch
        )
        slots *= 4
    dictionary = _strings(distinct, starts)
    is_foreign = foreign.view(np.bool_)
    if is_foreign.any():
        lists = exact(dictionary.filter(pa.array(is_foreign)))
        # The first of equal strings keeps its place, so ids of plain tokens are their ranks.
        plain = dictionary.filter(pa.array(~is_foreign))
        merged = pa.concat_arrays([plain, lists.flatten().cast(pa.string())]).dictionary_encode()
        dictionary = merged.dictionary
        lengths = np.ones(len(foreign), np.int64)
        lengths[is_foreign] = lists.value_lengths().to_numpy()
        first = np.empty(len(foreign), np.int64)
        first[~is_foreign] = np.arange(len(plain))
        first[is_foreign] = len(plain) + np.cumsum(lengths[is_foreign]) - lengths[is_foreign]
        ids, row_offsets = _expand(ids, row_offsets, first, lengths, np.array(merged.indices.to_numpy()))
    tokens = pa.DictionaryArray.from_arrays(pa.array(ids, pa.int32()), dictionary, safe=False)
    return pa.ListArray.from_arrays(pa.array(row_offsets, pa.int32()), tokens)


def _scratch(size: int, rows: int, slots: int) -> tuple[NDArray[Any], ...]:
    """Memory of this thread for texts of `size` bytes. New pages would cost as much time as the scan."""
    most = size // 2 + rows + 1
    held: dict[str, NDArray[Any]] = vars(_memory)
    wanted = {
        "ids": (most, np.int32),
        "distinct": (size + 1, np.uint8),
        "starts": (most + 1, np.int32),
        "foreign": (most, np.uint8),
        "table": (slots, np.int32),
        "keys": (slots, np.uint64),
        "heads": (slots, np.uint64),
    }
    for name, (length, kind) in wanted.items():
        if name not in held or len(held[name]) < length:
            held[name] = np.empty(length, kind)
    return tuple(held[name] for name in wanted)


def _strings(letters: NDArray[np.uint8], starts: NDArray[np.int32]) -> pa.Array:
    return pa.StringArray.from_buffers(len(starts) - 1, pa.py_buffer(starts), pa.py_buffer(letters))


@njit(nogil=True, cache=True)
def _may_hold_whitespace(letters: NDArray[np.uint8], start: int, stop: int) -> bool:
    """Whether a stretch has the first bytes of U+0085, U+00A0, U+1680, U+2000 to U+207F or U+3000 to U+303F."""
    for at in range(start, stop - 1):
        first, second = letters[at], letters[at + 1]
        if first == 0xC2:
            if second == 0x85 or second == 0xA0:
                return True
        elif (
            (first == 0xE1 and second == 0x9A)
            or (first == 0xE2 and second <= 0x81)
            or (first == 0xE3 and second == 0x80)
        ):
            return True
    return False


@njit(nogil=True, cache=True, inline="always")
def _letter(
    letters: NDArray[np.uint8], at: int, word_byte: NDArray[np.uint8], forms: NDArray[np.int32]
) -> tuple[Any, int]:
    """The character at `at`: its lower-case form, APOSTROPHE, SEPARATES or IS_EXACT; and its bytes."""
    byte = letters[at]
    if byte < 128:
        return (np.int32(APOSTROPHE) if byte == APOSTROPHE else np.int32(word_byte[byte])), 1
    if byte < 0xE0:
        return forms[(np.int32(byte & 0x1F) << 6) | np.int32(letters[at + 1] & 0x3F)], 2
    if byte < 0xF0:
        middle = np.int32(letters[at + 1] & 0x3F) << 6
        return forms[(np.int32(byte & 0x0F) << 12) | middle | np.int32(letters[at + 2] & 0x3F)], 3
    return np.int32(IS_EXACT), 4


@njit(nogil=True, cache=True)
def _is_exact(
    letters: NDArray[np.uint8], at: int, stop: int, word_byte: NDArray[np.uint8], forms: NDArray[np.int32]
) -> bool:
    """Whether a stretch has a character that only the exact rules know."""
    while at < stop:
        code, size = _letter(letters, at, word_byte, forms)
        if code == IS_EXACT:
            return True
        at += size
    return False


@njit(nogil=True, cache=True)
def _copy_word(
    letters: NDArray[np.uint8],
    at: int,
    stop: int,
    word_byte: NDArray[np.uint8],
    forms: NDArray[np.int32],
    copy: NDArray[np.uint8],
    length: int,
) -> tuple[int, int]:
    """Copy the next word from `at` on to copy[length:]. Returns the position after it and the new length."""
    code, size = SEPARATES, 0
    while at < stop:
        code, size = _letter(letters, at, word_byte, forms)
        if code not in (SEPARATES, APOSTROPHE):
            break
        at += size
    while at < stop:
        code, size = _letter(letters, at, word_byte, forms)
        if code == APOSTROPHE:
            if at + size >= stop or _letter(letters, at + size, word_byte, forms)[0] in (SEPARATES, APOSTROPHE):
                break
        elif code == SEPARATES:
            break
        if code < 128:
            copy[length] = code
            length += 1
        elif code < 0x800:
            copy[length] = 0xC0 | (code >> 6)
            copy[length + 1] = 0x80 | (code & 0x3F)
            length += 2
        else:
            copy[length] = 0xE0 | (code >> 12)
            copy[length + 1] = 0x80 | ((code >> 6) & 0x3F)
            copy[length + 2] = 0x80 | (code & 0x3F)
            length += 3
        at += size
    return at, length


@njit(nogil=True, cache=True)
def byte_hash(letters: NDArray[np.uint8], start: int, stop: int) -> np.uint64:
    """FNV-1a of some bytes."""
    code = np.uint64(14695981039346656037)
    for at in range(start, stop):
        code = (code ^ np.uint64(letters[at])) * np.uint64(1099511628211)
    return code ^ (code >> np.uint64(29))


@njit(nogil=True, cache=True)
def _scan(
    letters: NDArray[np.uint8],
    offsets: NDArray[np.int32],
    is_space: NDArray[np.bool_],
    word_byte: NDArray[np.uint8],
    forms: NDArray[np.int32],
    whole: bool,
    slots: int,
    ids: NDArray[np.int32],
    distinct: NDArray[np.uint8],
    starts: NDArray[np.int32],
    foreign: NDArray[np.uint8],
    table: NDArray[np.int32],
    keys: NDArray[np.uint64],
    heads: NDArray[np.uint64],
) -> tuple[bool, NDArray[np.int32], NDArray[np.int32], NDArray[np.uint8], NDArray[np.int32], NDArray[np.uint8]]:
    """Ids of all tokens, offsets of the rows among them, and the distinct tokens: bytes, offsets, and if to be split.

    letters: (B,) UTF-8 bytes.  offsets: (N + 1,) row r is letters[offsets[r]:offsets[r + 1]].
    slots: of the table, a power of two; the first result is False if the distinct tokens fill more than half of it.
    ids and all that follow: memory to work in; most look-ups read only the table, keys and heads.
    """
    rows = len(offsets) - 1
    row_offsets = np.zeros(rows + 1, np.int32)
    starts[0] = 0
    table[:slots] = -1
    mask = np.uint64(slots - 1)
    count, tokens, used = 0, 0, 0
    for row in range(rows):
        at, end = offsets[row], offsets[row + 1]
        # Start of the stretch at `at`; end of the last one known to be ASCII; end of the last one that is not.
        stretch, known_ascii, other_end = at, at, at
        other = False
        while at < end:
            # Copy one token after the distinct ones; it stays there if it is new.
            length = used
            # The last 8 bytes of the token, and those before.
            tag, head = np.uint64(0), np.uint64(0)
            tagged = True
            if at < other_end:
                tagged = False
                if other:
                    while at < other_end:
                        distinct[length] = letters[at]
                        length += 1
                        at += 1
                else:
                    at, length = _copy_word(letters, at, other_end, word_byte, forms, distinct, length)
                    if length == used:
                        stretch = at
                        continue
            elif whole:
                if is_space[letters[at]]:
                    at += 1
                    continue
                start = at
                high = np.uint8(0)
                while at < end and not is_space[letters[at]]:
                    high |= letters[at]
                    distinct[length] = letters[at]
                    head = (head << np.uint64(8)) | (tag >> np.uint64(56))
                    tag = (tag << np.uint64(8)) | np.uint64(letters[at])
                    length += 1
                    at += 1
                other = bool(high >= 128) and _may_hold_whitespace(letters, start, at)
            else:
                lower = word_byte[letters[at]]
                ends_in_space = True
                if lower:
                    while True:
                        distinct[length] = lower
                        head = (head << np.uint64(8)) | (tag >> np.uint64(56))
                        tag = (tag << np.uint64(8)) | np.uint64(lower)
                        length += 1
                        at += 1
                        if at == end:
                            break
                        lower = word_byte[letters[at]]
                        if not lower:
                            if is_space[letters[at]]:
                                break
                            if letters[at] != APOSTROPHE or at + 1 == end or not word_byte[letters[at + 1]]:
                                ends_in_space = False
                                break
                            lower = np.uint8(APOSTROPHE)
                elif is_space[letters[at]]:
                    at += 1
                    stretch = at
                    continue
                elif letters[at] < 128:
                    at += 1
                    continue
                else:
                    ends_in_space = False
                if not ends_in_space and at >= known_ascii:
                    stop = at
                    high = np.uint8(0)
                    while stop < end and not is_space[letters[stop]]:
                        high |= letters[stop]
                        stop += 1
                    if high >= 128:
                        # Read the whole stretch again, by other rules.
                        at, other_end = stretch, stop
                        other = _is_exact(letters, stretch, stop, word_byte, forms)
                        continue
                    known_ascii = stop
            if length - used <= SHORT:
                if not tagged:
                    for copied in range(used, length):
                        head = (head << np.uint64(8)) | (tag >> np.uint64(56))
                        tag = (tag << np.uint64(8)) | np.uint64(distinct[copied])
                head |= np.uint64(length - used) << np.uint64(56)
            else:
                head, tag = LONG, byte_hash(distinct, used, length)
            slot = ((((head * MIX) ^ tag) * MIX) >> np.uint64(32)) & mask
            found = table[slot]
            while found >= 0:
                if keys[slot] == tag and heads[slot] == head:
                    if head != LONG:
                        break
                    before = starts[found]
                    same = 0
                    if starts[found + 1] - before == length - used:
                        while same < length - used and distinct[before + same] == distinct[used + same]:
                            same += 1
                    if same == length - used:
                        break
                slot = (slot + np.uint64(1)) & mask
                found = table[slot]
            if found < 0:
                found = count
                table[slot] = count
                keys[slot] = tag
                heads[slot] = head
                foreign[count] = other
                count += 1
                used = length
                starts[count] = used
                if 2 * count > slots:
                    return False, ids[:0], row_offsets[:0], distinct[:0], starts[:0], foreign[:0]
            ids[tokens] = found
            tokens += 1
        row_offsets[row + 1] = tokens
    return (
        True,
        ids[:tokens].copy(),
        row_offsets,
        distinct[:used].copy(),
        starts[: count + 1].copy(),
        foreign[:count].copy(),
    )


@njit(nogil=True, cache=True)
def _expand(
    ids: NDArray[np.int32],
    row_offsets: NDArray[np.int32],
    first: NDArray[np.int64],
    lengths: NDArray[np.int64],
    pieces: NDArray[np.int32],
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Replace each id by pieces[first[id]:first[id] + lengths[id]]; returns the ids and the offsets of the rows."""
    total = 0
    for token in ids:
        total += lengths[token]
    expanded = np.empty(total, np.int32)
    expanded_offsets = np.zeros_like(row_offsets)
    written = 0
    for row in range(len(row_offsets) - 1):
        for at in range(row_offsets[row], row_offsets[row + 1]):
            token = ids[at]
            for piece in range(first[token], first[token] + lengths[token]):
                expanded[written] = pieces[piece]
                written += 1
        expanded_offsets[row + 1] = written
    return expanded, expanded_offsets
