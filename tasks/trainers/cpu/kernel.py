"""The compiled training loop of skip-gram and CBOW on a CPU: word2vec.c's algorithm, one window at a time.

As in word2vec.c the words around a position are the inputs (rows of `centers`) and predict the word in the middle.
The middle word and the noise words of its window are the outputs (rows of `contexts`). All inputs of the window share
the noise words (Ji et al. 2016, arXiv 1604.04661), so a window is three small matrix products (`window_code`).

CBOW trains the mean of the inputs instead, and the inputs share what the mean moves.

The readable specification is `tests/trainers/cpu/plain_word2vec.py`: the same draws and formulas, one pair at a time
in NumPy. A test compares the two.
"""

# Numba's compiled functions are untyped. The tests check what they return.
# mypy: disable-error-code="no-untyped-call, no-any-return"

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.compiled import njit, uncounted
from tasks.trainers.cpu import vector_code, window_code
from tasks.trainers.cpu.vector_code import LANES, ROW_MULTIPLE
from tasks.trainers.cpu.window_code import (
    INPUT_BLOCK,
    OUTPUT_BLOCK,
    average_rows,
    move_rows,
    window_gradients,
    window_update,
)

# Everything but `nnan` and `ninf`: a NaN must reach the loss, where it is detected.
FAST = {"reassoc", "contract", "nsz", "arcp", "afn"}
# Inputs whose gradients for an output are summed before it moves. A wide window taken as one step diverges: each
# output would move by up to 100 gradients at once, where word2vec.c updates it after every one.
INPUTS_PER_STEP = 10
# Factors of at least 1/2 that can be multiplied before float32 underflows at 2**-126.
FACTORS_PER_LOGARITHM = 120
# Rows are prefetched while the window two before theirs is updated, so that all of the next one is left to arrive.
WINDOWS_AHEAD = 2
# After this many draws, noise that is still the word in the middle is accepted.
NOISE_TRIES = 8


class Radii(NamedTuple):
    """Smallest and largest radius of a window; each window draws its own, all equally likely."""

    smallest: int
    largest: int


class Rates(NamedTuple):
    """Learning rate at the start and at the end of the whole training, linear in between."""

    first: float
    last: float


class Copies(NamedTuple):
    """The most frequent words, which each worker trains in private copies of their rows.

    words: how many.  first_row: row of the first copy, in both matrices.
    """

    words: int
    first_row: int


@njit(inline="always")
def _random_bits(key: np.uint64, counter: int) -> np.uint64:
    """64 random bits for draw number `counter` of the stream `key` (splitmix64): no state, any order."""
    bits = key + np.uint64(counter) * np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


@njit(inline="always")
def _row(word: int, copies: Copies) -> int:
    """The row that a worker uses for a word: its own copy of a frequent word's row, else the shared row."""
    return word + (copies.first_row if word < copies.words else 0)


@uncounted()
def _copy_rows(matrix: NDArray[np.float32], copies: Copies, copied: NDArray[np.float32]) -> None:
    """Fill a worker's copies of the frequent words' rows.  copied: (words, W), receives the same values."""
    # A loop: the assignment of a slice has an error message, whose formatting took a third of the compile time.
    for word in range(copies.words):
        for column in range(matrix.shape[1]):
            value = matrix[word, column]
            copied[word, column] = value
            matrix[copies.first_row + word, column] = value


@uncounted(fastmath=FAST)
def _exchange_rows(matrix: NDArray[np.float32], copies: Copies, copied: NDArray[np.float32]) -> None:
    """Add a worker's changes since the last exchange to the shared rows, and copy the sums back.

    Lock-free, like all updates: when two workers exchange the same number at once, one change may be lost.
    """
    first = copies.first_row
    for word in range(copies.words):
        for column in range(matrix.shape[1]):
            value = matrix[word, column] + (matrix[first + word, column] - copied[word, column])
            matrix[word, column] = value
            matrix[first + word, column] = value
            copied[word, column] = value


@njit(inline="always")
def _draw_outputs(
    row_starts: NDArray[np.int64],
    row: int,
    position: int,
    key: np.uint64,
    noise_thresholds: NDArray[np.uint32],
    noise_aliases: NDArray[np.int32],
    stride: int,
    copies: Copies,
) -> None:
    """Fill `row_starts` with where the rows of the word in the middle and of its noise words start, in floats.

    Noise that equals the word in the middle is drawn again, as in fastText.
    """
    words = np.uint64(len(noise_thresholds))
    row_starts[0] = row * stride
    for j in range(1, len(row_starts)):
        counter = position * len(row_starts) + j
        noise = row
        for _ in range(NOISE_TRIES):
            bits = _random_bits(key, counter)
            slot = np.int64(((bits >> np.uint64(32)) * words) >> np.uint64(32))
            # Read before the comparison, which then compiles without an unpredictable branch.
            alias = np.int64(noise_aliases[slot])
            noise = _row(slot if np.uint32(bits) <= noise_thresholds[slot] else alias, copies)
            if noise != row:
                break
            counter += 1 << 48
        row_starts[j] = noise * stride


@njit(inline="always")
def _settle_losses(losses: NDArray[np.float32]) -> float:
    """The loss that `window_gradients` has accumulated; resets the accumulators."""
    loss = np.float64(0.0)
    for block in range(0, len(losses), 2 * LANES):
        # Eight float32 products fit into a float64.
        for first in range(block, block + LANES, 8):
            product = np.float64(1.0)
            for lane in range(first, min(first + 8, block + LANES)):
                loss += losses[lane]
                product *= losses[lane + LANES]
                losses[lane] = 0.0
                losses[lane + LANES] = 1.0
            loss -= math.log(product)
    return loss


@njit(inline="always")
def _aligned_floats(size: int) -> NDArray[np.float32]:
    """An array of `size` floats, aligned to a cache line."""
    buffer = np.empty(size + ROW_MULTIPLE, np.float32)
    skipped = (-buffer.ctypes.data // 4) % ROW_MULTIPLE
    return buffer[skipped : skipped + size]


def code_digest(*paths: Path) -> int:
    """63 bits that change with any byte of the files."""
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in paths)).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def make_train_chunk(code_digest: int) -> Callable[..., tuple[float, int]]:
    """The training loop, compiled at its first call or loaded from Numba's cache on disk.

    The key of that cache covers this file and the variables that a function closes over, but no other file. So the loop
    closes over a digest of the emitted code: a change of either file compiles it again.
    """

    @njit(fastmath=FAST, error_model="numpy")
    def train_chunk(
        token_ids: NDArray[np.int32],
        sentence_offsets: NDArray[np.int64],
        progress_start: float,
        progress_step: float,
        centers: NDArray[np.float32],
        contexts: NDArray[np.float32],
        keep_thresholds: NDArray[np.uint32],
        noise_thresholds: NDArray[np.uint32],
        noise_aliases: NDArray[np.int32],
        slots: tuple[int, ...],
        radii: Radii,
        averaged: bool,
        rates: Rates,
        key: np.uint64,
        copies: Copies,
        exchange_windows: int,
    ) -> tuple[float, int]:
        """Train on one chunk of the corpus; returns (loss summed over all pairs, positive pairs).

        A positive pair is an input and the word in the middle; CBOW has one for each window.

        token_ids: (N,) int32.  sentence_offsets: (S + 1,) int64.
        progress_start: part of the training done before this chunk, 0..1.  progress_step: part that one token adds.
        centers, contexts: (V, W) float32, updated in place; W is a multiple of ROW_MULTIPLE, unused columns are 0.
        keep_thresholds, noise_thresholds: (V,) uint32, compared with 32 random bits.  noise_aliases: (V,) int32.
        slots: a tuple with 1 + negatives_per_pair entries; its length is part of the compiled code.
        averaged: train the mean of a window's inputs (CBOW) instead of each input (skip-gram).
        key: of this chunk in this epoch; every draw is a function of it and of the token's position.
        exchange_windows: windows between two exchanges of copied rows; the end of the chunk exchanges them too.
        """
        _ = code_digest
        stride = centers.shape[1]
        blocks = -(-len(slots) // OUTPUT_BLOCK)
        longest = 0
        for s in range(len(sentence_offsets) - 1):
            longest = max(longest, sentence_offsets[s + 1] - sentence_offsets[s])
        sentence = np.empty(longest, np.int64)
        # The mean of a window is trained as one more row of `centers`, at this distance, listed after all inputs. Of an
        # array that is one of two, Numba would count the references in every window: a tenth of the time.
        inputs = np.empty(2 * radii.largest + 1, np.int64)
        mean = _aligned_floats(2 * stride).reshape((2, stride))
        inputs[2 * radii.largest] = (mean.ctypes.data - centers.ctypes.data) // 4
        drawn = np.empty((WINDOWS_AHEAD + 1, len(slots)), np.int64)
        gradients = _aligned_floats(INPUTS_PER_STEP // INPUT_BLOCK * LANES * blocks)
        old = _aligned_floats(INPUTS_PER_STEP * LANES)
        losses = _aligned_floats(2 * LANES * blocks)
        losses[:] = 1.0
        _settle_losses(losses)
        factors = 0
        keep_key, window_key, noise_key = _random_bits(key, 0), _random_bits(key, 1), _random_bits(key, 2)
        copied_centers = np.empty((copies.words, stride), np.float32)
        copied_contexts = np.empty((copies.words, stride), np.float32)
        _copy_rows(centers, copies, copied_centers)
        _copy_rows(contexts, copies, copied_contexts)
        loss = np.float64(0.0)
        pairs, windows = 0, 0
        for s in range(len(sentence_offsets) - 1):
            begin, end = sentence_offsets[s], sentence_offsets[s + 1]
            kept = 0
            for position in range(begin, end):
                token = token_ids[position]
                sentence[kept] = _row(token, copies)
                kept += np.uint32(_random_bits(keep_key, position)) <= keep_thresholds[token]
            if kept < 2:
                continue
            spacing = (end - begin) / kept
            for t in range(WINDOWS_AHEAD):
                _draw_outputs(
                    drawn[t], sentence[t], begin + t, noise_key, noise_thresholds, noise_aliases, stride, copies
                )
            for t in range(kept):
                outputs, ahead = drawn[t % len(drawn)], t + WINDOWS_AHEAD
                next_outputs = drawn[ahead % len(drawn)]
                _draw_outputs(
                    next_outputs, sentence[min(ahead, kept - 1)], begin + ahead, noise_key,
                    noise_thresholds, noise_aliases, stride, copies,
                )  # fmt: skip
                next_input = sentence[min(ahead + radii.largest, kept - 1)] * stride
                bits = _random_bits(window_key, begin + t)
                spread = np.uint64(radii.largest - radii.smallest + 1)
                radius = radii.smallest + int(((bits >> np.uint64(32)) * spread) >> np.uint64(32))
                count = 0
                for position in range(max(0, t - radius), t):
                    inputs[count] = sentence[position] * stride
                    count += 1
                for position in range(t + 1, min(kept, t + radius + 1)):
                    inputs[count] = sentence[position] * stride
                    count += 1
                progress = progress_start + (begin + t * spacing) * progress_step
                rate = np.float32(rates.first + (rates.last - rates.first) * progress)
                start, stop = 0, count
                if averaged:
                    average_rows(centers, inputs, count, mean)
                    start, stop = 2 * radii.largest, 2 * radii.largest + 1
                for first in range(start, stop, INPUTS_PER_STEP):
                    some = min(INPUTS_PER_STEP, stop - first)
                    window_gradients(centers, inputs, first, some, contexts, outputs, slots, rate, gradients, losses)
                    window_update(
                        centers, inputs, first, some, contexts, outputs, slots, gradients, old,
                        next_outputs, centers, next_input,
                    )  # fmt: skip
                    # Each lane has taken one factor from every block of inputs.
                    factors += -(-some // INPUT_BLOCK)
                    if factors + INPUTS_PER_STEP // INPUT_BLOCK > FACTORS_PER_LOGARITHM:
                        loss += _settle_losses(losses)
                        factors = 0
                pairs += stop - start
                if averaged:
                    move_rows(centers, inputs, count, mean)
                windows += 1
                if windows == exchange_windows:
                    _exchange_rows(centers, copies, copied_centers)
                    _exchange_rows(contexts, copies, copied_contexts)
                    windows = 0
        _exchange_rows(centers, copies, copied_centers)
        _exchange_rows(contexts, copies, copied_contexts)
        return loss + _settle_losses(losses), pairs

    return train_chunk


train_chunk = make_train_chunk(code_digest(*(Path(str(module.__file__)) for module in (vector_code, window_code))))
