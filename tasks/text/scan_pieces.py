"""Put the pieces of stretches that the scan did not split into what it found."""

# Numba's compiled functions are untyped. The tests check what they return.
# mypy: disable-error-code="no-untyped-call, no-any-return"

import numpy as np
from numpy.typing import NDArray

from tasks.compiled import njit, uncounted
from tasks.text.byte_bits import ONE
from tasks.text.scan_kernel import SLOT, key_of, same_bytes, slot_of, token_in


@uncounted()
def find_tokens(
    letters: NDArray[np.uint8],
    bounds: NDArray[np.int32],
    slots: int,
    table: NDArray[np.uint64],
    distinct: NDArray[np.uint8],
    starts: NDArray[np.int32],
    foreign: NDArray[np.uint8],
    ids: NDArray[np.int32],
) -> None:
    """Fill the ids (N,) of strings among the distinct tokens of the last scan: -1 for others and for those to be split.

    letters, bounds: bytes of the strings and their N + 1 offsets.  slots, table: of the scan.
    distinct, starts, foreign: what the scan returned.
    """
    mask = np.uint64(slots * SLOT - 1)
    for word in range(len(ids)):
        start, stop = np.int64(bounds[word]), np.int64(bounds[word + 1])
        first, second = key_of(letters, start, stop)
        slot = slot_of(first, second, mask)
        found = token_in(table, slot)
        while found >= 0:
            if (
                table[slot] == first
                and table[slot + ONE] == second
                and same_bytes(second, distinct, starts, found, letters, start, stop)
            ):
                break
            slot = (slot + np.uint64(SLOT)) & mask
            found = token_in(table, slot)
        ids[word] = -1 if found >= 0 and foreign[found] else found


@njit()
def expand(
    ids: NDArray[np.int32],
    row_offsets: NDArray[np.int32],
    renamed: NDArray[np.int32],
    bounds: NDArray[np.int32],
    pieces: NDArray[np.int32],
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Rename ids, and replace those of stretches that were split; returns the ids and the offsets of the rows.

    renamed: the new id of each id, or -1 - s for stretch s, which becomes pieces[bounds[s]:bounds[s + 1]].
    """
    total = len(ids)
    for token in ids:
        stretch = -1 - renamed[token]
        if stretch >= 0:
            total += bounds[stretch + 1] - bounds[stretch] - 1
    expanded = np.empty(total, np.int32)
    expanded_offsets = np.zeros_like(row_offsets)
    written = 0
    for row in range(len(row_offsets) - 1):
        for at in range(row_offsets[row], row_offsets[row + 1]):
            token = renamed[ids[at]]
            if token >= 0:
                expanded[written] = token
                written += 1
                continue
            for piece in range(bounds[-1 - token], bounds[-token]):
                expanded[written] = pieces[piece]
                written += 1
        expanded_offsets[row + 1] = written
    return expanded, expanded_offsets
