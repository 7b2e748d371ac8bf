"""Reduce vectors to fewer dimensions, and join the vectors of two models."""

import numpy as np
from numpy.typing import NDArray

# Length of the trained part of joined vectors; the encoded part has length 1. Text8-like Wikipedia, .8 against 1:
# SimLex +.020, MEN +.012, analogies +.001; on MTurk-771, which did not serve to choose it, +.014.
TRAINED_LENGTH = np.float32(0.8)


def unit_rows(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """(V, D) rows scaled to length 1; zero rows are unchanged.

    Not `metrics.cosines.unit_rows`, which sums in another order: published vectors depend on these bits.
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: NDArray[np.float32] = (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32)
    return scaled


def principal_components(vectors: NDArray[np.float32], dimension: int) -> NDArray[np.float32]:
    """The (V, D) coordinates of (V, E) vectors along their D directions of largest variance, the largest first.

    The mean is subtracted. The sign of a direction is that of its largest element, so that results are reproducible.
    Raises ValueError if D exceeds E.
    """
    words, width = vectors.shape
    if dimension > width:
        raise ValueError(f"the vectors have {width} numbers, which cannot be reduced to {dimension}")
    centred = vectors - vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    covariance = centred.T @ centred / np.float32(words)
    _, directions = np.linalg.eigh(covariance.astype(np.float64))
    directions = directions[:, ::-1][:, :dimension]
    largest = directions[np.abs(directions).argmax(axis=0), np.arange(dimension)]
    directions = (directions * np.where(largest < 0, -1, 1)).astype(np.float32)
    return np.ascontiguousarray(centred @ directions)


def distil(encoded: NDArray[np.float32], dimension: int) -> NDArray[np.float32]:
    """The (V, D) unit rows of an encoder's (V, E) vectors, mean-centred and reduced. Raises ValueError if D > E.

    Mean-centring and PCA as in model2vec (https://github.com/MinishLab/model2vec), which weighs the rows as well.
    """
    return unit_rows(principal_components(encoded, dimension))


def fuse(trained: NDArray[np.float32], encoded: NDArray[np.float32], dimension: int) -> NDArray[np.float32]:
    """The (V, D) unit rows of trained (V, T) and encoded (V, E) vectors, joined and reduced.

    Raises ValueError if D > T + E.
    """
    centred = encoded - encoded.mean(axis=0, dtype=np.float64).astype(np.float32)
    return unit_rows(
        principal_components(np.hstack([TRAINED_LENGTH * unit_rows(trained), unit_rows(centred)]), dimension)
    )
