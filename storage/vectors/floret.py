"""floret's tables, which spaCy reads: vectors of hashed words and n-grams in a compact table, in and out.

A word's vector is the mean of the rows of `<word>` and of its n-grams, each hashed to one to four rows by MurmurHash3.
Source: https://github.com/explosion/floret, and spaCy's `Vectors` in the mode `floret`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from storage.vectors.formats import Ngrams, WordVectors, opened

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

# floret's defaults.
HASHES, SEED, BEGIN, END = 2, 2166136261, "<", ">"
# Fewer rows than this would make unrelated n-grams share one.
FEWEST_ROWS = 1000
ROWS_PER_WORD = 2
# Steps of the conjugate gradients.
FIT_STEPS = 30
WORDS_AT_ONCE = 1 << 14
HEADER_FIELDS = 8
LOW = np.uint64(0xFFFFFFFF)
FIRST_FACTOR, SECOND_FACTOR = np.uint64(0x87C37B91114253D5), np.uint64(0x4CF5AD432745937F)


@dataclass(frozen=True)
class FloretShape:
    """How a table is hashed. minimum, maximum: lengths of n-grams in characters.  hashes: rows of each n-gram."""

    rows: int
    minimum: int
    maximum: int
    hashes: int = HASHES
    seed: int = SEED
    begin: str = BEGIN
    end: str = END

    def table_rows(self, words: Sequence[str]) -> "csr_matrix":
        """(V, B) matrix whose product with the table is the (V, D) vectors of the words."""
        # Deferred: SciPy takes a quarter of a second to import, and other forms do not need it.
        from scipy.sparse import csr_matrix

        keys = [self.keys(word) for word in words]
        hashed = murmur_hashes([key.encode() for own in keys for key in own], self.seed)[:, : self.hashes]
        lengths = np.array([len(own) for own in keys]) * self.hashes
        weights = np.repeat((1 / lengths).astype(np.float32), lengths)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        matrix = csr_matrix((weights, (hashed % self.rows).reshape(-1), offsets), shape=(len(words), self.rows))
        # A row that a word meets twice counts twice.
        matrix.sum_duplicates()
        return matrix

    def keys(self, word: str) -> list[str]:
        """The word between its marks, then its n-grams in fastText's order."""
        marked = f"{self.begin}{word}{self.end}"
        return [marked, *ngrams_of(marked, self.minimum, self.maximum)]


def is_floret(head: bytes) -> bool:
    """Whether a file that starts with these bytes is a floret table."""
    fields = head.partition(b"\n")[0].split()
    return len(fields) == HEADER_FIELDS and all(field.isdigit() for field in fields[:6]) and not fields[7].isdigit()


def read_floret(path: Path, words: list[str], counts: NDArray[np.int64]) -> WordVectors:
    """The vectors that a table has for these words; it lists none. Raises ValueError if it is damaged."""
    with opened(path) as file:
        fields = file.readline().decode().split()
        if len(fields) != HEADER_FIELDS:
            raise ValueError("its first line is not that of a floret table")
        rows, dimension, minimum, maximum, hashes, seed = map(int, fields[:6])
        if not (rows > 0 < dimension and 1 <= hashes <= 4 and 0 < minimum <= maximum):
            raise ValueError(f"its first line has impossible numbers: {' '.join(fields)}")
        table = np.empty((rows, dimension), np.float32)
        found = 0
        for line in file:
            number, *values = line.split()
            if int(number) != found or len(values) != dimension or found >= rows:
                raise ValueError(f"line {found + 2:,}: expected row {found:,} with {dimension} numbers")
            table[found] = np.array(values, np.float32)
            found += 1
    if found < rows:
        raise ValueError(f"it ends after {found:,} of {rows:,} rows; copy the file again")
    shape = FloretShape(rows, minimum, maximum, hashes, seed, fields[6], fields[7])
    vectors = np.concatenate([shape.table_rows(some) @ table for some in _blocks(words)])
    return WordVectors(words, np.asarray(vectors, np.float32), counts)


def write_floret(file: IO[bytes], words: Sequence[str], vectors: NDArray[np.float32], ngrams: Ngrams) -> None:
    """Write a table in which the words have the direction of their (V, D) vectors, others about that of their n-grams.

    The n-grams of fastText's models are hashed otherwise. So the table starts as the mean of the n-grams that meet in
    each row, and is then fitted to the vectors of the words, staying as close to that as it can.
    """
    shape = FloretShape(max(FEWEST_ROWS, ROWS_PER_WORD * len(words)), ngrams.minimum, ngrams.maximum)
    table = fitted_table(shape, words, vectors, ngrams)
    header = (*table.shape, shape.minimum, shape.maximum, shape.hashes, shape.seed, shape.begin, shape.end)
    file.write(f"{' '.join(map(str, header))}\n".encode())
    for number, row in enumerate(table.tolist()):
        file.write(f"{number} {' '.join(f'{value:.5g}' for value in row)}\n".encode())


def fitted_table(
    shape: FloretShape, words: Sequence[str], vectors: NDArray[np.float32], ngrams: Ngrams
) -> NDArray[np.float32]:
    """The (B, D) table of `write_floret`, by conjugate gradients on the least squares (Hestenes and Stiefel 1952)."""
    blocks = [shape.table_rows(some) for some in _blocks(words)]
    table, scale = _first_table(shape, words, vectors, ngrams)

    def composed(rows: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.concatenate([block @ rows for block in blocks])

    def spread(differences: NDArray[np.float32]) -> NDArray[np.float32]:
        total, first = np.zeros_like(table), 0
        for block in blocks:
            total += block.T @ differences[first : first + block.shape[0]]
            first += block.shape[0]
        return total

    residual = scale * vectors - composed(table)
    direction = gradient = spread(residual)
    size = np.einsum("bd,bd->d", gradient, gradient)
    for _ in range(FIT_STEPS):
        moved = composed(direction)
        step = size / np.maximum(np.einsum("vd,vd->d", moved, moved), 1e-30)
        table += step * direction
        residual -= step * moved
        gradient = spread(residual)
        smaller = np.einsum("bd,bd->d", gradient, gradient)
        direction = gradient + smaller / np.maximum(size, 1e-30) * direction
        size = smaller
    return table


def _first_table(
    shape: FloretShape, words: Sequence[str], vectors: NDArray[np.float32], ngrams: Ngrams
) -> tuple[NDArray[np.float32], float]:
    """The mean of the n-grams' vectors that meet in each row, and the length that words composed of them have."""
    from gensim.models.fasttext import ft_ngram_hashes
    from scipy.sparse import csr_matrix

    dimension = vectors.shape[1]
    sums, uses = np.zeros((shape.rows, dimension), np.float32), np.zeros(shape.rows, np.int64)
    along, done = 0.0, 0
    for some in _blocks(words):
        buckets = [ft_ngram_hashes(word, shape.minimum, shape.maximum, len(ngrams.vectors)) for word in some]
        texts = [key for word in some for key in shape.keys(word)[1:]]
        hashed = murmur_hashes([text.encode() for text in texts], shape.seed)[:, : shape.hashes] % shape.rows
        flat = np.array([bucket for own in buckets for bucket in own], np.int64)
        meeting = csr_matrix(
            (np.ones(hashed.size, np.float32), (hashed.reshape(-1), np.repeat(flat, shape.hashes))),
            shape=(shape.rows, len(ngrams.vectors)),
        )
        sums += meeting @ ngrams.vectors
        uses += np.bincount(hashed.reshape(-1), minlength=shape.rows)
        lengths = np.array([len(own) for own in buckets])
        own_mean = csr_matrix(
            (np.repeat(1 / np.maximum(lengths, 1), lengths), flat, np.concatenate([[0], np.cumsum(lengths)])),
            shape=(len(some), len(ngrams.vectors)),
        )
        along += float(np.einsum("vd,vd->", own_mean @ ngrams.vectors, vectors[done : done + len(some)]))
        done += len(some)
    lengths_of_words = float(np.einsum("vd,vd->", vectors, vectors))
    means = (sums / np.maximum(uses, 1)[:, None]).astype(np.float32)
    return means, max(along / lengths_of_words, 1e-3)


def ngrams_of(marked: str, minimum: int, maximum: int) -> list[str]:
    """All runs of `minimum` to `maximum` characters, but no single mark, by start and then by length."""
    size = len(marked)
    return [
        marked[start : start + length]
        for start in range(size)
        for length in range(minimum, min(maximum, size - start) + 1)
        if not (length == 1 and start in (0, size - 1))
    ]


def murmur_hashes(texts: Sequence[bytes], seed: int) -> NDArray[np.int64]:
    """(N, 4) hashes of 32 bits: the four parts of MurmurHash3_x64_128, lowest first.

    Source: Austin Appleby's MurmurHash3.cpp, public domain. Texts of the same length are hashed together.
    """
    hashes = np.empty((len(texts), 4), np.int64)
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    for length in np.unique(lengths).tolist():
        rows = np.flatnonzero(lengths == length)
        padded = -(-length // 16) * 16
        content = np.frombuffer(b"".join(texts[row].ljust(padded, b"\0") for row in rows.tolist()), np.uint64)
        first, second = _murmur(content.reshape(len(rows), padded // 8), length, seed)
        parts = (first & LOW, first >> np.uint64(32), second & LOW, second >> np.uint64(32))
        hashes[rows] = np.stack(parts, axis=1).astype(np.int64)
    return hashes


def _murmur(words: NDArray[np.uint64], length: int, seed: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Both halves of the hashes of (N, W) little-endian words with a text of `length` bytes each."""
    first = np.full(len(words), seed, np.uint64)
    second = first.copy()
    whole = length // 16
    for block in range(words.shape[1] // 2):
        low, high = words[:, 2 * block].copy(), words[:, 2 * block + 1].copy()
        high = _rotated(high * SECOND_FACTOR, 33) * FIRST_FACTOR
        low = _rotated(low * FIRST_FACTOR, 31) * SECOND_FACTOR
        first ^= low
        if block < whole:
            first = (_rotated(first, 27) + second) * np.uint64(5) + np.uint64(0x52DCE729)
        second ^= high
        if block < whole:
            second = (_rotated(second, 31) + first) * np.uint64(5) + np.uint64(0x38495AB5)
    first ^= np.uint64(length)
    second ^= np.uint64(length)
    first = first + second
    second = second + first
    first, second = _finished(first), _finished(second)
    first = first + second
    return first, second + first


def _rotated(values: NDArray[np.uint64], bits: int) -> NDArray[np.uint64]:
    return (values << np.uint64(bits)) | (values >> np.uint64(64 - bits))


def _finished(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        values = (values ^ (values >> np.uint64(33))) * np.uint64(factor)
    return values ^ (values >> np.uint64(33))


def _blocks(words: Sequence[str]) -> Iterator[list[str]]:
    remaining = iter(words)
    while block := list(islice(remaining, WORDS_AT_ONCE)):
        yield block
