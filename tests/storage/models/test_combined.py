"""The SVD of both matrices against NumPy's of the whole, and its rotation against SciPy's."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import orthogonal_procrustes

from storage.models.combined import CONTEXT_WEIGHT, SEPARATE_WEIGHT, WEIGHTS_WITH_FACTORS, reduced_vectors, unit_rows


def some_matrices(words: int, dimension: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Center vectors, and context vectors that resemble them as trained ones do."""
    random = np.random.default_rng(words)
    center = random.normal(size=(words, dimension)).astype(np.float32)
    return center, center + random.normal(size=center.shape).astype(np.float32)


@pytest.mark.parametrize(("words", "dimension"), [(500, 20), (40, 20), (7, 20), (1, 8)])
def test_reduced_vectors_are_the_best_approximation_turned_onto_the_center_vectors(words: int, dimension: int) -> None:
    center, context = some_matrices(words, dimension)
    reduced = reduced_vectors(center, context).astype(np.float64)
    both = np.hstack([unit_rows(center) + CONTEXT_WEIGHT * unit_rows(context), SEPARATE_WEIGHT * unit_rows(context)])
    left, values, _ = np.linalg.svd(both.astype(np.float64), full_matrices=False)
    best = left[:, :dimension] * values[:dimension]
    np.testing.assert_allclose(reduced @ reduced.T, best @ best.T, atol=1e-5)
    if words >= dimension:
        rotation, _ = orthogonal_procrustes(best, unit_rows(center))
        np.testing.assert_allclose(reduced, best @ rotation, atol=1e-4)


@pytest.mark.parametrize("count", [1, 2])
def test_the_factors_of_ppmi_are_reduced_with_the_matrices(count: int) -> None:
    center, context = some_matrices(300, 20)
    factors = [some_matrices(301 + number, 20)[0][:300] for number in range(count)]
    weighted = zip(WEIGHTS_WITH_FACTORS, [*map(unit_rows, [context, factors[0]]), *factors[1:]], strict=False)
    columns = [unit_rows(center) + CONTEXT_WEIGHT * unit_rows(context)]
    columns += [weight * part for weight, part in weighted]
    left, values, _ = np.linalg.svd(np.hstack(columns).astype(np.float64), full_matrices=False)
    best = left[:, :20] * values[:20]
    rotation, _ = orthogonal_procrustes(best, unit_rows(center))
    np.testing.assert_allclose(reduced_vectors(center, context, factors), best @ rotation, atol=1e-4)


def test_large_tables_are_reduced_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    center, context = some_matrices(500, 20)
    whole = reduced_vectors(center, context)
    monkeypatch.setattr("storage.files.large_arrays.BLOCK_NUMBERS", 1400)
    monkeypatch.setattr("storage.models.combined.BLOCK_ROWS", 7)
    np.testing.assert_allclose(reduced_vectors(center, context), whole, atol=1e-5)


def test_a_word_without_vectors_stays_zero() -> None:
    center, context = some_matrices(30, 8)
    center[3] = context[3] = 0
    assert not reduced_vectors(center, context)[3].any()
