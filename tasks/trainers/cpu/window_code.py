"""The matrix products of one window as vector code: gradients first, then the update of inputs and outputs.

    logits = inputs @ outputs.T,   inputs += gradients @ outputs,   outputs += gradients.T @ inputs

Sums stay in registers: an input block and an output block are multiplied together, and each loaded row serves several
multiply-adds. `tests/trainers/cpu/test_kernel.py` compares both passes with the same formulas in NumPy.
"""

# Numba and llvmlite build code from untyped objects. The tests check what the emitted code computes.
# mypy: disable-error-code="no-untyped-call, no-any-return"

from itertools import pairwise
from typing import NamedTuple

from numba.core import cgutils

from tasks.trainers.cpu.vector_code import FLOAT, INDEX, LANES, ROW_MULTIPLE, Emitter, Operand, emitted

# Inputs and outputs handled together: the sums of all their pairs stay in registers and fit into one vector.
INPUT_BLOCK = 2
OUTPUT_BLOCK = LANES // INPUT_BLOCK
# Outputs handled together. Each needs two registers, for its sums of two inputs or for its row and its sum: more of
# them together save loads, but fourteen in 32 registers are too many (docs/experiments.md).
OUTPUTS_IN_REGISTERS = 12 if LANES == 16 else 6


class Block(NamedTuple):
    """Outputs whose gradients for INPUT_BLOCK inputs fill one vector."""

    number: int
    first: int
    size: int

    @property
    def end(self) -> int:
        """The output after the last."""
        return self.first + self.size


def output_blocks(outputs: int) -> list[Block]:
    """The blocks of a number of outputs, with sizes as equal as possible."""
    blocks = -(-outputs // OUTPUT_BLOCK)
    edges = [outputs * block // blocks for block in range(blocks + 1)]
    return [Block(number, first, last - first) for number, (first, last) in enumerate(pairwise(edges))]


def grouped_blocks(outputs: int) -> list[list[Block]]:
    """The same blocks, as many of them together as OUTPUTS_IN_REGISTERS allows."""
    groups: list[list[Block]] = []
    for block in output_blocks(outputs):
        if groups and block.end - groups[-1][0].first <= OUTPUTS_IN_REGISTERS:
            groups[-1].append(block)
        else:
            groups.append([block])
    return groups


@emitted
def window_gradients(
    emit: Emitter,
    inputs: Operand,
    input_rows: Operand,
    first_input: Operand,
    count: Operand,
    outputs: Operand,
    output_rows: Operand,
    slots: Operand,
    rate: Operand,
    gradients: Operand,
    losses: Operand,
) -> None:
    """Gradient of every pair of an input and an output of a window: rate * (label - sigmoid(input . output)).

    inputs, outputs: the two matrices.  input_rows, output_rows: where each row starts, in floats.
    first_input, count: which of the input rows.
    slots: a tuple with one entry for each output; only its type matters. The first output has the label 1.
    gradients: one vector of LANES floats for each pair of an input block and an output block, input blocks first.
    losses: two vectors for each output block. The loss -log sigmoid(-x) is max(x, 0) - log(larger), where larger is the
    larger of sigmoid(x) and sigmoid(-x) and at least 1/2. The first vector sums the first part, the second multiplies
    the `larger` values, so that one logarithm covers many pairs.
    """
    builder, blocks = emit.builder, len(output_blocks(len(slots.kind)))
    matrix_in, rows_in, matrix_out, rows_out, result, sums_of_losses = (
        emit.data(array) for array in (inputs, input_rows, outputs, output_rows, gradients, losses)
    )
    rows_in = builder.gep(rows_in, [first_input.value])
    width, number, rates = emit.width(inputs), count.value, emit.spread(rate.value)
    last = builder.sub(number, INDEX(1))
    for group in grouped_blocks(len(slots.kind)):
        output_pointers = {
            j: emit.row(matrix_out, rows_out, INDEX(j)) for block in group for j in range(block.first, block.end)
        }
        with cgutils.for_range_slice(builder, INDEX(0), number, INDEX(INPUT_BLOCK), intp=INDEX) as (first, pair):
            # The last input of an odd number is paired with itself; the losses mask the second one.
            second = builder.add(first, INDEX(1))
            numbers = [first, builder.select(builder.icmp_unsigned("<", second, number), second, last)]
            input_pointers = [emit.row(matrix_in, rows_in, number) for number in numbers]
            sums = {(i, j): emit.variable() for i in range(INPUT_BLOCK) for j in output_pointers}
            for total in sums.values():
                builder.store(emit.zero, total)
            with emit.columns(width) as (column, _):
                values = [emit.load(pointer, column) for pointer in input_pointers]
                for j, pointer in output_pointers.items():
                    other = emit.load(pointer, column)
                    for i, value in enumerate(values):
                        emit.add_to(sums[i, j], value, other)
            for block in group:
                own = [builder.load(sums[i, j]) for i in range(INPUT_BLOCK) for j in range(block.first, block.end)]
                offset = builder.add(builder.mul(pair, INDEX(LANES * blocks)), INDEX(LANES * block.number))
                emit.store(emit.lane_sums(own), result, offset)
        # In a second loop: each sigmoid takes longer than the products of a pair, and here nothing waits for it.
        for block in group:
            linear_part, product_part = INDEX(2 * block.number * LANES), INDEX((2 * block.number + 1) * LANES)
            linear_sum, products = emit.variable(), emit.variable()
            builder.store(emit.load(sums_of_losses, linear_part), linear_sum)
            builder.store(emit.load(sums_of_losses, product_part), products)
            labels = emit.constant(*([float(block.first == 0)] + [0.0] * (block.size - 1)) * INPUT_BLOCK, 0.0)
            masks = [emit.constant(*[1.0] * block.size * valid, 0.0) for valid in range(1, INPUT_BLOCK + 1)]
            with cgutils.for_range_slice(builder, INDEX(0), number, INDEX(INPUT_BLOCK), intp=INDEX) as (first, pair):
                paired = builder.icmp_unsigned("<", builder.add(first, INDEX(1)), number)
                offset = builder.add(builder.mul(pair, INDEX(LANES * blocks)), INDEX(LANES * block.number))
                x = emit.load(result, offset)
                chance = emit.sigmoid(x)
                emit.store(builder.fmul(rates, builder.fsub(labels, chance)), result, offset)
                mask = builder.select(paired, masks[1], masks[0])
                loss = builder.fsub(emit.larger(emit.zero, x), builder.fmul(labels, x))
                emit.add_to(linear_sum, mask, loss)
                # 1 - mask * (smaller of the two chances)
                least = emit.smaller(builder.fsub(emit.one, chance), chance)
                factor = builder.fsub(emit.one, builder.fmul(mask, least))
                builder.store(builder.fmul(builder.load(products), factor), products)
            emit.store(builder.load(linear_sum), sums_of_losses, linear_part)
            emit.store(builder.load(products), sums_of_losses, product_part)


@emitted
def window_update(
    emit: Emitter,
    inputs: Operand,
    input_rows: Operand,
    first_input: Operand,
    count: Operand,
    outputs: Operand,
    output_rows: Operand,
    slots: Operand,
    gradients: Operand,
    old: Operand,
    next_outputs: Operand,
    centers: Operand,
    next_input: Operand,
) -> None:
    """Add the gradients of a window to its input and output rows, both computed from the rows before the update.

    The arguments are those of `window_gradients`.  old: scratch space of count * LANES floats.
    A row that appears twice receives both gradients.
    next_outputs, next_input: where the rows of `outputs` and the row of `centers` start that a later window needs. They
    are prefetched a cache line at a time between the products. All at once are more lines than the core can wait for,
    and it stops until some have arrived: that cost a tenth of the speed.
    """
    builder, blocks = emit.builder, len(output_blocks(len(slots.kind)))
    groups = grouped_blocks(len(slots.kind))
    matrix_in, rows_in, matrix_out, rows_out, factors, saved = (
        emit.data(array) for array in (inputs, input_rows, outputs, output_rows, gradients, old)
    )
    rows_in = builder.gep(rows_in, [first_input.value])
    output_pointers = [emit.row(matrix_out, rows_out, INDEX(j)) for j in range(len(slots.kind))]
    sums = [emit.variable() for _ in slots.kind]
    coming = [emit.row(matrix_out, emit.data(next_outputs), INDEX(j)) for j in range(len(slots.kind))]
    coming.append(builder.gep(emit.data(centers), [next_input.value]))
    with emit.columns(emit.width(inputs)) as (column, _):
        for row in coming:
            emit.prefetch(row, column)
        for group in groups:
            others = [emit.load(pointer, column) for pointer in output_pointers[group[0].first : group[-1].end]]
            for total in sums[group[0].first : group[-1].end]:
                builder.store(emit.zero, total)
            with cgutils.for_range(builder, count.value, intp=INDEX) as loop:
                row = emit.row(matrix_in, rows_in, loop.index)
                before = after = emit.load(row, column)
                room = builder.mul(loop.index, INDEX(LANES))
                if len(groups) > 1 and group is groups[0]:
                    emit.store(before, saved, room)
                elif len(groups) > 1:
                    before = emit.load(saved, room)
                pair = builder.mul(builder.udiv(loop.index, INDEX(INPUT_BLOCK)), INDEX(LANES * blocks))
                own = []
                for block in group:
                    lane = builder.mul(builder.urem(loop.index, INDEX(INPUT_BLOCK)), INDEX(block.size))
                    start = builder.gep(factors, [builder.add(builder.add(pair, lane), INDEX(LANES * block.number))])
                    own += [builder.gep(start, [INDEX(j)]) for j in range(block.size)]
                for j, (pointer, other) in enumerate(zip(own, others, strict=True), group[0].first):
                    factor = emit.spread(builder.load(pointer))
                    after = emit.multiply_add(factor, other, after)
                    emit.add_to(sums[j], factor, before)
                emit.store(after, row, column)
        for pointer, total in zip(output_pointers, sums, strict=True):
            # Loaded again: a noise word that was drawn twice must receive both gradients.
            emit.store(builder.fadd(emit.load(pointer, column), builder.load(total)), pointer, column)


@emitted
def average_rows(emit: Emitter, matrix: Operand, rows: Operand, count: Operand, mean: Operand) -> None:
    """Mean of `count` rows of a matrix; row i starts `rows[i]` floats into it.

    mean: (2, W). Both rows receive the mean; `move_rows` compares them after the first one was trained.
    """
    builder = emit.builder
    source, starts, target = (emit.data(array) for array in (matrix, rows, mean))
    width, total = emit.width(matrix), emit.variable()
    share = emit.spread(builder.fdiv(FLOAT(1.0), builder.uitofp(count.value, FLOAT)))
    with emit.columns(width) as (column, _):
        builder.store(emit.zero, total)
        with cgutils.for_range(builder, count.value, intp=INDEX) as loop:
            emit.add_to(total, share, emit.load(emit.row(source, starts, loop.index), column))
        for position in (column, builder.add(column, width)):
            emit.store(builder.load(total), target, position)


@emitted
def move_rows(emit: Emitter, matrix: Operand, rows: Operand, count: Operand, mean: Operand) -> None:
    """Add the change of the mean, divided by the number of rows, to every row.

    That is the derivative: each row is one part in `count` of the mean. word2vec.c does not divide
    (https://github.com/bloomberg/koan explains what that costs).
    The arguments are those of `average_rows`; the first row of `mean` was trained since, the second was not.
    """
    builder = emit.builder
    target, starts, source = (emit.data(array) for array in (matrix, rows, mean))
    width = emit.width(matrix)
    share = emit.spread(builder.fdiv(FLOAT(1.0), builder.uitofp(count.value, FLOAT)))
    with emit.columns(width) as (column, _):
        moved = builder.fsub(emit.load(source, column), emit.load(source, builder.add(column, width)))
        change = builder.fmul(moved, share)
        with cgutils.for_range(builder, count.value, intp=INDEX) as loop:
            row = emit.row(target, starts, loop.index)
            emit.store(builder.fadd(emit.load(row, column), change), row, column)


@emitted
def prefetch_row(emit: Emitter, matrix: Operand, offset: Operand) -> None:
    """Prefetch every cache line of the row that starts `offset` floats into the matrix."""
    row = emit.builder.gep(emit.data(matrix), [offset.value])
    lines = cgutils.for_range_slice(emit.builder, INDEX(0), emit.width(matrix), INDEX(ROW_MULTIPLE), intp=INDEX)
    with lines as (column, _):
        emit.prefetch(row, column)
