"""Document vectors are the weighted means of their words, whatever the batches."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tasks.text.document_means import TokenRows, document_means

VECTORS = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
WEIGHTS = np.linspace(0.1, 1, 9).astype(np.float32)


@given(
    documents=st.lists(
        st.lists(st.lists(st.integers(0, 8), max_size=6), min_size=1, max_size=4), min_size=1, max_size=8
    ),
    size=st.integers(1, 7),
)
def test_a_document_is_the_weighted_mean_of_its_words(documents: list[list[list[int]]], size: int) -> None:
    rows = [(number, part) for number, parts in enumerate(documents) for part in parts]
    batches = [
        TokenRows(
            np.array([number for number, _ in some]),
            np.array([token for _, part in some for token in part], np.int32),
            np.cumsum([0, *(len(part) for _, part in some)]),
        )
        for some in (rows[start : start + size] for start in range(0, len(rows), size))
    ]
    found = list(document_means(batches, VECTORS, WEIGHTS))
    np.testing.assert_array_equal(np.concatenate([means.ids for means in found]), np.arange(len(documents)))
    vectors = np.concatenate([means.vectors for means in found])
    known = np.concatenate([means.known_words for means in found])
    for number, parts in enumerate(documents):
        words = [word for part in parts for word in part]
        assert known[number] == len(words)
        expected = np.average(VECTORS[words], axis=0, weights=WEIGHTS[words]) if words else np.zeros(4)
        np.testing.assert_allclose(vectors[number], expected, atol=1e-5)
