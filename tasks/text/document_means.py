"""Document vectors as weighted means of word vectors, a batch of tokens at a time.

Source: Arora, Liang and Ma 2017, "A Simple but Tough-to-Beat Baseline for Sentence Embeddings", without the removal of
the common component, which would need all documents.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class TokenRows(NamedTuple):
    """Rows of tokens; consecutive rows may be parts of one document.

    documents: (R,) ids, never falling.  token_ids: (N,) known words.  offsets: (R + 1,), as in EncodedRows.
    """

    documents: NDArray[np.int64]
    token_ids: NDArray[np.int32]
    offsets: NDArray[np.int64]


class DocumentMeans(NamedTuple):
    """ids: (M,) document ids.  vectors: (M, D) float32 means, 0 without a known word.  known_words: (M,)."""

    ids: NDArray[np.int64]
    vectors: NDArray[np.float32]
    known_words: NDArray[np.int64]


def document_means(
    batches: Iterable[TokenRows], vectors: NDArray[np.float32], weights: NDArray[np.float32]
) -> Iterator[DocumentMeans]:
    """The mean of each document's words. vectors: (V, D).  weights: (V,) of the words, above 0.

    Memory is that of one batch: a document that continues in the next batch is carried over as a sum.
    """
    # Deferred: SciPy takes a tenth of a second to import.
    from scipy.sparse import csr_matrix

    wide = vectors.astype(np.float64)
    ids = np.zeros(0, np.int64)
    sums, totals, known = np.zeros((0, vectors.shape[1])), np.zeros(0), np.zeros(0, np.int64)
    for batch in batches:
        tokens = csr_matrix(
            (weights[batch.token_ids].astype(np.float64), batch.token_ids, batch.offsets),
            shape=(len(batch.documents), len(vectors)),
        )
        all_ids = np.concatenate([ids, batch.documents])
        starts = np.flatnonzero(np.diff(all_ids, prepend=-1))
        sums = np.add.reduceat(np.concatenate([sums, tokens @ wide]), starts)
        totals = np.add.reduceat(np.concatenate([totals, np.asarray(tokens.sum(axis=1)).ravel()]), starts)
        known = np.add.reduceat(np.concatenate([known, np.diff(batch.offsets)]), starts)
        ids = all_ids[starts]
        if len(ids) > 1:
            yield _means(ids[:-1], sums[:-1], totals[:-1], known[:-1])
            ids, sums, totals, known = ids[-1:], sums[-1:], totals[-1:], known[-1:]
    if len(ids):
        yield _means(ids, sums, totals, known)


def _means(
    ids: NDArray[np.int64], sums: NDArray[np.float64], totals: NDArray[np.float64], known: NDArray[np.int64]
) -> DocumentMeans:
    return DocumentMeans(ids, (sums / np.where(known > 0, totals, 1)[:, None]).astype(np.float32), known)
