"""Count words: a table of all distinct words, as compiled code over their UTF-8 bytes.

Arrow's grouping hashes every word again each time that partial counts are added up, which takes four times as long.
"""

# Numba's compiled functions are untyped. The tests check what they return.
# mypy: disable-error-code="no-untyped-call, no-any-return"

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.compiled import uncounted
from tasks.text.byte_bits import ONE, copy_bytes, prefetch
from tasks.text.looking_up import bytes_of
from tasks.text.scan_kernel import SLOT, TOKEN, key_of, same_bytes, slot_of, token_in

SMALLEST_TABLE, SMALLEST_TEXT = 1 << 14, 1 << 18
# The part of a slot that the scanner leaves unused.
COUNT = np.uint64(3)
# Words whose slots are loaded together.
AHEAD = 64


class WordCounter:
    """Counts the distinct tokens of token lists, in about 100 bytes each."""

    _distinct: int

    def __init__(self) -> None:
        self._clear()

    @property
    def distinct(self) -> int:
        """Distinct tokens so far."""
        return self._distinct

    def add(self, lists: pa.Array) -> None:
        """Count the tokens of an array of lists of strings, dictionary-encoded or not."""
        flat = lists.flatten()
        tokens = flat if pa.types.is_dictionary(flat.type) else flat.dictionary_encode()
        # Zero for words of a row group whose rows were not selected; those are passed over.
        counts = np.bincount(tokens.indices.to_numpy(), minlength=len(tokens.dictionary))
        letters, bounds = bytes_of(tokens.dictionary)
        done, keys = 0, np.empty((AHEAD, 2), np.uint64)
        while done < len(counts):
            done, self._distinct = _add(
                letters, bounds, counts, done, self._table, self._letters, self._starts, self._distinct, keys
            )
            if done < len(counts):
                self._grow(int(bounds[-1] - bounds[done]))

    def take(self) -> tuple[pa.Array, NDArray[np.int64]]:
        """The words so far and their counts (V,), most frequent first, ties by first occurrence; then starts again."""
        counts = np.empty(self._distinct, np.int64)
        _read(self._table, counts)
        starts = self._starts[: self._distinct + 1].astype(np.int32)
        words = pa.StringArray.from_buffers(self._distinct, pa.py_buffer(starts), pa.py_buffer(self._letters))
        self._clear()
        order = np.argsort(-counts, kind="stable")
        return words.take(pa.array(order)), counts[order]

    def _clear(self) -> None:
        self._distinct = 0
        self._table: NDArray[np.uint64] = np.zeros(SMALLEST_TABLE * SLOT, np.uint64)
        self._letters: NDArray[np.uint8] = np.empty(SMALLEST_TEXT, np.uint8)
        self._starts: NDArray[np.int64] = np.zeros(_most(SMALLEST_TABLE) + 1, np.int64)

    def _grow(self, size: int) -> None:
        """Make room for as many words again, and for `size` more bytes of them."""
        used = int(self._starts[self._distinct])
        if used + size > len(self._letters):
            self._letters = _longer(self._letters, 2 * (used + size))
        if self._distinct >= _most(len(self._table) // SLOT):
            table = np.zeros(2 * len(self._table), np.uint64)
            _move(self._table, table)
            self._table = table
            self._starts = _longer(self._starts, _most(len(table) // SLOT) + 1)


def _most(slots: int) -> int:
    """Words that a table of this many slots holds before it grows."""
    return slots * 3 // 4


def _longer(array: NDArray[Any], length: int) -> NDArray[Any]:
    longer = np.empty(length, array.dtype)
    longer[: len(array)] = array
    return longer


@uncounted()
def _add(
    letters: NDArray[np.uint8],
    bounds: NDArray[np.int32],
    counts: NDArray[np.int64],
    word: int,
    table: NDArray[np.uint64],
    known: NDArray[np.uint8],
    starts: NDArray[np.int64],
    distinct: int,
    keys: NDArray[np.uint64],
) -> tuple[int, int]:
    """Add the counts of words until something is full. Returns the first word not added, and the distinct words.

    keys: (AHEAD, 2), memory to work in.
    """
    mask = np.uint64(len(table) - 1)
    used = starts[distinct]
    while word < len(counts):
        # The table of a large corpus is not in the processor's caches: many slots are loaded at once.
        ahead = min(AHEAD, len(counts) - word)
        for place in range(ahead):
            start, stop = np.int64(bounds[word + place]), np.int64(bounds[word + place + 1])
            keys[place, 0], keys[place, 1] = key_of(letters, start, stop)
            prefetch(table, slot_of(keys[place, 0], keys[place, 1], mask))
        for place in range(ahead):
            start, stop = np.int64(bounds[word]), np.int64(bounds[word + 1])
            if counts[word]:
                if used + stop - start > len(known) or distinct + 1 >= len(starts):
                    return word, distinct
                first, second = keys[place]
                slot = slot_of(first, second, mask)
                while table[slot + TOKEN] and not (
                    table[slot] == first
                    and table[slot + ONE] == second
                    and same_bytes(second, known, starts, token_in(table, slot), letters, start, stop)
                ):
                    slot = (slot + np.uint64(SLOT)) & mask
                if not table[slot + TOKEN]:
                    copy_bytes(letters, start, stop, known, used)
                    used += stop - start
                    distinct += 1
                    starts[distinct] = used
                    table[slot] = first
                    table[slot + ONE] = second
                    table[slot + TOKEN] = np.uint64(distinct)
                table[slot + COUNT] += np.uint64(counts[word])
            word += 1
    return word, distinct


@uncounted()
def _read(table: NDArray[np.uint64], counts: NDArray[np.int64]) -> None:
    for slot in range(0, len(table), SLOT):
        token = token_in(table, np.uint64(slot))
        if token >= 0:
            counts[token] = np.int64(table[np.uint64(slot) + COUNT])


@uncounted()
def _move(table: NDArray[np.uint64], larger: NDArray[np.uint64]) -> None:
    mask = np.uint64(len(larger) - 1)
    for slot in range(0, len(table), SLOT):
        if table[slot + 2]:
            new = slot_of(table[slot], table[slot + 1], mask)
            while larger[new + TOKEN]:
                new = (new + np.uint64(SLOT)) & mask
            for number in range(SLOT):
                larger[new + np.uint64(number)] = table[slot + number]
