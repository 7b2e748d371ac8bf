"""Vector code for Numba: a decorator that turns a function which emits LLVM instructions into a compiled one.

LLVM's own vectoriser keeps the gradients of a window in memory. Code that names its vectors keeps them in registers.
"""

# Numba and llvmlite build code from untyped objects. The tests check what the emitted code computes.
# mypy: disable-error-code="no-untyped-call, no-any-return"

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import reduce, wraps
from typing import Any, NamedTuple

from llvmlite import ir  # type: ignore[import-untyped]
from numba import config, types
from numba.core import cgutils
from numba.core.base import BaseContext
from numba.core.codegen import get_host_cpu_features
from numba.core.typing.context import Context
from numba.core.typing.templates import Signature
from numba.extending import intrinsic

FLOAT = ir.FloatType()
INDEX = ir.IntType(64)


def _vector_lanes() -> int:
    """Floats in the widest vector register of the processor that Numba compiles for.

    That is this machine's unless Numba's own variables (NUMBA_CPU_FEATURES, NUMBA_ENABLE_AVX) say otherwise.
    """
    chosen = config.CPU_FEATURES  # type: ignore[attr-defined]
    features = (get_host_cpu_features() if chosen is None else chosen).split(",")
    if "+avx512f" in features:
        return 16
    return 8 if "+avx2" in features else 4


LANES = _vector_lanes()
VECTOR = ir.VectorType(FLOAT, LANES)
# Rows are padded to whole cache lines, so that no vector load crosses two of them.
ROW_MULTIPLE = 16
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


class Operand(NamedTuple):
    """An argument of emitted code: its Numba type and its LLVM value."""

    kind: Any
    value: ir.Value


class Emitter:
    """The vector instructions that a window needs, under short names."""

    def __init__(self, context: BaseContext, builder: ir.IRBuilder) -> None:
        self.context, self.builder = context, builder
        self.zero, self.one = self.constant(0.0), self.constant(1.0)

    def data(self, array: Operand) -> ir.Value:
        """Address of an array's first element."""
        return self.context.make_array(array.kind)(self.context, self.builder, array.value).data

    def width(self, matrix: Operand) -> ir.Value:
        """Columns of a matrix."""
        shape = self.context.make_array(matrix.kind)(self.context, self.builder, matrix.value).shape
        return cgutils.unpack_tuple(self.builder, shape)[1]

    def row(self, matrix: ir.Value, starts: ir.Value, number: ir.Value) -> ir.Value:
        """Address of the row that starts `starts[number]` floats into the matrix."""
        return self.builder.gep(matrix, [self.builder.load(self.builder.gep(starts, [number]))])

    def columns(self, width: ir.Value) -> AbstractContextManager[tuple[ir.Value, ir.Value]]:
        """A loop over the columns, LANES at a time."""
        return cgutils.for_range_slice(self.builder, INDEX(0), width, INDEX(LANES), intp=INDEX)

    def constant(self, *pattern: float) -> ir.Value:
        """A vector whose first lanes hold the pattern; its last value fills the others."""
        return ir.Constant(VECTOR, [*pattern, *[pattern[-1]] * LANES][:LANES])

    def load(self, row: ir.Value, column: ir.Value) -> ir.Value:
        """LANES floats of a row, from a column on."""
        return self.builder.load(self._vector_pointer(row, column), align=4 * LANES)

    def store(self, value: ir.Value, row: ir.Value, column: ir.Value) -> None:
        """Write LANES floats of a row, from a column on."""
        self.builder.store(value, self._vector_pointer(row, column), align=4 * LANES)

    def prefetch(self, row: ir.Value, column: ir.Value) -> None:
        """Ask for the cache line of a row that holds a column, to be written."""
        byte, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
        function = cgutils.get_or_insert_function(self.builder.module, kind, "llvm.prefetch.p0")
        line = self.builder.bitcast(self.builder.gep(row, [column]), byte)
        self.builder.call(function, [line, flag(1), flag(3), flag(1)])

    def _vector_pointer(self, row: ir.Value, column: ir.Value) -> ir.Value:
        return self.builder.bitcast(self.builder.gep(row, [column]), VECTOR.as_pointer())

    def variable(self) -> ir.Value:
        """A vector that changes; LLVM keeps it in a register."""
        return cgutils.alloca_once(self.builder, VECTOR)

    def add_to(self, variable: ir.Value, a: ir.Value, b: ir.Value) -> None:
        """Variable += a * b."""
        self.builder.store(self.multiply_add(a, b, self.builder.load(variable)), variable)

    def multiply_add(self, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        """The vector a * b + c."""
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
        """The chosen lanes of two vectors; those of b are numbered after those of a."""
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


def emitted(emit_body: Callable[..., None]) -> Callable[..., Any]:
    """Make a Numba function without a result of one that emits its code.

    emit_body: called once for each signature, with an `Emitter` and an `Operand` for each argument.
    """

    @wraps(emit_body)
    def typed(typing_context: Context, *kinds: types.Type) -> tuple[Signature, Callable[..., ir.Value]]:
        def generate(
            context: BaseContext, builder: ir.IRBuilder, signature: Signature, arguments: list[ir.Value]
        ) -> ir.Value:
            emit_body(Emitter(context, builder), *map(Operand, signature.args, arguments))
            return context.get_dummy_value()

        return types.void(*kinds), generate

    return intrinsic(typed)
