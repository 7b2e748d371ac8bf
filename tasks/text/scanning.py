"""Texts to tokens in one pass over their UTF-8 bytes, as compiled code.

The kernel cuts at ASCII whitespace, which no token spans. A stretch between whitespace is split here unless it needs
Unicode's tables; each other distinct stretch is split once per array, by the exact but slow rules.
"""

# Numba's compiled functions are untyped. The tests check what they return.
# mypy: disable-error-code="no-untyped-call, no-any-return"

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

# Compiled functions accept other types than their annotations.
njit: Callable[..., Callable[..., Any]] = numba.njit
SMALLEST_TABLE = 1 << 14
APOSTROPHE = ord("'")


def _byte_classes() -> tuple[NDArray[np.bool_], NDArray[np.uint8], NDArray[np.uint8]]:
    """Whether a byte is ASCII whitespace; what it is in a word: a letter in lower case or a digit, else 0; and itself.

    The last is 0 for ASCII whitespace.
    """
    space = np.zeros(256, np.bool_)
    word = np.zeros(256, np.uint8)
    itself = np.arange(256, dtype=np.uint8)
    for code in range(128):
        space[code] = chr(code).isspace()
        word[code] = ord(chr(code).lower()) if chr(code).isalnum() else 0
    itself[space] = 0
    return space, word, itself


IS_SPACE, WORD_BYTE, ANY_BYTE = _byte_classes()


def scan_words(texts: pa.Array, exact: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """Split texts into words of letters and digits, in lower case, with inner apostrophes.

    texts: (N,) strings without nulls.  exact: the tokenizer for the distinct stretches that are not ASCII, which
    returns a list of strings for each.  Returns (N,) lists of dictionary-encoded strings.
    """
    return _split(texts, WORD_BYTE, exact)


def scan_whitespace(texts: pa.Array, exact: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """Split texts at Unicode whitespace, as scan_words. exact: for the distinct stretches that may contain some."""
    return _split(texts, ANY_BYTE, exact)


def _split(texts: pa.Array, token_byte: NDArray[np.uint8], exact: Callable[[pa.Array], pa.Array]) -> pa.Array:
    texts = texts.cast(pa.string())
    _, offsets_buffer, data = texts.buffers()
    if not len(texts) or data is None or not data.size:
        none = pa.DictionaryArray.from_arrays(pa.array([], pa.int32()), pa.array([], pa.string()))
        return pa.ListArray.from_arrays(pa.array([0] * (len(texts) + 1), pa.int32()), none)
    offsets = np.frombuffer(offsets_buffer, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    letters = np.frombuffer(data, np.uint8)
    ids, row_offsets, distinct, starts, foreign = _scan(letters, offsets, IS_SPACE, token_byte)
    dictionary = pa.StringArray.from_buffers(len(starts) - 1, pa.py_buffer(starts), pa.py_buffer(distinct))
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


@njit(nogil=True, cache=True)
def _is_foreign(letters: NDArray[np.uint8], start: int, stop: int) -> bool:
    """Whether a stretch has bytes beyond ASCII other than dashes, double quotation marks and the ellipsis.

    Those separate words, like ASCII signs: U+2013, U+2014, U+201C, U+201D, U+2026.
    """
    at = start
    while at < stop:
        if letters[at] >= 128:
            if at + 2 >= stop or letters[at] != 0xE2 or letters[at + 1] != 0x80:
                return True
            third = letters[at + 2]
            if third != 0x93 and third != 0x94 and third != 0x9C and third != 0x9D and third != 0xA6:
                return True
            at += 2
        at += 1
    return False


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


@njit(nogil=True, cache=True)
def _scan(
    letters: NDArray[np.uint8],
    offsets: NDArray[np.int32],
    is_space: NDArray[np.bool_],
    token_byte: NDArray[np.uint8],
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.uint8], NDArray[np.int32], NDArray[np.uint8]]:
    """Ids of all tokens, offsets of the rows among them, and the distinct tokens: bytes, offsets, and if foreign.

    letters: (B,) UTF-8 bytes.  offsets: (N + 1,) row r is letters[offsets[r]:offsets[r + 1]].  token_byte: (256,) what
    becomes of a byte in a token, 0 if it separates.  A stretch that needs Unicode's tables is a token as a whole.
    """
    rows = len(offsets) - 1
    size = offsets[rows] - offsets[0]
    most = size // 2 + rows + 1
    # Pages that are never written cost nothing.
    ids = np.empty(most, np.int32)
    row_offsets = np.zeros(rows + 1, np.int32)
    distinct = np.empty(size + 1, np.uint8)
    starts = np.zeros(most + 1, np.int32)
    hashes = np.empty(most, np.uint64)
    foreign = np.empty(most, np.uint8)
    table = np.full(SMALLEST_TABLE, -1, np.int32)
    mask = np.uint64(SMALLEST_TABLE - 1)
    count, tokens, used = 0, 0, 0
    # Whether other signs than whitespace separate.
    words = token_byte[APOSTROPHE] == 0
    for row in range(rows):
        at, end = offsets[row], offsets[row + 1]
        while at < end:
            if is_space[letters[at]]:
                at += 1
                continue
            stop = at
            high = np.uint8(0)
            while stop < end and not is_space[letters[stop]]:
                high |= letters[stop]
                stop += 1
            other = high >= 128 and (
                _is_foreign(letters, at, stop) if words else _may_hold_whitespace(letters, at, stop)
            )
            while at < stop:
                # Copy one token after the distinct ones; it stays there if it is new.
                code = np.uint64(14695981039346656037)
                length = used
                if other:
                    while at < stop:
                        distinct[length] = letters[at]
                        code = (code ^ np.uint64(letters[at])) * np.uint64(1099511628211)
                        length += 1
                        at += 1
                else:
                    while at < stop and not token_byte[letters[at]]:
                        at += 1
                    while at < stop:
                        byte = token_byte[letters[at]]
                        if not byte:
                            if letters[at] != APOSTROPHE or at + 1 >= stop or not token_byte[letters[at + 1]]:
                                break
                            byte = np.uint8(APOSTROPHE)
                        distinct[length] = byte
                        code = (code ^ np.uint64(byte)) * np.uint64(1099511628211)
                        length += 1
                        at += 1
                    if length == used:
                        break
                code ^= code >> np.uint64(29)
                slot = code & mask
                found = table[slot]
                while found >= 0:
                    if hashes[found] == code and starts[found + 1] - starts[found] == length - used:
                        before = starts[found]
                        same = 0
                        while same < length - used and distinct[before + same] == distinct[used + same]:
                            same += 1
                        if same == length - used:
                            break
                    slot = (slot + np.uint64(1)) & mask
                    found = table[slot]
                if found < 0:
                    found = count
                    table[slot] = count
                    hashes[count] = code
                    foreign[count] = other
                    count += 1
                    used = length
                    starts[count] = used
                    if 2 * count > len(table):
                        table = np.full(2 * len(table), -1, np.int32)
                        mask = np.uint64(len(table) - 1)
                        for known in range(count):
                            slot = hashes[known] & mask
                            while table[slot] >= 0:
                                slot = (slot + np.uint64(1)) & mask
                            table[slot] = known
                ids[tokens] = found
                tokens += 1
        row_offsets[row + 1] = tokens
    return ids[:tokens].copy(), row_offsets, distinct[:used].copy(), starts[: count + 1].copy(), foreign[:count].copy()


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
