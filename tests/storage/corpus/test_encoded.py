"""Chunks hold every token once, in order, and a document is one sentence unless a chunk ends in it."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.corpus.encoded import EncodedChunk, EncodedCorpus, EncodedRows, write_encoded
from storage.errors import WorkspaceError
from tasks.trainers.interface import TokenSource

Row = tuple[int, int, list[int]]


def rows_of(rows: list[Row]) -> EncodedRows:
    return EncodedRows(
        document_ids=np.array([row[0] for row in rows], np.int64),
        parts=np.array([row[1] for row in rows], np.int32),
        token_ids=np.array([token for row in rows for token in row[2]], np.int32),
        offsets=np.cumsum([0] + [len(row[2]) for row in rows], dtype=np.int64),
    )


def sentences(chunk: EncodedChunk) -> list[list[int]]:
    return [chunk.token_ids[begin:end].tolist() for begin, end in pairwise(chunk.sentence_offsets)]


def test_consecutive_rows_of_a_document_are_one_sentence(tmp_path: Path) -> None:
    batches = [
        rows_of([(0, 0, [1, 2]), (1, 0, []), (2, 0, [3])]),
        rows_of([]),
        rows_of([(2, 1, [4, 5]), (3, 0, [6])]),
    ]
    assert write_encoded(tmp_path, batches) == 6
    corpus = EncodedCorpus(tmp_path)
    assert [sentences(chunk) for chunk in corpus.read_chunks()] == [[[1, 2], [3, 4, 5], [6]]]
    assert (corpus.token_count, corpus.chunk_count) == (6, 1)


def test_a_document_goes_on_in_the_next_chunk(tmp_path: Path) -> None:
    write_encoded(tmp_path, [rows_of([(0, 0, [0]), (1, 0, [1, 2, 3, 4, 5, 6, 7]), (2, 0, [8, 9])])], chunk_tokens=3)
    chunks = list(EncodedCorpus(tmp_path).read_chunks())
    assert [sentences(chunk) for chunk in chunks] == [[[0]], [[1, 2, 3]], [[4, 5, 6]], [[7], [8, 9]]]
    assert [chunk.start for chunk in chunks] == [0, 1, 4, 7]
    assert pq.read_table(tmp_path)["document_id"].to_pylist() == [0, 1, 1, 1, 2]


documents = st.lists(st.lists(st.lists(st.integers(0, 99), max_size=9), min_size=1, max_size=3), max_size=12)


@settings(deadline=None, max_examples=60)
@given(
    documents=documents, chunk_tokens=st.integers(1, 12), batch_rows=st.integers(1, 5), first_chunk=st.integers(0, 9)
)
def test_every_token_is_read_once_in_order_and_no_sentence_holds_two_documents(
    tmp_path_factory: pytest.TempPathFactory,
    documents: list[list[list[int]]],
    chunk_tokens: int,
    batch_rows: int,
    first_chunk: int,
) -> None:
    folder = tmp_path_factory.mktemp("encoded")
    rows = [(number, part, ids) for number, parts in enumerate(documents) for part, ids in enumerate(parts)]
    batches = [rows_of(rows[start : start + batch_rows]) for start in range(0, len(rows), batch_rows)]
    tokens = [token for _, _, ids in rows for token in ids]
    assert write_encoded(folder, batches, chunk_tokens) == len(tokens)
    if not tokens:
        return
    corpus = EncodedCorpus(folder)
    chunks = list(corpus.read_chunks())
    assert [token for chunk in chunks for token in chunk.token_ids.tolist()] == tokens
    assert all(len(chunk.token_ids) <= chunk_tokens for chunk in chunks)
    assert (corpus.token_count, corpus.chunk_count) == (len(tokens), len(chunks))
    assert [chunk.start for chunk in chunks] == np.cumsum([0] + [len(c.token_ids) for c in chunks])[:-1].tolist()
    document_ends = set(np.cumsum([sum(map(len, parts)) for parts in documents]).tolist())
    chunk_ends = {chunk.start + len(chunk.token_ids) for chunk in chunks}
    sentence_ends = {chunk.start + int(end) for chunk in chunks for end in chunk.sentence_offsets[1:]}
    assert sentence_ends == (document_ends - {0}) | chunk_ends
    later = list(corpus.read_chunks(first_chunk))
    assert [sentences(chunk) for chunk in later] == [sentences(chunk) for chunk in chunks[first_chunk:]]


def test_an_encoded_corpus_is_a_source_that_trainers_take(tmp_path: Path) -> None:
    write_encoded(tmp_path, [rows_of([(0, 0, [1, 2])])])
    # mypy checks the assignment: storage may not import the protocol that it satisfies.
    source: TokenSource = EncodedCorpus(tmp_path)
    chunk = next(source.read_chunks())
    assert chunk.token_ids.dtype == np.int32
    assert chunk.sentence_offsets.dtype == np.int64
    assert chunk.token_ids.flags.writeable


def test_a_folder_without_an_encoded_corpus_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="contains no encoded files"):
        EncodedCorpus(tmp_path)
