"""Every token is trained by one rank, and all ranks exchange at the same points."""

import numpy as np
import pytest

from tasks.trainers.interface import ArrayTokenSource
from tasks.trainers.processes.shares import Round, read_rounds


def source(chunks: int) -> ArrayTokenSource:
    """Chunks of one sentence each, whose tokens are their own positions in the corpus."""
    lengths = [90 + 7 * chunk for chunk in range(chunks)]
    ends = np.cumsum(lengths)
    return ArrayTokenSource([np.arange(end - length, end) for end, length in zip(ends, lengths, strict=True)], 1)


def tokens_of(rounds: list[Round]) -> np.ndarray:
    pieces = [piece.tokens.token_ids for turn in rounds for pieces in turn.slices for piece in pieces]
    return np.concatenate([np.zeros(0, np.int32), *pieces])


@pytest.mark.parametrize("ranks", [1, 2, 3, 5, 16])
@pytest.mark.parametrize("first", [0, 2, 6])
def test_the_ranks_train_the_rest_of_the_epoch_once(ranks: int, first: int) -> None:
    corpus = source(7)
    shares = [list(read_rounds(corpus, first, rank, ranks, slices=4, threads=2)) for rank in range(ranks)]
    start = int(next(iter(corpus.read_chunks(first))).start)
    everything = np.sort(np.concatenate([tokens_of(share) for share in shares]))
    np.testing.assert_array_equal(everything, np.arange(start, corpus.token_count))
    for share in shares:
        assert [(turn.chunks, len(turn.slices)) for turn in share] == [
            (turn.chunks, len(turn.slices)) for turn in shares[0]
        ]
    assert sum(turn.chunks for turn in shares[0]) == 7 - first


def test_ranks_have_almost_equal_shares_also_of_few_chunks() -> None:
    sizes = [len(tokens_of(list(read_rounds(source(3), 0, rank, 4, slices=2, threads=1)))) for rank in range(4)]
    assert max(sizes) - min(sizes) <= 3


def test_pieces_have_numbers_and_starts_of_their_own() -> None:
    pieces = [
        piece
        for rank in range(2)
        for turn in read_rounds(source(5), 0, rank, 2, slices=3, threads=2)
        for slice_ in turn.slices
        for piece in slice_
    ]
    assert len({piece.number for piece in pieces}) == len(pieces)
    for piece in pieces:
        assert piece.tokens.token_ids[0] == piece.tokens.start


def test_sentences_end_where_they_did_or_at_the_end_of_a_piece() -> None:
    sentences = [np.arange(5 * n, 5 * n + 5, dtype=np.int32) for n in range(20)]
    rounds = list(read_rounds(ArrayTokenSource(sentences, 1 << 10), 0, 0, 1, slices=3, threads=1))
    for turn in rounds:
        for pieces in turn.slices:
            for piece in pieces:
                offsets = piece.tokens.sentence_offsets
                assert offsets[0] == 0
                assert offsets[-1] == len(piece.tokens.token_ids)
                starts = piece.tokens.token_ids[offsets[1:-1]]
                assert np.all(starts % 5 == 0)
                assert len(starts) == np.sum(piece.tokens.token_ids[1:] % 5 == 0)
