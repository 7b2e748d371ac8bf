"""Reduced and joined vectors against scikit-learn's PCA."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from tasks.trainers.reduction import TRAINED_LENGTH, distil, fuse, principal_components, unit_rows

RANDOM = np.random.default_rng(1)
VECTORS = (RANDOM.normal(size=(300, 24)) * np.linspace(3, 0.2, 24) + 2).astype(np.float32)
TRAINED = RANDOM.normal(size=(300, 10)).astype(np.float32)


def cosines(vectors: np.ndarray) -> np.ndarray:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    products: np.ndarray = unit @ unit.T
    return products


@pytest.mark.parametrize("dimension", [1, 8, 24])
def test_components_equal_those_of_scikit_learn(dimension: int) -> None:
    theirs = PCA(dimension, svd_solver="full").fit_transform(VECTORS.astype(np.float64))
    ours = principal_components(VECTORS, dimension)
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=2e-4)
    np.testing.assert_allclose(np.linalg.norm(distil(VECTORS, dimension), axis=1), 1, atol=1e-6)


def test_all_dimensions_keep_every_cosine() -> None:
    centred = VECTORS - VECTORS.mean(0)
    np.testing.assert_allclose(cosines(distil(VECTORS, 24)), cosines(centred), atol=1e-4)


def test_joined_vectors_are_those_of_scikit_learn() -> None:
    parts = [TRAINED_LENGTH * unit_rows(TRAINED), unit_rows(VECTORS - VECTORS.mean(0))]
    theirs = PCA(12, svd_solver="full").fit_transform(np.hstack(parts).astype(np.float64))
    np.testing.assert_allclose(cosines(fuse(TRAINED, VECTORS, 12)), cosines(theirs), atol=1e-4)


def test_more_dimensions_than_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="24 numbers, which cannot be reduced to 25"):
        distil(VECTORS, 25)
    with pytest.raises(ValueError, match="34 numbers"):
        fuse(TRAINED, VECTORS, 35)
