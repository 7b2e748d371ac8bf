"""Character n-grams of words and their hash buckets, as fastText forms them.

A word is marked as `<word>`; its n-grams are all runs of n code points of that. The bucket of an n-gram is the FNV-1a
hash of its UTF-8 bytes modulo the number of buckets. fastText reads bytes as signed, so those above 127 are extended to
32 bits with ones; models and tables of fastText, gensim and vecmill agree on every bucket.
Source: Bojanowski et al. 2017, "Enriching Word Vectors with Subword Information", and fastText's `Dictionary::hash`.
"""

# Numba's compiled functions are untyped. The tests check what they return.
# mypy: disable-error-code="no-untyped-call, no-any-return"

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tasks.compiled import njit

FNV_OFFSET = 2166136261
FNV_PRIME = 16777619


def ngram_buckets(
    words: Sequence[str], minimum: int, maximum: int, buckets: int
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The buckets of every word's n-grams of `minimum` to `maximum` code points.

    Returns (V + 1,) int64 offsets and (N,) int32 buckets: those of word w are buckets[offsets[w]:offsets[w + 1]]. A
    word shorter than minimum - 2 code points has none.
    """
    marked = [f"<{word}>".encode() for word in words]
    ends = np.cumsum([0, *map(len, marked)], dtype=np.int64)
    content = np.frombuffer(b"".join(marked), np.uint8)
    counts = _count(content, ends, minimum, maximum)
    offsets = np.cumsum(np.append(0, counts), dtype=np.int64)
    return offsets, _hash(content, ends, minimum, maximum, buckets, offsets)


@njit()
def _count(content: NDArray[np.uint8], ends: NDArray[np.int64], minimum: int, maximum: int) -> NDArray[np.int64]:
    counts = np.zeros(len(ends) - 1, np.int64)
    for word in range(len(counts)):
        characters = 0
        for position in range(ends[word], ends[word + 1]):
            characters += (content[position] & 0xC0) != 0x80
        for n in range(minimum, maximum + 1):
            counts[word] += max(0, characters - n + 1)
            if n == 1:
                # The two marks alone.
                counts[word] -= 2
    return counts


@njit()
def _hash(
    content: NDArray[np.uint8],
    ends: NDArray[np.int64],
    minimum: int,
    maximum: int,
    buckets: int,
    offsets: NDArray[np.int64],
) -> NDArray[np.int32]:
    hashed = np.empty(offsets[-1], np.int32)
    for word in range(len(ends) - 1):
        found = offsets[word]
        first, last = ends[word], ends[word + 1]
        for start in range(first, last):
            if (content[start] & 0xC0) == 0x80:
                continue
            value = np.uint64(FNV_OFFSET)
            position, length = start, 0
            while position < last and length < maximum:
                following = position + 1
                while following < last and (content[following] & 0xC0) == 0x80:
                    following += 1
                for place in range(position, following):
                    byte = np.uint64(content[place])
                    if byte > 127:
                        byte |= np.uint64(0xFFFFFF00)
                    value = ((value ^ byte) * np.uint64(FNV_PRIME)) & np.uint64(0xFFFFFFFF)
                position = following
                length += 1
                mark_alone = length == 1 and (start == first or position == last)
                if length >= minimum and not mark_alone:
                    hashed[found] = np.int32(value % np.uint64(buckets))
                    found += 1
    return hashed
