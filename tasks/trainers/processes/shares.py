"""Which part of the corpus each rank trains, in slices that end at the same points on every rank."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tasks.trainers.interface import TokenChunk, TokenRun

# Tokens that a thread trains between two exchanges, times the square of the number of threads of all ranks: 65,536 of
# two, where a quarter of that takes twice the time in exchanges and scores the same; 16,384 of four, where twice that
# scores lower (docs/experiments.md).
TOKENS_BETWEEN_EXCHANGES = 1 << 18
# Of one thread, at least: else exchanges take more time than training.
SLICE_TOKENS = 1 << 14
# Pieces of one chunk have numbers of their own, from which their random draws follow.
PIECES_PER_CHUNK = 1 << 20


class SteppedSource(Protocol):
    """A corpus of which a rank reads only its own chunks."""

    @property
    def token_count(self) -> int:
        """Encoded tokens in one pass."""

    @property
    def chunk_count(self) -> int:
        """Chunks in one pass."""

    def read_chunks(self, first: int = 0, step: int = 1) -> Iterator[TokenRun]:
        """Every step-th chunk from number `first` on, in order."""


@dataclass(frozen=True)
class Piece:
    """A unit of work for one thread: consecutive tokens of a chunk. number: unique in the epoch."""

    tokens: TokenChunk
    number: int


@dataclass(frozen=True)
class Round:
    """What the ranks train between two points at which training can stop.

    chunks: chunks of the corpus that the round finishes.  slices: of this rank, as many as of any other; each is a
    list of pieces that its threads train at once, possibly empty.
    """

    chunks: int
    slices: list[list[Piece]]


def slice_tokens(ranks: int, threads: int) -> int:
    """Tokens that a rank with so many threads trains between two exchanges."""
    return threads * max(SLICE_TOKENS, TOKENS_BETWEEN_EXCHANGES // (ranks * threads) ** 2)


def slices_of_chunk(source: SteppedSource, ranks: int, threads: int) -> int:
    """Slices in which a rank trains one chunk with so many threads of its CPU."""
    return max(1, round(source.token_count / source.chunk_count / slice_tokens(ranks, threads)))


def read_rounds(source: SteppedSource, first: int, rank: int, ranks: int, slices: int, threads: int) -> Iterator[Round]:
    """The rest of an epoch from chunk number `first` on, as seen by one rank.

    Every rank trains a separate chunk while there is one for each; the remaining chunks are divided among all.
    slices: of a whole chunk.  threads: pieces of a slice.
    """
    whole = (source.chunk_count - first) // ranks
    own = source.read_chunks(first + rank, step=ranks)
    for number in range(whole):
        chunk = next(own)
        yield Round(ranks, _slices(chunk, first + number * ranks + rank, (0, 1), slices, threads))
    divided = max(1, round(slices / ranks))
    first += whole * ranks
    for number, chunk in enumerate(source.read_chunks(first), first):
        yield Round(1, _slices(chunk, number, (rank, ranks), divided, threads))


def _slices(chunk: TokenRun, number: int, part: tuple[int, int], slices: int, threads: int) -> list[list[Piece]]:
    """One of the equal parts of a chunk, cut into slices for all threads. part: (which, of how many)."""
    which, parts = part
    pieces = parts * slices * threads
    mine = range(which * slices * threads, (which + 1) * slices * threads)
    cuts = [len(chunk.token_ids) * piece // pieces for piece in (*mine, mine.stop)]
    found = [
        Piece(_between(chunk, begin, end), number * PIECES_PER_CHUNK + piece)
        for piece, begin, end in zip(mine, cuts[:-1], cuts[1:], strict=True)
    ]
    return [
        [piece for piece in found[first : first + threads] if len(piece.tokens.token_ids)]
        for first in range(0, len(found), threads)
    ]


def _between(chunk: TokenRun, begin: int, end: int) -> TokenChunk:
    """The tokens of a chunk from `begin` to `end`; sentences that a cut divides become two."""
    inner = chunk.sentence_offsets[(chunk.sentence_offsets > begin) & (chunk.sentence_offsets < end)]
    offsets = np.concatenate([[0], inner - begin, [end - begin]]).astype(np.int64)
    return TokenChunk(chunk.token_ids[begin:end], offsets, chunk.start + begin)
