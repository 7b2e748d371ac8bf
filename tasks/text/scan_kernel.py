"""The kernel behind scanning.py: distinct tokens and token ids of texts, from the bits of byte_bits.py."""

# Numba's compiled functions are untyped. The tests check what they return.
# mypy: disable-error-code="no-untyped-call, no-any-return"

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.compiled import uncounted
from tasks.text.byte_bits import (
    APOSTROPHE,
    ONE,
    copy_bytes,
    eight_bytes,
    mark_bytes,
    next_bit,
    next_gap,
    prefetch,
    put_eight_bytes,
)

SEPARATES, IS_EXACT = 0, -1
# Tokens of up to this many bytes are compared as two numbers: 8 bytes, and the 7 after them with the length.
SHORT = 15
LONG = np.uint64(1 << 63)
# Knuth's multiplicative hash.
MIX = np.uint64(0x9E3779B97F4A7C15)
# Of a token of n bytes, the bits of its first 8 bytes and of the others.
FIRST = np.array([(1 << 8 * min(n, 8)) - 1 for n in range(SHORT + 1)], np.uint64)
SECOND = np.array([(1 << 8 * max(n - 8, 0)) - 1 for n in range(SHORT + 1)], np.uint64)
# Turns ASCII letters into lower case and leaves digits and apostrophes.
LOWER = np.uint64(0x2020202020202020)
# Numbers of a slot, half of a cache line: the two of its token, then at TOKEN the token's id + 1.
SLOT, TOKEN = 4, np.uint64(2)
# Tokens that are searched together, after their slots were loaded together.
AHEAD = 64


class Memory(NamedTuple):
    """Arrays that a scan of B bytes in N rows fills or works in, at least as long as stated; T = B // 2 + N + 1.

    ids: (T,) of all tokens.  distinct: (B + 16,) bytes of the distinct tokens.  starts: (T + 1,) their offsets.
    foreign: (T,) whether each is to be split.  copies: (B + 16,) bytes of tokens that were changed.
    table: of `slots` slots.  token_bits, other_bits: (B // BLOCK + 2,), see `mark_bytes`.  last_block: (BLOCK,) zeros.
    Of tokens that are not searched yet, (AHEAD,) each: keys, with two numbers; where their bytes are in `copies` and
    how many they are; to_split.
    """

    ids: NDArray[np.int32]
    distinct: NDArray[np.uint8]
    starts: NDArray[np.int32]
    foreign: NDArray[np.uint8]
    copies: NDArray[np.uint8]
    table: NDArray[np.uint64]
    token_bits: NDArray[np.uint64]
    other_bits: NDArray[np.uint64]
    last_block: NDArray[np.uint8]
    keys: NDArray[np.uint64]
    copy_offsets: NDArray[np.int64]
    lengths: NDArray[np.int64]
    to_split: NDArray[np.uint8]


@uncounted()
def _holds_whitespace(letters: NDArray[np.uint8], start: int, stop: int) -> bool:
    """Whether a stretch has one of U+0085, U+00A0, U+1680, U+2000 to U+200A, U+2028, U+2029, U+202F, U+205F, U+3000."""
    for at in range(start, stop - 1):
        first, second = letters[at], letters[at + 1]
        if first == 0xC2 and (second == 0x85 or second == 0xA0):
            return True
        if at + 2 == stop:
            break
        third = letters[at + 2]
        if first == 0xE2 and second == 0x80:
            if third <= 0x8A or third == 0xA8 or third == 0xA9 or third == 0xAF:
                return True
        elif (
            (first == 0xE2 and second == 0x81 and third == 0x9F)
            or (first == 0xE1 and second == 0x9A and third == 0x80)
            or (first == 0xE3 and second == 0x80 and third == 0x80)
        ):
            return True
    return False


@uncounted(inline="always")
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


@uncounted()
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


@uncounted()
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


@uncounted()
def byte_hash(letters: NDArray[np.uint8], start: int, stop: int) -> np.uint64:
    """FNV-1a of some bytes."""
    code = np.uint64(14695981039346656037)
    for at in range(start, stop):
        code = (code ^ np.uint64(letters[at])) * np.uint64(1099511628211)
    return code ^ (code >> np.uint64(29))


@uncounted()
def key_of(letters: NDArray[np.uint8], start: int, stop: int) -> tuple[Any, Any]:
    """Two numbers for a token: its bytes and their number, or for a long one its hash and LONG."""
    length = stop - start
    if length > SHORT:
        return byte_hash(letters, start, stop), LONG
    if start + 16 <= len(letters):
        first = eight_bytes(letters, start) & FIRST[length]
        second = eight_bytes(letters, start + 8) & SECOND[length]
    else:
        first, second = np.uint64(0), np.uint64(0)
        for index in range(length):
            byte = np.uint64(letters[start + index]) << np.uint64(8 * (index & 7))
            if index < 8:
                first |= byte
            else:
                second |= byte
    return first, second | (np.uint64(length) << np.uint64(56))


@uncounted(inline="always")
def slot_of(first: np.uint64, second: np.uint64, mask: np.uint64) -> Any:  # noqa: ANN401
    """Where a token is searched first. mask: numbers in the table, a power of two, less one."""
    return (((((second * MIX) ^ first) * MIX) >> np.uint64(32)) * np.uint64(SLOT)) & mask


@uncounted(inline="always")
def token_in(table: NDArray[np.uint64], slot: np.uint64) -> Any:  # noqa: ANN401
    """The token of a slot, -1 for none."""
    return np.int64(table[slot + TOKEN]) - 1


@uncounted()
def same_bytes(
    second: np.uint64,
    distinct: NDArray[np.uint8],
    starts: NDArray[np.int64],
    token: int,
    letters: NDArray[np.uint8],
    start: int,
    stop: int,
) -> bool:
    """Whether the distinct token with the key of letters[start:stop] is that; always so for a short one."""
    if second != LONG:
        return True
    before, length, same = starts[token], stop - start, 0
    if starts[token + 1] - before != length:
        return False
    while same < length and distinct[before + same] == letters[start + same]:
        same += 1
    return bool(same == length)


@uncounted()
def _search(
    keys: NDArray[np.uint64],
    lengths: NDArray[np.int64],
    copy_offsets: NDArray[np.int64],
    to_split: NDArray[np.uint8],
    copies: NDArray[np.uint8],
    mask: np.uint64,
    count: int,
    ids: NDArray[np.int32],
    distinct: NDArray[np.uint8],
    starts: NDArray[np.int32],
    foreign: NDArray[np.uint8],
    table: NDArray[np.uint64],
) -> int:
    """Fill the ids (P,) of tokens, and add those that are new. Returns the number of distinct tokens.

    keys: (P, 2).  lengths, copy_offsets: (P,) where the bytes of a long token are in `copies`.
    """
    for token in range(len(ids)):
        first, second = keys[token]
        offset, length = copy_offsets[token], lengths[token]
        slot = slot_of(first, second, mask)
        found = token_in(table, slot)
        # As in counting.py and scan_pieces.py; one function for all takes 15 % longer, also where it is inlined.
        while found >= 0:
            if (
                table[slot] == first
                and table[slot + ONE] == second
                and same_bytes(second, distinct, starts, found, copies, offset, offset + length)
            ):
                break
            slot = (slot + np.uint64(SLOT)) & mask
            found = token_in(table, slot)
        if found < 0:
            used = starts[count]
            if second == LONG:
                copy_bytes(copies, offset, offset + length, distinct, used)
            else:
                # Up to 16 bytes, of which the next token overwrites those that are too many.
                put_eight_bytes(distinct, used, first)
                put_eight_bytes(distinct, used + 8, second)
            found = count
            count += 1
            table[slot] = first
            table[slot + ONE] = second
            table[slot + TOKEN] = np.uint64(count)
            foreign[found] = to_split[token]
            starts[count] = used + length
        ids[token] = found
    return count


@uncounted()
def scan(
    letters: NDArray[np.uint8],
    offsets: NDArray[np.int32],
    is_space: NDArray[np.bool_],
    word_byte: NDArray[np.uint8],
    forms: NDArray[np.int32],
    whole: bool,
    slots: int,
    memory: Memory,
    row_offsets: NDArray[np.int32],
) -> tuple[bool, Any, Any]:
    """Find all tokens; returns whether they fit, their number and that of the distinct ones.

    letters: (B,) UTF-8 bytes.  offsets: (N + 1,) row r is letters[offsets[r]:offsets[r + 1]]; all bytes are in rows.
    whole: split at whitespace alone.
    slots: of the table, a power of two; the tokens do not fit if the distinct ones fill more than three quarters.
    row_offsets: (N + 1,) zeros, which become the offsets of the rows among the tokens.
    """
    (
        ids, distinct, starts, foreign, copies, table, token_bits, other_bits, last_block,
        keys, copy_offsets, lengths, to_split,
    ) = memory  # fmt: skip
    rows, size = len(offsets) - 1, len(letters)
    starts[0] = 0
    for number in range(slots * SLOT):
        table[number] = 0
    mark_bytes(letters, whole, token_bits, other_bits, last_block)
    fold = np.uint64(0) if whole else LOWER
    mask = np.uint64(slots * SLOT - 1)
    # One type for all numbers: each function is compiled again for every combination of types.
    count = tokens = waiting = used = np.int64(0)
    for row in range(rows):
        at, end = np.int64(offsets[row]), np.int64(offsets[row + 1])
        # The next byte that is not ASCII, and if words are split, the stretch between whitespace that it is in.
        next_other = next_bit(other_bits, at, end)
        clean, stretch_end = end, end
        exact = False
        if not whole and next_other < end:
            clean, stretch_end = _stretch(letters, at, next_other, end, is_space)
            exact = _is_exact(letters, clean, stretch_end, word_byte, forms)
        while at < end:
            # The token's bytes are letters[start:at], or copied to copies[used:length].
            length, copied, foreign_token = used, True, False
            start = at
            if at < clean:
                start = next_bit(token_bits, at, clean)
                if start == clean:
                    at = clean
                    continue
                at = next_gap(token_bits, start, clean)
                stop = at
                if whole:
                    if next_other < stop:
                        foreign_token = _holds_whitespace(letters, start, stop)
                        next_other = next_bit(other_bits, stop, end)
                else:
                    # An apostrophe joins letters of two rows in the bits.
                    if start == offsets[row] and letters[start] == APOSTROPHE:
                        at = start + 1
                        continue
                    if stop == end and letters[stop - 1] == APOSTROPHE:
                        stop -= 1
                if stop - start <= SHORT and start + 16 <= size:
                    copied = False
                    length = used + stop - start
                else:
                    for position in range(start, stop):
                        copies[length] = letters[position] if whole else word_byte[letters[position]] or APOSTROPHE
                        length += 1
            else:
                foreign_token = exact
                if exact:
                    while at < stretch_end:
                        copies[length] = letters[at]
                        length += 1
                        at += 1
                else:
                    at, length = _copy_word(letters, at, stretch_end, word_byte, forms, copies, length)
                if at >= stretch_end:
                    next_other = next_bit(other_bits, at, end)
                    clean, stretch_end = end, end
                    if next_other < end:
                        clean, stretch_end = _stretch(letters, at, next_other, end, is_space)
                        exact = _is_exact(letters, clean, stretch_end, word_byte, forms)
                if length == used:
                    continue
            if not copied:
                first = (eight_bytes(letters, start) | fold) & FIRST[length - used]
                second = (eight_bytes(letters, start + 8) | fold) & SECOND[length - used]
                second |= np.uint64(length - used) << np.uint64(56)
            else:
                first, second = key_of(copies, used, length)
            keys[waiting, 0], keys[waiting, 1] = first, second
            copy_offsets[waiting], lengths[waiting], to_split[waiting] = used, length - used, foreign_token
            prefetch(table, slot_of(first, second, mask))
            if copied:
                used = length
            waiting += 1
            tokens += 1
            if waiting == AHEAD:
                found = ids[tokens - AHEAD : tokens]
                count = _search(
                    keys, lengths, copy_offsets, to_split, copies, mask, count, found, distinct, starts, foreign, table
                )
                waiting = used = np.int64(0)
                if 4 * count > 3 * slots:
                    return False, tokens, count
        row_offsets[row + 1] = tokens
    found = ids[tokens - waiting : tokens]
    count = _search(keys, lengths, copy_offsets, to_split, copies, mask, count, found, distinct, starts, foreign, table)
    return True, tokens, count


@uncounted()
def _stretch(
    letters: NDArray[np.uint8], start: int, inside: int, end: int, is_space: NDArray[np.bool_]
) -> tuple[int, int]:
    """The bytes between ASCII whitespace around `inside`, within letters[start:end]."""
    first, stop = inside, inside
    while first > start and not is_space[letters[first - 1]]:
        first -= 1
    while stop < end and not is_space[letters[stop]]:
        stop += 1
    return first, stop
