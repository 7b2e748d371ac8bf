"""The real GloVe 6B 50d, which the `demo` extra installs, as measuring rod."""

import numpy as np
import pytest
from gensim.models import KeyedVectors
from numpy.typing import NDArray

from storage.errors import ReferenceVectorsError
from storage.vectors.reference import DEFAULT_REFERENCE, ReferenceVectors, read_reference


@pytest.fixture(scope="session")
def glove() -> ReferenceVectors:
    try:
        return read_reference(DEFAULT_REFERENCE)
    except ReferenceVectorsError as error:
        pytest.skip(str(error))


def keyed_vectors(words: list[str], vectors: NDArray[np.float32]) -> KeyedVectors:
    """The same words and vectors as gensim holds them."""
    keyed = KeyedVectors(vector_size=vectors.shape[1])
    keyed.add_vectors(words, vectors)
    return keyed
