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
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.compiled import njit
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


class _Terms(NamedTuple):
    """What a word adds to the logarithm of a count, (V,) float32: as the row of the matrix, and as its column."""

    row: NDArray[np.float32]
    column: NDArray[np.float32]


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
        for turned in (terms, _Terms(terms.column, terms.row), terms):
            _multiply(pairs, turned, factor, product, workers, pool)
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


def _multiply(
    pairs: PairSource,
    terms: _Terms,
    factor: NDArray[np.float32],
    product: NDArray[np.float32],
    workers: int,
    pool: ThreadPoolExecutor,
) -> None:
    """Set `product` to PPMI @ factor, each thread some of its rows. Swapped terms multiply by the transpose."""
    product[:] = 0
    for rows, columns, logs in _batches(pairs):
        run_in_workers(pool, workers, _add_products, rows, columns, logs, *terms, factor, product)


def run_in_workers(pool: ThreadPoolExecutor, workers: int, function: Callable[..., None], *arguments: object) -> None:
    """Run a function once per worker; its last two arguments are the worker's number and the number of workers."""
    for part in [pool.submit(function, *arguments, worker, workers) for worker in range(workers)]:
        part.result()


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


@njit(fastmath=True)
def _add_products(
    rows: NDArray[np.int32],
    columns: NDArray[np.int32],
    logs: NDArray[np.float32],
    row_terms: NDArray[np.float32],
    column_terms: NDArray[np.float32],
    factor: NDArray[np.float32],
    product: NDArray[np.float32],
    worker: int,
    workers: int,
) -> None:
    """Add the products of both entries of each pair, in the rows of one of the workers.

    The entries are sorted by row first: twice as fast as products in the random order of the pairs, and as sparse
    matrices of SciPy that are built for each batch.
    """
    words, dimensions = factor.shape
    starts = np.zeros(words + 1, np.int64)
    for pair in range(len(rows)):
        row, column = rows[pair], columns[pair]
        if row % workers == worker and logs[pair] + row_terms[row] + column_terms[column] > 0:
            starts[row + 1] += 1
        if column % workers == worker and row != column and logs[pair] + row_terms[column] + column_terms[row] > 0:
            starts[column + 1] += 1
    starts = np.cumsum(starts)
    places = starts[:-1].copy()
    others, values = np.empty(starts[-1], np.int32), np.empty(starts[-1], np.float32)
    for pair in range(len(rows)):
        row, column = rows[pair], columns[pair]
        value = logs[pair] + row_terms[row] + column_terms[column]
        if row % workers == worker and value > 0:
            others[places[row]], values[places[row]] = column, value
            places[row] += 1
        value = logs[pair] + row_terms[column] + column_terms[row]
        if column % workers == worker and row != column and value > 0:
            others[places[column]], values[places[column]] = row, value
            places[column] += 1
    total = np.empty(dimensions, np.float32)
    for row in range(worker, words, workers):
        if starts[row] < starts[row + 1]:
            total[:] = 0
            for entry in range(starts[row], starts[row + 1]):
                value, added = values[entry], factor[others[entry]]
                for dimension in range(dimensions):
                    total[dimension] += value * added[dimension]
            product[row] += total


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
