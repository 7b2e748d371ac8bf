"""Bits of text: which bytes belong to tokens, and which are not ASCII, 64 bytes to a number.

To find a token's end in a number takes one instruction, where a loop over its bytes mispredicts its exit once a token.
Langdale and Lemire 2019, Parsing Gigabytes of JSON per Second, section 3.1, do the same for JSON.
"""

# Numba and llvmlite build code from untyped objects. The tests check what the emitted code computes.
# mypy: disable-error-code="no-untyped-call, no-any-return"

from collections.abc import Callable
from typing import Any

import numba
import numba.extending
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core.base import BaseContext
from numba.core.typing.context import Context
from numba.core.typing.templates import Signature
from numpy.typing import NDArray

from tasks.compiled import uncounted

# Compiled functions accept other types than their annotations.
intrinsic: Callable[..., Callable[..., Any]] = numba.extending.intrinsic
BLOCK = 64
APOSTROPHE = ord("'")
BYTE, NUMBER = ir.IntType(8), ir.IntType(64)
BYTES = ir.VectorType(BYTE, BLOCK)
ONE, LAST, ALL = np.uint64(1), np.uint64(63), np.uint64(2**64 - 1)
NONE = np.uint64(0)


@intrinsic
def block_bits(typing_context: Context, letters: types.Type, at: types.Type) -> tuple[Signature, Callable[..., Any]]:
    """Of the 64 bytes from `at` on, as bits: ASCII letters and digits, apostrophes, ASCII whitespace, and not ASCII."""

    def generate(context: BaseContext, builder: ir.IRBuilder, signature: Signature, values: list[ir.Value]) -> ir.Value:
        data = context.make_array(signature.args[0])(context, builder, values[0]).data
        pointer = builder.bitcast(builder.gep(data, [values[1]]), BYTES.as_pointer())
        block = builder.load(pointer, align=1)

        def all_of(code: int) -> ir.Constant:
            return ir.Constant(BYTES, [code] * BLOCK)

        def between(text: ir.Value, first: int, size: int) -> ir.Value:
            return builder.icmp_unsigned("<", builder.sub(text, all_of(first)), all_of(size))

        letter = between(builder.or_(block, all_of(0x20)), ord("a"), 26)
        word = builder.or_(letter, between(block, ord("0"), 10))
        apostrophe = builder.icmp_unsigned("==", block, all_of(APOSTROPHE))
        space = builder.or_(between(block, 9, 5), between(block, 28, 5))
        other = builder.icmp_signed("<", block, all_of(0))
        numbers = [builder.bitcast(bits, NUMBER) for bits in (word, apostrophe, space, other)]
        return context.make_tuple(builder, signature.return_type, numbers)

    return types.UniTuple(types.uint64, 4)(letters, types.intp), generate


@intrinsic
def eight_bytes(typing_context: Context, letters: types.Type, at: types.Type) -> tuple[Signature, Callable[..., Any]]:
    """The 8 bytes from `at` on as a number, the first one lowest."""

    def generate(context: BaseContext, builder: ir.IRBuilder, signature: Signature, values: list[ir.Value]) -> ir.Value:
        data = context.make_array(signature.args[0])(context, builder, values[0]).data
        return builder.load(builder.bitcast(builder.gep(data, [values[1]]), NUMBER.as_pointer()), align=1)

    return types.uint64(letters, types.intp), generate


@intrinsic
def put_eight_bytes(
    typing_context: Context, letters: types.Type, at: types.Type, number: types.Type
) -> tuple[Signature, Callable[..., Any]]:
    """Write a number as the 8 bytes from `at` on, its lowest first."""

    def generate(context: BaseContext, builder: ir.IRBuilder, signature: Signature, values: list[ir.Value]) -> ir.Value:
        data = context.make_array(signature.args[0])(context, builder, values[0]).data
        builder.store(values[2], builder.bitcast(builder.gep(data, [values[1]]), NUMBER.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(letters, types.intp, types.uint64), generate


@intrinsic
def trailing_zeros(typing_context: Context, number: types.Type) -> tuple[Signature, Callable[..., Any]]:
    """The number of zero bits below the lowest one; 64 for zero."""

    def generate(context: BaseContext, builder: ir.IRBuilder, signature: Signature, values: list[ir.Value]) -> ir.Value:
        return builder.cttz(values[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), generate


@intrinsic
def prefetch(typing_context: Context, numbers: types.Type, at: types.Type) -> tuple[Signature, Callable[..., Any]]:
    """Load the cache line of numbers[at] ahead of its use."""

    def generate(context: BaseContext, builder: ir.IRBuilder, signature: Signature, values: list[ir.Value]) -> ir.Value:
        data = context.make_array(signature.args[0])(context, builder, values[0]).data
        pointer = builder.bitcast(builder.gep(data, [values[1]]), BYTE.as_pointer())
        flag = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [BYTE.as_pointer(), flag, flag, flag])
        function = builder.module.declare_intrinsic("llvm.prefetch", [BYTE.as_pointer()], kind)
        # For reading, into all levels of the data cache.
        builder.call(function, [pointer, flag(0), flag(3), flag(1)])
        return context.get_dummy_value()

    return types.void(numbers, types.uint64), generate


@uncounted(inline="always")
def copy_bytes(letters: NDArray[np.uint8], start: int, stop: int, copy: NDArray[np.uint8], offset: int) -> None:
    """Copy letters[start:stop] to copy[offset:].

    Numba compiles the assignment of a slice with the formatting of its error, which takes longer than most kernels.
    """
    for at in range(stop - start):
        copy[offset + at] = letters[start + at]


@uncounted()
def mark_bytes(
    letters: NDArray[np.uint8],
    whole: bool,
    tokens: NDArray[np.uint64],
    others: NDArray[np.uint64],
    last: NDArray[np.uint8],
) -> None:
    """Set the bits of bytes that belong to tokens, and of those that are not ASCII; the last numbers end in zeros.

    letters: (B,) UTF-8 bytes.  whole: tokens are all but ASCII whitespace; if not, ASCII letters and digits, and
    apostrophes between two of them.  tokens, others: (B // 64 + 2,) at least.  last: (64,) zeros, for the last bytes.
    """
    blocks = (len(letters) + BLOCK - 1) // BLOCK
    # Of the block before: its words and apostrophes, and its first bit's neighbour.
    words, apostrophes, before = NONE, NONE, NONE
    for block in range(blocks):
        start = block * BLOCK
        if start + BLOCK <= len(letters):
            word, apostrophe, space, other = block_bits(letters, start)
            inside = ALL
        else:
            copy_bytes(letters, start, len(letters), last, 0)
            word, apostrophe, space, other = block_bits(last, 0)
            inside = (ONE << np.uint64(len(letters) - start)) - ONE
        others[block] = other
        if whole:
            tokens[block] = ~space & inside
            continue
        if block:
            neighbours = ((words << ONE) | before) & ((words >> ONE) | (word << LAST))
            tokens[block - 1] = words | (apostrophes & neighbours)
            before = words >> LAST
        words, apostrophes = word, apostrophe
    if blocks and not whole:
        tokens[blocks - 1] = words | (apostrophes & ((words << ONE) | before) & (words >> ONE))
    tokens[blocks] = others[blocks] = NONE


@uncounted(inline="always")
def next_bit(bits: NDArray[np.uint64], at: int, stop: int) -> int:
    """Position of the first bit from `at` on that is one, `stop` if there is none before."""
    if at >= stop:
        return stop
    block = at >> 6
    number = bits[block] >> np.uint64(at & 63)
    if number != NONE:
        return min(at + trailing_zeros(number), stop)
    while True:
        block += 1
        if block * 64 >= stop:
            return stop
        if bits[block] != NONE:
            return min(block * 64 + trailing_zeros(bits[block]), stop)


@uncounted(inline="always")
def next_gap(bits: NDArray[np.uint64], at: int, stop: int) -> int:
    """Position of the first bit after `at`, itself one, that is zero; `stop` if there is none before."""
    block = at >> 6
    number = ~bits[block] >> np.uint64(at & 63)
    if number != NONE:
        return min(at + trailing_zeros(number), stop)
    while True:
        block += 1
        if block * 64 >= stop:
            return stop
        if ~bits[block] != NONE:
            return min(block * 64 + trailing_zeros(~bits[block]), stop)
