"""The compiled inner loop of skip-gram training on a CPU: word2vec.c's algorithm, one window at a time.

As in word2vec.c the words around a position are the inputs (rows of `centers`) and predict the word in the middle;
the middle word and the noise words of its window are the outputs (rows of `contexts`). The noise words are shared by
all inputs of the window (Ji et al. 2016, arXiv 1604.04661), which turns the window into three small matrix products:

    logits = inputs @ outputs.T,   inputs += gradients @ outputs,   outputs += gradients.T @ inputs

Both passes are emitted as LLVM vector code so that they keep their sums in registers: a loop over scalars, as LLVM
vectorises it, reads and writes the gathered output gradients once for each input.

Everything sits in this one file because Numba's cache on disk only notices changes of the file that it compiled.
"""

# Numba and llvmlite build code from objects without types; what they return is checked by the tests.
# mypy: disable-error-code="no-untyped-call, no-any-return"

import math
from collections.abc import Callable
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
# Outputs handled together: their values and their gradients stay in registers during a pass.
OUTPUT_BLOCK = 7 if LANES == 16 else 4
INPUT_BLOCK = 2
# Each factor is at least 1/2, and float32 holds 2**-126.
LOGITS_PER_LOGARITHM = 96
# word2vec.c: the rate never falls below this part of the one at the start.
LEAST_RATE = 1e-4
# Rows are padded to whole cache lines, so that no vector load crosses two of them.
ROW_MULTIPLE = 16


def output_blocks(outputs: int) -> list[tuple[int, int]]:
    """(first output, outputs) of each block, as even as they can be."""
    blocks = -(-outputs // OUTPUT_BLOCK)
    edges = [outputs * block // blocks for block in range(blocks + 1)]
    return [(first, last - first) for first, last in pairwise(edges)]


class _Emitter:
    """Short names for the few vector instructions that both passes need."""

    def __init__(self, builder: ir.IRBuilder) -> None:
        self.builder = builder
        self.zero = ir.Constant(VECTOR, [0.0] * LANES)

    def load(self, row: ir.Value, column: ir.Value) -> ir.Value:
        return self.builder.load(self._vector_pointer(row, column), align=4 * LANES)

    def store(self, value: ir.Value, row: ir.Value, column: ir.Value) -> None:
        self.builder.store(value, self._vector_pointer(row, column), align=4 * LANES)

    def _vector_pointer(self, row: ir.Value, column: ir.Value) -> ir.Value:
        return self.builder.bitcast(self.builder.gep(row, [column]), VECTOR.as_pointer())

    def multiply_add(self, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        kind = ir.FunctionType(VECTOR, [VECTOR] * 3)
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.fmuladd.v{LANES}f32")
        return self.builder.call(function, [a, b, c])

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
                self.builder.fadd(self.shuffle(a, b, first), self.shuffle(a, b, second), flags=["fast"])
                for a, b in zip(vectors[::2], vectors[1::2], strict=True)
            ]
            parts = half
        return vectors[0]


def _data(context: BaseContext, builder: ir.IRBuilder, kind: types.Type, value: ir.Value) -> ir.Value:
    return context.make_array(kind)(context, builder, value).data


@intrinsic
def _window_logits(
    typing_context: Context,
    inputs: types.Type,
    input_rows: types.Type,
    count: types.Type,
    outputs: types.Type,
    output_rows: types.Type,
    logits: types.Type,
    slots: types.UniTuple,
) -> tuple[Signature, Generate]:
    """Dot products of every input with every output of a window.

    inputs, outputs: the two matrices.  input_rows, output_rows: where each row starts, in floats.
    logits: one block after the other, each (count rounded up to INPUT_BLOCK, outputs of the block).
    slots: a tuple as long as there are outputs; only its type matters.
    """
    signature = types.void(inputs, input_rows, count, outputs, output_rows, logits, slots)
    blocks = output_blocks(len(slots))

    def generate(
        context: BaseContext, builder: ir.IRBuilder, signature: Signature, arguments: list[ir.Value]
    ) -> ir.Value:
        emit = _Emitter(builder)
        matrix_in, rows_in, matrix_out, rows_out, result = (
            _data(context, builder, signature.args[i], arguments[i]) for i in (0, 1, 3, 4, 5)
        )
        width = cgutils.unpack_tuple(
            builder, context.make_array(signature.args[0])(context, builder, arguments[0]).shape
        )[1]
        number = arguments[2]
        step = ir.Constant(INDEX, INPUT_BLOCK)
        rounded = builder.mul(builder.udiv(builder.add(number, INDEX(INPUT_BLOCK - 1)), step), step)
        last = builder.sub(number, INDEX(1))
        for first_output, block in blocks:
            output_pointers = [
                builder.gep(matrix_out, [builder.load(builder.gep(rows_out, [INDEX(first_output + j)]))])
                for j in range(block)
            ]
            region = builder.gep(result, [builder.mul(rounded, INDEX(first_output))])
            with cgutils.for_range_slice(builder, INDEX(0), number, step, intp=INDEX) as (first_input, _):
                input_pointers = []
                for i in range(INPUT_BLOCK):
                    # Past the end the last input is taken again; its results are not read.
                    place = builder.add(first_input, INDEX(i))
                    place = builder.select(builder.icmp_unsigned("<", place, number), place, last)
                    input_pointers.append(builder.gep(matrix_in, [builder.load(builder.gep(rows_in, [place]))]))
                sums = [cgutils.alloca_once(builder, VECTOR) for _ in range(INPUT_BLOCK * block)]
                for total in sums:
                    builder.store(emit.zero, total)
                with cgutils.for_range_slice(builder, INDEX(0), width, INDEX(LANES), intp=INDEX) as (column, _):
                    values_in = [emit.load(pointer, column) for pointer in input_pointers]
                    for j, pointer in enumerate(output_pointers):
                        value = emit.load(pointer, column)
                        for i in range(INPUT_BLOCK):
                            total = sums[i * block + j]
                            builder.store(emit.multiply_add(values_in[i], value, builder.load(total)), total)
                target = builder.gep(region, [builder.mul(first_input, INDEX(block))])
                for start in range(0, len(sums), LANES):
                    packed = emit.lane_sums([builder.load(total) for total in sums[start : start + LANES]])
                    pointer = builder.bitcast(builder.gep(target, [INDEX(start)]), VECTOR.as_pointer())
                    builder.store(packed, pointer, align=4)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _window_update(
    typing_context: Context,
    inputs: types.Type,
    input_rows: types.Type,
    count: types.Type,
    outputs: types.Type,
    output_rows: types.Type,
    gradients: types.Type,
    slots: types.UniTuple,
    old: types.Type,
) -> tuple[Signature, Generate]:
    """Add the gradients of a window to its input and output rows; both are computed from the rows as they were.

    gradients: as `logits` of `_window_logits`, already times the learning rate.  old: room for count x LANES floats.
    A row that appears twice gets both its gradients.
    """
    signature = types.void(inputs, input_rows, count, outputs, output_rows, gradients, slots, old)
    blocks = output_blocks(len(slots))

    def generate(
        context: BaseContext, builder: ir.IRBuilder, signature: Signature, arguments: list[ir.Value]
    ) -> ir.Value:
        emit = _Emitter(builder)
        matrix_in, rows_in, matrix_out, rows_out, factors, saved = (
            _data(context, builder, signature.args[i], arguments[i]) for i in (0, 1, 3, 4, 5, 7)
        )
        width = cgutils.unpack_tuple(
            builder, context.make_array(signature.args[0])(context, builder, arguments[0]).shape
        )[1]
        number = arguments[2]
        step = ir.Constant(INDEX, INPUT_BLOCK)
        rounded = builder.mul(builder.udiv(builder.add(number, INDEX(INPUT_BLOCK - 1)), step), step)
        output_pointers = [
            builder.gep(matrix_out, [builder.load(builder.gep(rows_out, [INDEX(j)]))]) for j in range(len(slots))
        ]
        sums = [cgutils.alloca_once(builder, VECTOR) for _ in slots]
        with cgutils.for_range_slice(builder, INDEX(0), width, INDEX(LANES), intp=INDEX) as (column, _):
            for first_output, block in blocks:
                region = builder.gep(factors, [builder.mul(rounded, INDEX(first_output))])
                values = [
                    emit.load(pointer, column) for pointer in output_pointers[first_output : first_output + block]
                ]
                totals = sums[first_output : first_output + block]
                for total in totals:
                    builder.store(emit.zero, total)
                with cgutils.for_range(builder, number, intp=INDEX) as loop:
                    row = builder.gep(matrix_in, [builder.load(builder.gep(rows_in, [loop.index]))])
                    before = after = emit.load(row, column)
                    room = builder.mul(loop.index, INDEX(LANES))
                    if len(blocks) > 1 and first_output == 0:
                        emit.store(before, saved, room)
                    elif len(blocks) > 1:
                        before = emit.load(saved, room)
                    own = builder.gep(region, [builder.mul(loop.index, INDEX(block))])
                    for j in range(block):
                        factor = emit.spread(builder.load(builder.gep(own, [INDEX(j)])))
                        after = emit.multiply_add(factor, values[j], after)
                        builder.store(emit.multiply_add(factor, before, builder.load(totals[j])), totals[j])
                    emit.store(after, row, column)
            for pointer, total in zip(output_pointers, sums, strict=True):
                # Read again: a noise word that was drawn twice must get both gradients.
                updated = builder.fadd(emit.load(pointer, column), builder.load(total))
                emit.store(updated, pointer, column)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _prefetch_row(typing_context: Context, matrix: types.Type, offset: types.Type) -> tuple[Signature, Generate]:
    """Ask for every cache line of the row that starts `offset` floats into the matrix."""
    signature = types.void(matrix, offset)

    def generate(
        context: BaseContext, builder: ir.IRBuilder, signature: Signature, arguments: list[ir.Value]
    ) -> ir.Value:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        width = cgutils.unpack_tuple(builder, array.shape)[1]
        row = builder.gep(array.data, [arguments[1]])
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
def _draw_outputs(
    row_starts: NDArray[np.int64],
    word: int,
    place: int,
    key: np.uint64,
    noise_thresholds: NDArray[np.uint32],
    noise_aliases: NDArray[np.int32],
    stride: int,
    count: int,
    contexts: NDArray[np.float32],
) -> bool:
    """Fill `row_starts` with the word in the middle and its noise words, and start loading their rows.

    Returns whether a noise word is the word in the middle itself.
    """
    size = np.uint64(len(noise_thresholds))
    row_starts[0] = word * stride
    _prefetch_row(contexts, row_starts[0])
    clash = False
    for j in range(1, count):
        bits = _random_bits(key, place * (count - 1) + j)
        slot = np.int64(((bits >> np.uint64(32)) * size) >> np.uint64(32))
        noise = slot
        if np.uint32(bits) > noise_thresholds[slot]:
            noise = np.int64(noise_aliases[slot])
        clash |= noise == word
        row_starts[j] = noise * stride
        _prefetch_row(contexts, row_starts[j])
    return clash


@njit(inline="always")
def _sigmoid(x: np.float32) -> np.float32:
    """1 / (1 + exp(-x)) by the rational approximation of tanh that Eigen uses; error below 1e-6. Vectorises."""
    y = min(max(x * np.float32(0.5), np.float32(-7.9)), np.float32(7.9))
    square = y * y
    top = np.float32(-2.76076847742355e-16)
    top = top * square + np.float32(2.00018790482477e-13)
    top = top * square + np.float32(-8.60467152213735e-11)
    top = top * square + np.float32(5.12229709037114e-08)
    top = top * square + np.float32(1.48572235717979e-05)
    top = top * square + np.float32(6.37261928875436e-04)
    top = top * square + np.float32(4.89352455891786e-03)
    bottom = np.float32(1.19825839466702e-06)
    bottom = bottom * square + np.float32(1.18534705686654e-04)
    bottom = bottom * square + np.float32(2.26843463243900e-03)
    bottom = bottom * square + np.float32(4.89352518554385e-03)
    return np.float32(0.5) + np.float32(0.5) * (y * top / bottom)


@njit(inline="always", fastmath=FAST)
def _logits_to_gradients(
    logits: NDArray[np.float32], gradients: NDArray[np.float32], count: int, outputs: int, rate: np.float32
) -> float:
    """Turn the logits of a window into gradients; returns the loss summed over them.

    The loss -log sigmoid(-x) is max(x, 0) - log(larger), where larger = max(sigmoid(x), sigmoid(-x)) >= 1/2, so one
    logarithm of a product serves many logits.
    """
    loss = np.float64(0.0)
    rounded = (count + INPUT_BLOCK - 1) // INPUT_BLOCK * INPUT_BLOCK
    blocks = -(-outputs // OUTPUT_BLOCK)
    first = 0
    for block in range(blocks):
        last = outputs * (block + 1) // blocks
        begin = rounded * first
        end = begin + count * (last - first)
        while begin < end:
            stop = min(end, begin + LOGITS_PER_LOGARITHM)
            linear = np.float32(0.0)
            product = np.float32(1.0)
            for i in range(begin, stop):
                x = logits[i]
                chance = _sigmoid(x)
                gradients[i] = -rate * chance
                linear += max(x, np.float32(0.0))
                product *= max(chance, np.float32(1.0) - chance)
            loss += linear - math.log(product)
            begin = stop
        first = last
    # The first output is the word in the middle, whose label is 1.
    size = outputs // blocks
    for i in range(0, count * size, size):
        gradients[i] += rate
        loss -= logits[i]
    return loss


@njit(inline="always")
def _mask_clashes(
    logits: NDArray[np.float32], gradients: NDArray[np.float32], row_starts: NDArray[np.int64], count: int, outputs: int
) -> float:
    """Take noise words that are the word in the middle out of the gradients; returns their loss."""
    loss = np.float64(0.0)
    rounded = (count + INPUT_BLOCK - 1) // INPUT_BLOCK * INPUT_BLOCK
    blocks = -(-outputs // OUTPUT_BLOCK)
    first = 0
    for block in range(blocks):
        last = outputs * (block + 1) // blocks
        for j in range(max(first, 1), last):
            if row_starts[j] == row_starts[0]:
                for i in range(count):
                    place = rounded * first + i * (last - first) + j - first
                    x = np.float64(logits[place])
                    gradients[place] = 0.0
                    loss += max(x, 0.0) + math.log1p(math.exp(-abs(x)))
        first = last
    return loss


@njit(nogil=True, cache=True, fastmath=FAST)
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
    window_radius: int,
    learning_rate: float,
    key: np.uint64,
) -> tuple[float, int]:
    """Train on one chunk of the corpus; returns (loss summed over all pairs, positive pairs).

    token_ids: (N,) int32.  sentence_offsets: (S + 1,) int64.
    progress_start: part of the training done before this chunk, 0..1.  progress_step: part that one token adds.
    centers, contexts: (V, W) float32, W a multiple of ROW_MULTIPLE, columns past the dimension zero; updated in place.
    keep_thresholds, noise_thresholds: (V,) uint32, compared with 32 random bits.  noise_aliases: (V,) int32.
    slots: a tuple with 1 + negatives_per_pair entries; its length is part of the compiled code.
    key: uint64, of this chunk in this epoch; every draw is a function of it and of the token's place.
    """
    outputs = len(slots)
    stride = np.int64(centers.shape[1])
    longest = 0
    for s in range(len(sentence_offsets) - 1):
        longest = max(longest, sentence_offsets[s + 1] - sentence_offsets[s])
    sentence = np.empty(longest, np.int64)
    inputs = np.empty(2 * window_radius, np.int64)
    room = (2 * window_radius + INPUT_BLOCK) * outputs + 2 * LANES
    logits = np.zeros(room, np.float32)
    gradients = np.zeros(room, np.float32)
    old = _aligned_floats(2 * window_radius * LANES)
    drawn = np.empty((2, outputs), np.int64)
    window_key = _random_bits(key, 1)
    noise_key = _random_bits(key, 2)
    key = _random_bits(key, 0)
    loss = np.float64(0.0)
    pairs = 0
    for s in range(len(sentence_offsets) - 1):
        begin, end = sentence_offsets[s], sentence_offsets[s + 1]
        kept = 0
        for place in range(begin, end):
            token = token_ids[place]
            sentence[kept] = token
            kept += np.uint32(_random_bits(key, place)) <= keep_thresholds[token]
        if kept < 2:
            continue
        clash = _draw_outputs(
            drawn[0], sentence[0], begin, noise_key, noise_thresholds, noise_aliases, stride, outputs, contexts
        )
        spacing = (end - begin) / kept
        for t in range(kept):
            current = drawn[t & 1]
            next_clash = False
            if t + 1 < kept:
                next_clash = _draw_outputs(
                    drawn[(t + 1) & 1],
                    sentence[t + 1],
                    begin + t + 1,
                    noise_key,
                    noise_thresholds,
                    noise_aliases,
                    stride,
                    outputs,
                    contexts,
                )
            bits = _random_bits(window_key, begin + t)
            radius = 1 + int(((bits >> np.uint64(32)) * np.uint64(window_radius)) >> np.uint64(32))
            count = 0
            for place in range(max(0, t - radius), t):
                inputs[count] = sentence[place] * stride
                count += 1
            for place in range(t + 1, min(kept, t + radius + 1)):
                inputs[count] = sentence[place] * stride
                count += 1
            progress = progress_start + (begin + t * spacing) * progress_step
            rate = learning_rate * max(1.0 - progress, LEAST_RATE)
            _window_logits(centers, inputs, count, contexts, current, logits, slots)
            loss += _logits_to_gradients(logits, gradients, count, outputs, np.float32(rate))
            if clash:
                loss -= _mask_clashes(logits, gradients, current, count, outputs)
            _window_update(centers, inputs, count, contexts, current, gradients, slots, old)
            pairs += count
            clash = next_clash
    return loss, pairs


@njit(inline="always")
def _aligned_floats(size: int) -> NDArray[np.float32]:
    """`size` floats that start at the beginning of a cache line."""
    buffer = np.empty(size + ROW_MULTIPLE, np.float32)
    skipped = (-buffer.ctypes.data // 4) % ROW_MULTIPLE
    return buffer[skipped : skipped + size]
