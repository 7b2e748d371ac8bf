"""The compiled training loop of fastText on a CPU: word2vec's windows over vectors that are means of n-gram vectors.

A word's input vector is the mean of its own row and the rows of its n-grams. The chunk is trained in short segments:
the vectors of the words of a segment are composed once, `train_chunk` trains them as if they were rows, and the change
of each vector is then added to every row that it was composed of, as fastText adds the gradient of the mean. Composing
for every window would cost fifteen times as many rows. The changes of one segment to a row add up without seeing each
other, so segments are short enough that no row is used often in one (`subwords.segment_tokens`).
"""

# Numba's compiled functions are untyped. The tests check what they return.
# mypy: disable-error-code="no-untyped-call, no-any-return"

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.compiled import njit, uncounted
from tasks.trainers.cpu import kernel, vector_code, window_code
from tasks.trainers.cpu.kernel import FAST, Copies, Radii, Rates, _random_bits, code_digest, train_chunk

NO_EXCHANGE = 1 << 60


class Subwords(NamedTuple):
    """The trained rows of words and buckets, and the buckets of each word.

    words: (V, W) float32.  ngrams: (B, W) float32.  offsets: (V + 1,) int64.  buckets: (N,) int32.
    """

    words: NDArray[np.float32]
    ngrams: NDArray[np.float32]
    offsets: NDArray[np.int64]
    buckets: NDArray[np.int32]


@uncounted(fastmath=FAST)
def compose(subwords: Subwords, word: int, composed: NDArray[np.float32]) -> None:
    """Write the mean of a word's row and its n-grams' rows into `composed`, (W,) float32."""
    first, last = subwords.offsets[word], subwords.offsets[word + 1]
    row = subwords.words[word]
    for column in range(len(composed)):
        composed[column] = row[column]
    for number in range(first, last):
        row = subwords.ngrams[subwords.buckets[number]]
        for column in range(len(composed)):
            composed[column] += row[column]
    factor = np.float32(1.0) / np.float32(last - first + 1)
    for column in range(len(composed)):
        composed[column] *= factor


@uncounted(fastmath=FAST)
def spread(subwords: Subwords, word: int, change: NDArray[np.float32]) -> None:
    """Add a change of a word's composed vector, (W,) float32, to every row that it is the mean of."""
    row = subwords.words[word]
    for column in range(len(change)):
        row[column] += change[column]
    for number in range(subwords.offsets[word], subwords.offsets[word + 1]):
        row = subwords.ngrams[subwords.buckets[number]]
        for column in range(len(change)):
            row[column] += change[column]


def make_train_subword_chunk(code_digest: int) -> Callable[..., tuple[float, int]]:
    """The training loop; `code_digest` is that of the code it calls, as in `kernel.make_train_chunk`."""

    @njit(fastmath=FAST, error_model="numpy")
    def train_subword_chunk(
        token_ids: NDArray[np.int32],
        sentence_offsets: NDArray[np.int64],
        progress_start: float,
        progress_step: float,
        subwords: Subwords,
        composed: NDArray[np.float32],
        contexts: NDArray[np.float32],
        keep_thresholds: NDArray[np.uint32],
        noise_thresholds: NDArray[np.uint32],
        noise_aliases: NDArray[np.int32],
        slots: tuple[int, ...],
        radii: Radii,
        averaged: bool,
        rates: Rates,
        key: np.uint64,
        segment_tokens: int,
    ) -> tuple[float, int]:
        """Train on one chunk of the corpus; returns (loss summed over all pairs, positive pairs).

        composed: (V, W) float32, scratch of this thread.  segment_tokens: a segment ends with the sentence that reaches
        it.  The other arguments are those of `kernel.train_chunk`.
        A sentence longer than a segment is trained as several.
        """
        _ = code_digest
        offsets = np.empty(len(sentence_offsets) + len(token_ids) // segment_tokens + 1, np.int64)
        offsets[0], pieces = 0, 0
        for s in range(len(sentence_offsets) - 1):
            while sentence_offsets[s + 1] - offsets[pieces] > segment_tokens:
                offsets[pieces + 1] = offsets[pieces] + segment_tokens
                pieces += 1
            offsets[pieces + 1] = sentence_offsets[s + 1]
            pieces += 1
        # Number of the segment that composed a word last.
        composed_in = np.full(len(composed), -1, np.int32)
        listed = np.empty(2 * segment_tokens, np.int32)
        before = np.empty((2 * segment_tokens, composed.shape[1]), np.float32)
        keep_key = _random_bits(key, 0)
        loss, pairs = np.float64(0.0), 0
        piece, segment = 0, 0
        while piece < pieces:
            first = piece
            while piece < pieces and offsets[piece] - offsets[first] < segment_tokens:
                piece += 1
            count = 0
            for position in range(offsets[first], offsets[piece]):
                token = token_ids[position]
                kept = np.uint32(_random_bits(keep_key, position)) <= keep_thresholds[token]
                if kept and composed_in[token] != segment:
                    composed_in[token] = segment
                    compose(subwords, token, composed[token])
                    before[count] = composed[token]
                    listed[count] = token
                    count += 1
            some_loss, some_pairs = train_chunk(
                token_ids, offsets[first : piece + 1], progress_start, progress_step, composed, contexts,
                keep_thresholds, noise_thresholds, noise_aliases, slots, radii, averaged, rates, key,
                Copies(0, 0), NO_EXCHANGE,
            )  # fmt: skip
            loss += some_loss
            pairs += some_pairs
            for number in range(count):
                token = listed[number]
                for column in range(composed.shape[1]):
                    before[number, column] = composed[token, column] - before[number, column]
                spread(subwords, token, before[number])
            segment += 1
        return loss, pairs

    return train_subword_chunk


train_subword_chunk = make_train_subword_chunk(
    code_digest(*(Path(str(module.__file__)) for module in (kernel, vector_code, window_code)))
)
