"""The compiled inner loop of skip-gram and CBOW training on a CPU: word2vec.c's algorithm, one window at a time.

As in word2vec.c the words around a position are the inputs (rows of `centers`) and predict the word in the middle;
the middle word and the noise words of its window are the outputs (rows of `contexts`). The noise words are shared by
all inputs of the window (Ji et al. 2016, arXiv 1604.04661), which turns the window into three small matrix products:

    logits = inputs @ outputs.T,   inputs += gradients @ outputs,   outputs += gradients.T @ inputs

CBOW puts the mean of the inputs in their place, and what the mean would move by moves every one of them.

Both passes are emitted as LLVM vector code so that they keep their sums in registers: a loop over scalars, as LLVM
vectorises it, reads and writes the gathered output gradients once for each input.

Everything sits in this one file because Numba's cache on disk only notices changes of the file that it compiled.
"""

# Numba and llvmlite build code from objects without types; what they return is checked by the tests.
# mypy: disable-error-code="no-untyped-call, no-any-return"

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import reduce
from itertools import pairwise
from typing import Any

import numba
import numpy as np
from llvmlite import binding, ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.core.base import BaseContext
from numba.core.typing.context import Context
from numba.core.typing.templates import Signature
from numba.extending import intrinsic as numba_intrinsic
from numpy.typing import NDArray

# Everything but `nnan` and `ninf`: a NaN must arrive in the loss, where it is noticed.
FAST = {"reassoc", "contract", "nsz", "arcp", "afn"}
# Compiled functions are called with other types than they are written with.
njit: Callable[..., Callable[..., Any]] = numba.njit
intrinsic: Callable[..., Callable[..., Any]] = numba_intrinsic
Generate = Callable[[BaseContext, ir.IRBuilder, Signature, list[ir.Value]], ir.Value]
FLOAT = ir.FloatType()
INDEX = ir.IntType(64)


def _vector_lanes() -> int:
    """Floats in the widest vector register of this machine."""
    features = binding.get_host_cpu_features()
    if features.get("avx512f"):
        return 16
    return 8 if features.get("avx2") else 4


LANES = _vector_lanes()
VECTOR = ir.VectorType(FLOAT, LANES)
# Inputs and outputs handled together: the sums of all their pairs stay in registers and fit into one vector.
INPUT_BLOCK = 2
OUTPUT_BLOCK = LANES // INPUT_BLOCK
# Inputs whose gradients for an output are added up before it moves. A wide window taken as one step diverges: each
# output would move by up to 100 gradients at once where word2vec.c looks again after every one.
INPUTS_PER_STEP = 10
# Rows are padded to whole cache lines, so that no vector load crosses two of them.
ROW_MULTIPLE = 16
# Factors of at least 1/2 that can be multiplied before float32 runs out at 2**-126.
FACTORS_PER_LOGARITHM = 120
# Draws before noise that keeps being the word in the middle is taken as it is.
NOISE_TRIES = 8
# Rational approximation of tanh, as in Eigen: x * TOP(x^2) / BOTTOM(x^2), error below 1e-6.
TANH_LIMIT = 7.9
TANH_TOP = (
    -2.76076847742355e-16,
    2.00018790482477e-13,
    -8.60467152213735e-11,
    5.12229709037114e-08,
    1.48572235717979e-05,
    6.37261928875436e-04,
    4.89352455891786e-03,
)
TANH_BOTTOM = (1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03)


def output_blocks(outputs: int) -> list[tuple[int, int]]:
    """(first output, outputs) of each block, as even as they can be."""
    blocks = -(-outputs // OUTPUT_BLOCK)
    edges = [outputs * block // blocks for block in range(blocks + 1)]
    return [(first, last - first) for first, last in pairwise(edges)]


class _Emitter:
    """Short names for the few vector instructions that a window needs."""

    def __init__(self, context: BaseContext, builder: ir.IRBuilder) -> None:
        self.context, self.builder = context, builder
        self.zero, self.one = self.constant(0.0), self.constant(1.0)

    def data(self, kind: types.Array, value: ir.Value) -> ir.Value:
        """Address of an array's first element."""
        return self.context.make_array(kind)(self.context, self.builder, value).data

    def width(self, kind: types.Array, value: ir.Value) -> ir.Value:
        """Columns of a matrix."""
        shape = self.context.make_array(kind)(self.context, self.builder, value).shape
        return cgutils.unpack_tuple(self.builder, shape)[1]

    def row(self, matrix: ir.Value, starts: ir.Value, number: ir.Value) -> ir.Value:
        """Address of the row that begins `starts[number]` floats into the matrix."""
        return self.builder.gep(matrix, [self.builder.load(self.builder.gep(starts, [number]))])

    def columns(self, width: ir.Value) -> AbstractContextManager[tuple[ir.Value, ir.Value]]:
        """A loop over the columns, LANES at a time."""
        return cgutils.for_range_slice(self.builder, INDEX(0), width, INDEX(LANES), intp=INDEX)

    def constant(self, *pattern: float) -> ir.Value:
        """A vector of the pattern, its last value repeated."""
        return ir.Constant(VECTOR, [*pattern, *[pattern[-1]] * (LANES - len(pattern))])

    def load(self, row: ir.Value, column: ir.Value) -> ir.Value:
        return self.builder.load(self._vector_pointer(row, column), align=4 * LANES)

    def store(self, value: ir.Value, row: ir.Value, column: ir.Value) -> None:
        self.builder.store(value, self._vector_pointer(row, column), align=4 * LANES)

    def _vector_pointer(self, row: ir.Value, column: ir.Value) -> ir.Value:
        return self.builder.bitcast(self.builder.gep(row, [column]), VECTOR.as_pointer())

    def variable(self) -> ir.Value:
        """A vector that changes; LLVM keeps it in a register."""
        return cgutils.alloca_once(self.builder, VECTOR)

    def add_to(self, variable: ir.Value, a: ir.Value, b: ir.Value) -> None:
        """Variable += a * b"""
        self.builder.store(self.multiply_add(a, b, self.builder.load(variable)), variable)

    def multiply_add(self, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        kind = ir.FunctionType(VECTOR, [VECTOR] * 3)
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.fmuladd.v{LANES}f32")
        return self.builder.call(function, [a, b, c])

    def larger(self, a: ir.Value, b: ir.Value) -> ir.Value:
        """The larger of two vectors; b where it is NaN."""
        return self.builder.select(self.builder.fcmp_ordered(">", a, b), a, b)

    def smaller(self, a: ir.Value, b: ir.Value) -> ir.Value:
        """The smaller of two vectors; b where it is NaN."""
        return self.builder.select(self.builder.fcmp_ordered("<", a, b), a, b)

    def spread(self, scalar: ir.Value) -> ir.Value:
        """The scalar in every lane."""
        one = self.builder.insert_element(ir.Constant(VECTOR, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
        return self.shuffle(one, one, [0] * LANES)

    def shuffle(self, a: ir.Value, b: ir.Value, lanes: list[int]) -> ir.Value:
        mask = ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes)
        return self.builder.shuffle_vector(a, b, mask)

    def lane_sums(self, vectors: list[ir.Value]) -> ir.Value:
        """One vector with the sum over the lanes of each of up to LANES vectors, in order.

        A tree that halves and interleaves: 3 instructions for each vector, where summing them one by one takes 8.
        """
        vectors = vectors + [self.zero] * (LANES - len(vectors))
        parts = LANES
        while len(vectors) > 1:
            half = parts // 2
            first = [lane for start in range(0, 2 * LANES, parts) for lane in range(start, start + half)]
            second = [lane + half for lane in first]
            vectors = [
                self.builder.fadd(self.shuffle(a, b, first), self.shuffle(a, b, second))
                for a, b in zip(vectors[::2], vectors[1::2], strict=True)
            ]
            parts = half
        return vectors[0]

    def sigmoid(self, x: ir.Value) -> ir.Value:
        """1 / (1 + exp(-x)) = (1 + tanh(x / 2)) / 2, NaN where x is."""
        half = self.constant(0.5)
        y = self.smaller(self.constant(TANH_LIMIT), self.builder.fmul(x, half))
        y = self.larger(self.constant(-TANH_LIMIT), y)
        square = self.builder.fmul(y, y)
        top, bottom = (
            reduce(
                lambda sum_, value: self.multiply_add(sum_, square, self.constant(value)), rest, self.constant(first)
            )
            for first, *rest in (TANH_TOP, TANH_BOTTOM)
        )
        tanh = self.builder.fdiv(self.builder.fmul(y, top), bottom)
        return self.multiply_add(half, tanh, half)


@intrinsic
def _window_gradients(
    typing_context: Context,
    inputs: types.Array,
    input_rows: types.Array,
    count: types.Integer,
    outputs: types.Array,
    output_rows: types.Array,
    slots: types.UniTuple,
    rate: types.Float,
    gradients: types.Array,
    losses: types.Array,
) -> tuple[Signature, Generate]:
    """Gradient of every pair of an input and an output of a window: rate * (label - sigmoid(input . output)).

    inputs, outputs: the two matrices.  input_rows, output_rows: where each row starts, in floats.
    slots: a tuple as long as there are outputs, only its type matters; the first output has the label 1.
    gradients: a vector for each block of inputs and, in it, each block of outputs; LANES a vector.
    losses: two vectors for each block of outputs. The loss -log sigmoid(-x) is max(x, 0) - log(larger), where larger,
    the larger of sigmoid(x) and sigmoid(-x), is at least 1/2. The first part is added to the first vector, `larger`
    multiplied into the second, so that one logarithm serves many pairs.
    """
    signature = types.void(inputs, input_rows, count, outputs, output_rows, slots, rate, gradients, losses)
    blocks = output_blocks(len(slots))

    def generate(
        context: BaseContext, builder: ir.IRBuilder, signature: Signature, arguments: list[ir.Value]
    ) -> ir.Value:
        emit = _Emitter(context, builder)
        matrix_in, rows_in, matrix_out, rows_out, result, books = (
            emit.data(signature.args[i], arguments[i]) for i in (0, 1, 3, 4, 7, 8)
        )
        width, number, rates = emit.width(signature.args[0], arguments[0]), arguments[2], emit.spread(arguments[6])
        linear_sum, products = emit.variable(), emit.variable()
        last = builder.sub(number, INDEX(1))
        for block, (first_output, size) in enumerate(blocks):
            book, next_book = INDEX(2 * block * LANES), INDEX((2 * block + 1) * LANES)
            builder.store(emit.load(books, book), linear_sum)
            builder.store(emit.load(books, next_book), products)
            output_pointers = [emit.row(matrix_out, rows_out, INDEX(first_output + j)) for j in range(size)]
            labels = emit.constant(*([float(first_output == 0)] + [0.0] * (size - 1)) * INPUT_BLOCK, 0.0)
            masks = [emit.constant(*[1.0] * size * valid, 0.0) for valid in range(1, INPUT_BLOCK + 1)]
            with cgutils.for_range_slice(builder, INDEX(0), number, INDEX(INPUT_BLOCK), intp=INDEX) as (first, place):
                # An odd last input is taken twice; what the second gives is masked.
                second = builder.add(first, INDEX(1))
                paired = builder.icmp_unsigned("<", second, number)
                numbers = [first, builder.select(paired, second, last)]
                input_pointers = [emit.row(matrix_in, rows_in, number) for number in numbers]
                sums = [emit.variable() for _ in range(INPUT_BLOCK * size)]
                for total in sums:
                    builder.store(emit.zero, total)
                with emit.columns(width) as (column, _):
                    values = [emit.load(pointer, column) for pointer in input_pointers]
                    for j, pointer in enumerate(output_pointers):
                        other = emit.load(pointer, column)
                        for i, value in enumerate(values):
                            emit.add_to(sums[i * size + j], value, other)
                x = emit.lane_sums([builder.load(total) for total in sums])
                chance = emit.sigmoid(x)
                gradient = builder.fmul(rates, builder.fsub(labels, chance))
                offset = builder.add(builder.mul(place, INDEX(LANES * len(blocks))), INDEX(LANES * block))
                emit.store(gradient, result, offset)
                mask = builder.select(paired, masks[1], masks[0])
                loss = builder.fsub(emit.larger(emit.zero, x), builder.fmul(labels, x))
                emit.add_to(linear_sum, mask, loss)
                # 1 - mask * (smaller of the two chances)
                least = emit.smaller(builder.fsub(emit.one, chance), chance)
                factor = builder.fsub(emit.one, builder.fmul(mask, least))
                builder.store(builder.fmul(builder.load(products), factor), products)
            emit.store(builder.load(linear_sum), books, book)
            emit.store(builder.load(products), books, next_book)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _window_update(
    typing_context: Context,
    inputs: types.Array,
    input_rows: types.Array,
    count: types.Integer,
    outputs: types.Array,
    output_rows: types.Array,
    slots: types.UniTuple,
    gradients: types.Array,
    old: types.Array,
) -> tuple[Signature, Generate]:
    """Add the gradients of a window to its input and output rows; both are computed from the rows as they were.

    The arguments are those of `_window_gradients`.  old: room for count * LANES floats.
    A row that appears twice gets both its gradients.
    """
    signature = types.void(inputs, input_rows, count, outputs, output_rows, slots, gradients, old)
    blocks = output_blocks(len(slots))

    def generate(
        context: BaseContext, builder: ir.IRBuilder, signature: Signature, arguments: list[ir.Value]
    ) -> ir.Value:
        emit = _Emitter(context, builder)
        matrix_in, rows_in, matrix_out, rows_out, factors, saved = (
            emit.data(signature.args[i], arguments[i]) for i in (0, 1, 3, 4, 6, 7)
        )
        output_pointers = [emit.row(matrix_out, rows_out, INDEX(j)) for j in range(len(slots))]
        sums = [emit.variable() for _ in slots]
        with emit.columns(emit.width(signature.args[0], arguments[0])) as (column, _):
            for block, (first_output, size) in enumerate(blocks):
                pointers = output_pointers[first_output : first_output + size]
                others = [emit.load(pointer, column) for pointer in pointers]
                for total in sums[first_output : first_output + size]:
                    builder.store(emit.zero, total)
                with cgutils.for_range(builder, arguments[2], intp=INDEX) as loop:
                    row = emit.row(matrix_in, rows_in, loop.index)
                    before = after = emit.load(row, column)
                    room = builder.mul(loop.index, INDEX(LANES))
                    if len(blocks) > 1 and block == 0:
                        emit.store(before, saved, room)
                    elif len(blocks) > 1:
                        before = emit.load(saved, room)
                    pair = builder.mul(builder.udiv(loop.index, INDEX(INPUT_BLOCK)), INDEX(LANES * len(blocks)))
                    lane = builder.mul(builder.urem(loop.index, INDEX(INPUT_BLOCK)), INDEX(size))
                    own = builder.gep(factors, [builder.add(builder.add(pair, lane), INDEX(LANES * block))])
                    for j, other in enumerate(others):
                        factor = emit.spread(builder.load(builder.gep(own, [INDEX(j)])))
                        after = emit.multiply_add(factor, other, after)
                        emit.add_to(sums[first_output + j], factor, before)
                    emit.store(after, row, column)
            for pointer, total in zip(output_pointers, sums, strict=True):
                # Read again: a noise word that was drawn twice must get both gradients.
                emit.store(builder.fadd(emit.load(pointer, column), builder.load(total)), pointer, column)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _average_rows(
    typing_context: Context, matrix: types.Array, rows: types.Array, count: types.Integer, mean: types.Array
) -> tuple[Signature, Generate]:
    """Mean of `count` rows of a matrix, each beginning `rows[i]` floats into it.

    mean: (2, W); it is written twice, once to stay as it is.
    """
    signature = types.void(matrix, rows, count, mean)

    def generate(
        context: BaseContext, builder: ir.IRBuilder, signature: Signature, arguments: list[ir.Value]
    ) -> ir.Value:
        emit = _Emitter(context, builder)
        source, starts, target = (emit.data(signature.args[i], arguments[i]) for i in (0, 1, 3))
        width, total = emit.width(signature.args[0], arguments[0]), emit.variable()
        share = emit.spread(builder.fdiv(FLOAT(1.0), builder.uitofp(arguments[2], FLOAT)))
        with emit.columns(width) as (column, _):
            builder.store(emit.zero, total)
            with cgutils.for_range(builder, arguments[2], intp=INDEX) as loop:
                emit.add_to(total, share, emit.load(emit.row(source, starts, loop.index), column))
            for place in (column, builder.add(column, width)):
                emit.store(builder.load(total), target, place)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _move_rows(
    typing_context: Context, matrix: types.Array, rows: types.Array, count: types.Integer, mean: types.Array
) -> tuple[Signature, Generate]:
    """Move every row as far as their mean has moved: as word2vec.c, which does not share the gradient out.

    The arguments are those of `_average_rows`; the first row of `mean` has moved since, the second has not.
    """
    signature = types.void(matrix, rows, count, mean)

    def generate(
        context: BaseContext, builder: ir.IRBuilder, signature: Signature, arguments: list[ir.Value]
    ) -> ir.Value:
        emit = _Emitter(context, builder)
        target, starts, source = (emit.data(signature.args[i], arguments[i]) for i in (0, 1, 3))
        width = emit.width(signature.args[0], arguments[0])
        with emit.columns(width) as (column, _):
            change = builder.fsub(emit.load(source, column), emit.load(source, builder.add(column, width)))
            with cgutils.for_range(builder, arguments[2], intp=INDEX) as loop:
                row = emit.row(target, starts, loop.index)
                emit.store(builder.fadd(emit.load(row, column), change), row, column)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _prefetch_row(typing_context: Context, matrix: types.Type, offset: types.Type) -> tuple[Signature, Generate]:
    """Ask for every cache line of the row that starts `offset` floats into the matrix."""
    signature = types.void(matrix, offset)

    def generate(
        context: BaseContext, builder: ir.IRBuilder, signature: Signature, arguments: list[ir.Value]
    ) -> ir.Value:
        emit = _Emitter(context, builder)
        width = emit.width(signature.args[0], arguments[0])
        row = builder.gep(emit.data(signature.args[0], arguments[0]), [arguments[1]])
        byte = ir.IntType(8).as_pointer()
        flag = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
        prefetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        with cgutils.for_range_slice(builder, INDEX(0), width, INDEX(ROW_MULTIPLE), intp=INDEX) as (column, _):
            line = builder.bitcast(builder.gep(row, [column]), byte)
            builder.call(prefetch, [line, flag(1), flag(3), flag(1)])
        return context.get_dummy_value()

    return signature, generate


@njit(inline="always")
def _random_bits(key: np.uint64, counter: int) -> np.uint64:
    """64 random bits for draw number `counter` of the stream `key` (splitmix64): no state, any order."""
    bits = key + np.uint64(counter) * np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


@njit(inline="always")
def _row(word: int, copies: tuple[int, int]) -> int:
    """The row that a worker uses for a word: its own copy of a frequent word's, the shared one of another's.

    copies: how many words are copied, the most frequent ones, and the row of the first copy.
    """
    count, first = copies
    return word + (first if word < count else 0)


@njit
def _copy_rows(matrix: NDArray[np.float32], copies: tuple[int, int], copied: NDArray[np.float32]) -> None:
    """Fill a worker's copies of the frequent words' rows.  copied: gets the same values, to compare with later."""
    count, first = copies
    copied[:] = matrix[:count]
    matrix[first : first + count] = copied


@njit(fastmath=FAST)
def _exchange_rows(matrix: NDArray[np.float32], copies: tuple[int, int], copied: NDArray[np.float32]) -> None:
    """Add to the shared rows what a worker has changed in its copies, and copy what others have.

    Without a lock, like all updates: where two workers exchange the same number at once, one change may be lost.
    """
    count, first = copies
    for word in range(count):
        for column in range(matrix.shape[1]):
            value = matrix[word, column] + (matrix[first + word, column] - copied[word, column])
            matrix[word, column] = value
            matrix[first + word, column] = value
            copied[word, column] = value


@njit(inline="always")
def _draw_outputs(
    row_starts: NDArray[np.int64],
    row: int,
    place: int,
    key: np.uint64,
    noise_thresholds: NDArray[np.uint32],
    noise_aliases: NDArray[np.int32],
    contexts: NDArray[np.float32],
    copies: tuple[int, int],
) -> None:
    """Fill `row_starts` with the row of the word in the middle and those of its noise words, and start loading them.

    Noise that is the word in the middle is drawn again, as in fastText.
    """
    stride = contexts.shape[1]
    words = np.uint64(len(noise_thresholds))
    row_starts[0] = row * stride
    _prefetch_row(contexts, row_starts[0])
    for j in range(1, len(row_starts)):
        counter = place * len(row_starts) + j
        noise = row
        for _ in range(NOISE_TRIES):
            bits = _random_bits(key, counter)
            slot = int(((bits >> np.uint64(32)) * words) >> np.uint64(32))
            # Read before the comparison, which then needs no branch: nobody could predict it.
            alias = int(noise_aliases[slot])
            noise = _row(slot if np.uint32(bits) <= noise_thresholds[slot] else alias, copies)
            if noise != row:
                break
            counter += 1 << 48
        row_starts[j] = noise * stride
        _prefetch_row(contexts, row_starts[j])


@njit(inline="always")
def _settle_losses(losses: NDArray[np.float32]) -> float:
    """The loss that `_window_gradients` has gathered; begins anew."""
    loss = np.float64(0.0)
    for block in range(0, len(losses), 2 * LANES):
        # Eight of them fit into a float64.
        for first in range(block, block + LANES, 8):
            product = np.float64(1.0)
            for lane in range(first, min(first + 8, block + LANES)):
                loss += losses[lane]
                product *= losses[lane + LANES]
                losses[lane] = 0.0
                losses[lane + LANES] = 1.0
            loss -= math.log(product)
    return loss


@njit(nogil=True, cache=True, fastmath=FAST, error_model="numpy")
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
    radii: tuple[int, int],
    averaged: bool,
    rates: tuple[float, float],
    key: np.uint64,
    copies: tuple[int, int],
    exchange_windows: int,
) -> tuple[float, int]:
    """Train on one chunk of the corpus; returns (loss summed over all pairs, positive pairs).

    A positive pair is an input and the word in the middle; in CBOW there is one for each window.

    token_ids: (N,) int32.  sentence_offsets: (S + 1,) int64.
    progress_start: part of the training done before this chunk, 0..1.  progress_step: part that one token adds.
    centers, contexts: (V, W) float32, W a multiple of ROW_MULTIPLE, columns past the dimension zero; updated in place.
    keep_thresholds, noise_thresholds: (V,) uint32, compared with 32 random bits.  noise_aliases: (V,) int32.
    slots: a tuple with 1 + negatives_per_pair entries; its length is part of the compiled code.
    radii: least and largest; each window draws its own, all equally likely.
    averaged: whether the inputs of a window act as their mean (CBOW) or each for itself (skip-gram).
    rates: at the start and at the end of the whole training; linear in between.
    key: of this chunk in this epoch; every draw is a function of it and of the token's place.
    copies: how many of the first words this worker trains in rows of its own, and the first of these in both matrices.
    exchange_windows: windows after which it shares what it changed there; at the end of the chunk it does so too.
    """
    stride = centers.shape[1]
    blocks = -(-len(slots) // OUTPUT_BLOCK)
    longest = 0
    for s in range(len(sentence_offsets) - 1):
        longest = max(longest, sentence_offsets[s + 1] - sentence_offsets[s])
    sentence = np.empty(longest, np.int64)
    least_radius, window_radius = radii
    first_rate, last_rate = rates
    inputs = np.empty(2 * window_radius, np.int64)
    mean, only_row = _aligned_floats(2 * stride).reshape((2, stride)), np.zeros(1, np.int64)
    drawn = np.empty((2, len(slots)), np.int64)
    gradients = _aligned_floats(INPUTS_PER_STEP // INPUT_BLOCK * LANES * blocks)
    old = _aligned_floats(INPUTS_PER_STEP * LANES)
    losses = _aligned_floats(2 * LANES * blocks)
    losses[:] = 1.0
    _settle_losses(losses)
    factors = 0
    keep_key, window_key, noise_key = _random_bits(key, 0), _random_bits(key, 1), _random_bits(key, 2)
    copied_centers = np.empty((copies[0], stride), np.float32)
    copied_contexts = np.empty((copies[0], stride), np.float32)
    _copy_rows(centers, copies, copied_centers)
    _copy_rows(contexts, copies, copied_contexts)
    loss = np.float64(0.0)
    pairs, windows = 0, 0
    for s in range(len(sentence_offsets) - 1):
        begin, end = sentence_offsets[s], sentence_offsets[s + 1]
        kept = 0
        for place in range(begin, end):
            token = token_ids[place]
            sentence[kept] = _row(token, copies)
            kept += np.uint32(_random_bits(keep_key, place)) <= keep_thresholds[token]
        if kept < 2:
            continue
        spacing = (end - begin) / kept
        _draw_outputs(drawn[0], sentence[0], begin, noise_key, noise_thresholds, noise_aliases, contexts, copies)
        for t in range(kept):
            # One window ahead, so that the rows arrive while this one is computed.
            ahead = min(t + 1, kept - 1)
            _draw_outputs(
                drawn[(t + 1) & 1], sentence[ahead], begin + t + 1, noise_key,
                noise_thresholds, noise_aliases, contexts, copies,
            )  # fmt: skip
            _prefetch_row(centers, sentence[min(t + 1 + window_radius, kept - 1)] * stride)
            outputs = drawn[t & 1]
            bits = _random_bits(window_key, begin + t)
            spread = np.uint64(window_radius - least_radius + 1)
            radius = least_radius + int(((bits >> np.uint64(32)) * spread) >> np.uint64(32))
            count = 0
            for place in range(max(0, t - radius), t):
                inputs[count] = sentence[place] * stride
                count += 1
            for place in range(t + 1, min(kept, t + radius + 1)):
                inputs[count] = sentence[place] * stride
                count += 1
            progress = progress_start + (begin + t * spacing) * progress_step
            rate = np.float32(first_rate + (last_rate - first_rate) * progress)
            matrix, rows = centers, inputs[:count]
            if averaged:
                _average_rows(centers, rows, count, mean)
                matrix, rows = mean, only_row
            for first in range(0, len(rows), INPUTS_PER_STEP):
                some = rows[first : min(first + INPUTS_PER_STEP, len(rows))]
                _window_gradients(matrix, some, len(some), contexts, outputs, slots, rate, gradients, losses)
                _window_update(matrix, some, len(some), contexts, outputs, slots, gradients, old)
                # Each lane has had a factor from every block of inputs.
                factors += -(-len(some) // INPUT_BLOCK)
                if factors + INPUTS_PER_STEP // INPUT_BLOCK > FACTORS_PER_LOGARITHM:
                    loss += _settle_losses(losses)
                    factors = 0
            pairs += len(rows)
            if averaged:
                _move_rows(centers, inputs, count, mean)
            windows += 1
            if windows == exchange_windows:
                _exchange_rows(centers, copies, copied_centers)
                _exchange_rows(contexts, copies, copied_contexts)
                windows = 0
    _exchange_rows(centers, copies, copied_centers)
    _exchange_rows(contexts, copies, copied_contexts)
    return loss + _settle_losses(losses), pairs


@njit(inline="always")
def _aligned_floats(size: int) -> NDArray[np.float32]:
    """`size` floats that start at the beginning of a cache line."""
    buffer = np.empty(size + ROW_MULTIPLE, np.float32)
    skipped = (-buffer.ctypes.data // 4) % ROW_MULTIPLE
    return buffer[skipped : skipped + size]
