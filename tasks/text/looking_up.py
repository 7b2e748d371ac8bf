"""The ids of words in a vocabulary, as compiled code over their UTF-8 bytes.

Arrow's `index_in` builds its table of the vocabulary again for each array of words, which takes longer than to look up.
"""

# Numba's compiled functions are untyped. The tests check what they return.
# mypy: disable-error-code="no-untyped-call, no-any-return"

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.compiled import uncounted
from tasks.text.scan_kernel import byte_hash

UNKNOWN = -1


class WordLookup:
    """Finds the ids of words. Several threads may use it.

    words: (V,) distinct strings, token_id = position.
    """

    def __init__(self, words: list[str]) -> None:
        self._letters, self._offsets = bytes_of(pa.array(words, pa.string()))
        self._table = np.full(1 << (2 * len(words)).bit_length(), UNKNOWN, np.int32)
        _fill(self._table, self._letters, self._offsets)

    def ids(self, words: pa.Array) -> NDArray[np.int32]:
        """The ids (N,) of words (N,), UNKNOWN for those that are not in the vocabulary."""
        found = np.empty(len(words), np.int32)
        _find(self._table, self._letters, self._offsets, *bytes_of(words), found)
        return found


def keep_known(
    tokens: NDArray[np.int32], ids: NDArray[np.int32], ends: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The ids of the tokens that have one, and the offsets of the rows among them.

    tokens: (N,) positions in `ids`.  ids: (D,) with UNKNOWN.  ends: (R,) where each row ends in `tokens`.
    Returns (M,) int32 and (R + 1,) int64.
    """
    kept, offsets = np.empty(len(tokens), np.int32), np.zeros(len(ends) + 1, np.int64)
    return kept[: _keep(tokens, ids, ends, kept, offsets)], offsets


def bytes_of(words: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """The UTF-8 bytes of an array of strings and its offsets (N + 1,) in them."""
    _, offsets, letters = words.cast(pa.string()).buffers()
    if offsets is None or letters is None:
        return np.zeros(0, np.uint8), np.zeros(len(words) + 1, np.int32)
    bounds = np.frombuffer(offsets, np.int32)[words.offset : words.offset + len(words) + 1]
    return np.frombuffer(letters, np.uint8), bounds


@uncounted()
def _slot(
    table: NDArray[np.int32],
    known: NDArray[np.uint8],
    offsets: NDArray[np.int32],
    letters: NDArray[np.uint8],
    start: int,
    stop: int,
) -> np.uint64:
    """The slot of a word: its own, or the empty one where it would be."""
    mask = np.uint64(len(table) - 1)
    slot = byte_hash(letters, start, stop) & mask
    while table[slot] != UNKNOWN:
        before = offsets[table[slot]]
        same = 0
        if offsets[table[slot] + 1] - before == stop - start:
            while same < stop - start and known[before + same] == letters[start + same]:
                same += 1
        if same == stop - start:
            break
        slot = (slot + np.uint64(1)) & mask
    return slot


@uncounted()
def _fill(table: NDArray[np.int32], known: NDArray[np.uint8], offsets: NDArray[np.int32]) -> None:
    for word in range(len(offsets) - 1):
        start, stop = np.int64(offsets[word]), np.int64(offsets[word + 1])
        table[_slot(table, known, offsets, known, start, stop)] = word


@uncounted()
def _find(
    table: NDArray[np.int32],
    known: NDArray[np.uint8],
    offsets: NDArray[np.int32],
    letters: NDArray[np.uint8],
    bounds: NDArray[np.int32],
    found: NDArray[np.int32],
) -> None:
    for word in range(len(found)):
        start, stop = np.int64(bounds[word]), np.int64(bounds[word + 1])
        found[word] = table[_slot(table, known, offsets, letters, start, stop)]


@uncounted()
def _keep(
    tokens: NDArray[np.int32],
    ids: NDArray[np.int32],
    ends: NDArray[np.int64],
    kept: NDArray[np.int32],
    offsets: NDArray[np.int64],
) -> int:
    count = at = 0
    for row in range(len(ends)):
        while at < ends[row]:
            known = ids[tokens[at]]
            # Written in any case, and kept by moving on: half of the branches would be guessed wrong.
            kept[count] = known
            count += known >= 0
            at += 1
        offsets[row + 1] = count
    return count
