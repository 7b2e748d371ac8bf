"""fastText's binary models: words, counts, vectors and the vectors of hashed n-grams, in and out.

gensim reads them. The layout that is written is that of fastText 0.9 (version 12): arguments, dictionary, input matrix
with the rows of words and buckets, output matrix, each as in `saveModel` of https://github.com/facebookresearch/fastText.
"""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from storage.files.large_arrays import row_blocks, write_rows
from storage.vectors.formats import Ngrams, WordVectors

MAGIC, VERSION = 793712314, 12
NEGATIVE_SAMPLING, SKIP_GRAM = 2, 2
ROWS_PER_WRITE = 1 << 13


def read_fasttext(path: Path) -> WordVectors:
    """The words of a model, and its n-grams if it has any. Raises ValueError if it is damaged or a classifier."""
    # Deferred: gensim takes a second to import.
    from gensim.models.fasttext import load_facebook_vectors

    try:
        model = load_facebook_vectors(str(path))
    except NotImplementedError as error:
        raise ValueError("it is a classifier or a quantized model; train vectors with skipgram or cbow") from error
    except (EOFError, struct.error, AssertionError, UnicodeDecodeError, OverflowError, KeyError) as error:
        raise ValueError(f"it is truncated or damaged ({error!r}); copy the file again") from error
    words = list(model.index_to_key)
    counts = np.array([model.get_vecattr(word, "count") for word in words], np.int64)
    ngrams = None
    if model.bucket and model.max_n >= model.min_n > 0:
        ngrams = Ngrams(model.min_n, model.max_n, np.asarray(model.vectors_ngrams, np.float32))
    return WordVectors(words, np.asarray(model.vectors, np.float32), counts, ngrams=ngrams)


def own_rows(words: Sequence[str], vectors: NDArray[np.float32], ngrams: Ngrams) -> NDArray[np.float32]:
    """(V, D) rows whose mean with the rows of a word's n-grams is its vector: fastText forms that mean."""
    from gensim.models.fasttext import ft_ngram_hashes

    rows = np.array(vectors, np.float32)
    for row, word in zip(rows, words, strict=True):
        buckets = ft_ngram_hashes(word, ngrams.minimum, ngrams.maximum, len(ngrams.vectors))
        row *= 1 + len(buckets)
        row -= ngrams.vectors[np.array(buckets, np.int64)].sum(axis=0)
    return rows


def write_fasttext(
    file: IO[bytes],
    words: Sequence[str],
    counts: NDArray[np.int64],
    vectors: NDArray[np.float32],
    ngrams: Ngrams | None,
) -> None:
    """Write a model whose words have the (V, D) vectors and whose unknown words those of their n-grams.

    The output matrix, which only further training reads, is zero.
    """
    rows, dimension = vectors.shape
    buckets = 0 if ngrams is None else len(ngrams.vectors)
    minimum, maximum = (0, 0) if ngrams is None else (ngrams.minimum, ngrams.maximum)
    file.write(struct.pack("<2i", MAGIC, VERSION))
    # dimension, window, epochs, minimum count, negatives, word n-grams, loss, model, buckets, n-gram range, rate update
    file.write(
        struct.pack(
            "<12id", dimension, 5, 5, 1, 5, 1, NEGATIVE_SAMPLING, SKIP_GRAM, buckets, minimum, maximum, 100, 1e-4
        )
    )
    file.write(struct.pack("<3i2q", rows, rows, 0, int(counts.sum()), -1))
    for word, count in zip(words, counts.tolist(), strict=True):
        file.write(word.encode() + b"\0" + struct.pack("<qb", count, 0))
    file.write(struct.pack("<?2q", False, rows + buckets, dimension))
    for start, block in row_blocks(vectors, ROWS_PER_WRITE):
        if ngrams is not None:
            block = own_rows(words[start : start + ROWS_PER_WRITE], block, ngrams)
        file.write(block.astype("<f4").data)
    if ngrams is not None:
        write_rows(file, ngrams.vectors)
    file.write(struct.pack("<?2q", False, rows, dimension))
    for start in range(0, rows, ROWS_PER_WRITE):
        file.write(bytes(4 * dimension * min(ROWS_PER_WRITE, rows - start)))
