"""Vectors from counts: factorizes the positive pointwise mutual information (PPMI) of words that occur near each other.

Levy, Goldberg and Dagan 2015, "Improving distributional similarity with lessons learned from word embeddings": PPMI
with smoothed contexts (section 3.2), and its left singular vectors without singular values (section 3.3). The subspace
comes from one iteration that starts at the trained context vectors (Halko, Martinsson and Tropp 2011, algorithm 4.4,
which starts at random ones), because skip-gram implicitly factorizes a shifted PMI matrix (Levy and Goldberg 2014).
"""

# Numba's compiled functions are untyped. The tests check what they return.
# mypy: disable-error-code="no-untyped-call, misc"

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from tasks.compiled import njit, uncounted
from tasks.trainers.bookkeeping import check_pairs
from tasks.trainers.interface import Allocator, PairRun, PairSource

# Counts of contexts are raised to this power, so that rare ones are not overrated (Levy et al. 2015).
CONTEXT_EXPONENT = 0.75
# Directions whose squared length is a smaller fraction of the largest are rounding errors.
SMALLEST_EIGENVALUE = 1e-10
# Rows in double precision at once: 6 MB of 100 dimensions.
BLOCK_ROWS = 8192
# Pairs that are sorted by row at once, in 30 MB.
BATCH_PAIRS = 1 << 20
# Up to so many pairs stay in memory sorted, in 16 bytes each; more are read and sorted again for each product.
KEPT_PAIRS = 1 << 23

Result = TypeVar("Result")


class _Terms(NamedTuple):
    """What a word adds to the logarithm of a count, (V,) float32: as the row of the matrix, and as its column."""

    row: NDArray[np.float32]
    column: NDArray[np.float32]


class _Rows(NamedTuple):
    """Pairs in both orders, in the rows of one of the workers, sorted by row.

    starts: (V + 1,) int64, where the pairs of each row start.  columns: (N,) int32.  logs: (N,) float32, of the counts.
    """

    starts: NDArray[np.int64]
    columns: NDArray[np.int32]
    logs: NDArray[np.float32]


def ppmi_vectors(
    pairs: PairSource, context_vectors: NDArray[np.float32], workers: int = 1, allocate: Allocator = np.zeros
) -> NDArray[np.float32]:
    """(V, D) float32 left singular vectors of the PPMI matrix, up to a rotation, with orthonormal columns.

    pairs: the symmetric counts of the V words; a word without pairs, or whose PMI is never positive, gets zeros.
    context_vectors: (V, D), of a training on the same text.  workers: threads; the result does not depend on them.
    allocate: makes two matrices.  Raises ValueError for a malformed chunk.
    """
    terms = _terms(pairs, len(context_vectors))
    factor, product = (allocate(context_vectors.shape, np.float32) for _ in range(2))
    factor[:] = context_vectors
    with ThreadPoolExecutor(workers, thread_name_prefix="ppmi") as pool:
        kept = list(_sorted(pairs, terms, workers, pool)) if pairs.token_count <= KEPT_PAIRS else []
        # Swapped terms multiply by the transpose.
        for turned in (terms, _Terms(terms.column, terms.row), terms):
            product[:] = 0
            for parts in kept or _sorted(pairs, terms, workers, pool):
                for part in [pool.submit(_add_products, rows, turned, factor, product) for rows in parts]:
                    part.result()
            orthonormalize(product)
            factor, product = product, factor
    return factor


def _terms(pairs: PairSource, words: int) -> _Terms:
    """From the counts of the words in all pairs."""
    counts = np.zeros(words)
    for chunk in pairs.read_chunks():
        check_pairs(chunk, words)
        counts += np.bincount(chunk.rows, chunk.weights, words)
        counts += np.bincount(chunk.columns, np.where(chunk.rows == chunk.columns, 0, chunk.weights), words)
    logs = np.log(np.where(counts > 0, counts, 1))
    total = np.sum(counts**CONTEXT_EXPONENT)
    return _Terms((np.log(max(total, 1)) - logs).astype(np.float32), (-CONTEXT_EXPONENT * logs).astype(np.float32))


def _sorted(pairs: PairSource, terms: _Terms, workers: int, pool: ThreadPoolExecutor) -> Iterator[list[_Rows]]:
    """The pairs whose PMI is positive in either order, some BATCH_PAIRS at a time: the rows of each worker."""
    for batch in _batches(pairs):
        yield [_Rows(*rows) for rows in run_in_workers(pool, workers, _sort, *batch, *terms)]


def run_in_workers(
    pool: ThreadPoolExecutor, workers: int, function: Callable[..., Result], *arguments: object
) -> list[Result]:
    """Run a function once per worker; its last two arguments are the worker's number and the number of workers."""
    running = [pool.submit(function, *arguments, worker, workers) for worker in range(workers)]
    return [part.result() for part in running]


def _batches(pairs: PairSource) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]]:
    """Rows, columns and logarithms of the counts, some BATCH_PAIRS at a time."""
    chunks: list[PairRun] = []
    for chunk in pairs.read_chunks():
        chunks.append(chunk)
        if sum(len(other.rows) for other in chunks) >= BATCH_PAIRS:
            yield _joined(chunks)
            chunks = []
    if chunks:
        yield _joined(chunks)


def _joined(chunks: list[PairRun]) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]:
    rows, columns = (np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in ("rows", "columns"))
    return rows, columns, np.log(np.concatenate([chunk.weights for chunk in chunks]))


@njit()
def _sort(
    rows: NDArray[np.int32],
    columns: NDArray[np.int32],
    logs: NDArray[np.float32],
    row_terms: NDArray[np.float32],
    column_terms: NDArray[np.float32],
    worker: int,
    workers: int,
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    """The fields of `_Rows`.

    Products of sorted pairs are twice as fast as those in the random order of the counts, and as sparse matrices of
    SciPy that are built for each batch.
    """
    starts = np.zeros(len(row_terms) + 1, np.int64)
    positive = np.empty(len(rows), np.bool_)
    for pair in range(len(rows)):
        row, column = rows[pair], columns[pair]
        larger = max(row_terms[row] + column_terms[column], row_terms[column] + column_terms[row])
        positive[pair] = logs[pair] + larger > 0
        if positive[pair]:
            starts[row + 1] += row % workers == worker
            starts[column + 1] += column % workers == worker and row != column
    starts = np.cumsum(starts)
    places = starts[:-1].copy()
    others, values = np.empty(starts[-1], np.int32), np.empty(starts[-1], np.float32)
    for pair in range(len(rows)):
        row, column = rows[pair], columns[pair]
        if positive[pair] and row % workers == worker:
            others[places[row]], values[places[row]] = column, logs[pair]
            places[row] += 1
        if positive[pair] and column % workers == worker and row != column:
            others[places[column]], values[places[column]] = row, logs[pair]
            places[column] += 1
    return starts, others, values


@uncounted(fastmath=True)
def _add_products(rows: _Rows, terms: _Terms, factor: NDArray[np.float32], product: NDArray[np.float32]) -> None:
    """Add PPMI @ factor, of these rows."""
    for row in range(len(rows.starts) - 1):
        total = product[row]
        for place in range(rows.starts[row], rows.starts[row + 1]):
            column = rows.columns[place]
            value, added = rows.logs[place] + terms.row[row] + terms.column[column], factor[column]
            if value > 0:
                for dimension in range(len(total)):
                    total[dimension] += value * added[dimension]


def orthonormalize(matrix: NDArray[np.float32]) -> None:
    """Replace the (V, D) columns by orthonormal ones that span the same space; those beyond its rank become zero."""
    blocks = [matrix[first : first + BLOCK_ROWS] for first in range(0, len(matrix), BLOCK_ROWS)]
    products = np.zeros((matrix.shape[1], matrix.shape[1]))
    for block in blocks:
        exact = block.astype(np.float64)
        products += exact.T @ exact
    values, axes = np.linalg.eigh(products)
    real = values > SMALLEST_EIGENVALUE * max(values[-1], np.finfo(np.float64).tiny)
    scaled = (axes * np.where(real, 1 / np.sqrt(np.where(real, values, 1)), 0)).astype(np.float32)
    for block in blocks:
        block[:] = block @ scaled
