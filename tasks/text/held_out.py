"""Choose sequences of items whose last item is held out of training.

The choice depends only on the items of a sequence, not on its position: repetitions of a sequence are chosen
together, in whatever order they list the other items, and a grown corpus keeps its choice.
"""

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# At most this share of the sequences.
LARGEST_SHARE = 0.1
# A sequence of more items says little about a single one. It also keeps documents of several parts out of the choice.
MOST_ITEMS = 1000
MULTIPLIERS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


def item_hashes(items: Sequence[str]) -> NDArray[np.uint64]:
    """(V,) 64-bit hashes of the items, the same in every process."""
    low = np.fromiter((zlib.crc32(item.encode()) for item in items), np.uint64, len(items))
    return _mixed(low + np.uint64(0x9E3779B97F4A7C15))


def last_items(
    token_ids: NDArray[np.int32],
    offsets: NDArray[np.int64],
    parts: NDArray[np.int32],
    hashes: NDArray[np.uint64],
    share: float,
) -> NDArray[np.int64]:
    """The rows whose last item is held out, about `share` of those that qualify.

    A row qualifies if it is a whole sequence of two or more items and its last item occurs once in it.
    token_ids: (N,).  offsets: (R + 1,).  parts: (R,) number of each row within its document.  hashes: (V,) of the
    items.  Returns (H,) row numbers, rising.
    """
    lengths = np.diff(offsets)
    rows = np.flatnonzero((parts == 0) & (lengths >= 2) & (lengths <= MOST_ITEMS))
    if not len(rows):
        return rows
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(hashes[token_ids], dtype=np.uint64)])
    chance = _mixed(sums[offsets[rows + 1]] - sums[offsets[rows]])
    rows = rows[chance < np.uint64(min(share, LARGEST_SHARE) * 2.0**64)]
    once = [token_ids[offsets[row + 1] - 1] not in token_ids[offsets[row] : offsets[row + 1] - 1] for row in rows]
    chosen: NDArray[np.int64] = rows[np.array(once, bool)]
    return chosen


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finalizer, in which every bit depends on all others. Source: Steele, Lea and Flood 2014."""
    for multiplier, shift in zip(MULTIPLIERS, (30, 27), strict=True):
        values = (values ^ (values >> np.uint64(shift))) * np.uint64(multiplier)
    return values ^ (values >> np.uint64(31))
