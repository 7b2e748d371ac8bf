"""Documents are numbered without gaps in each file, long ones in parts, and come back as they were written."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from storage.corpus import documents as corpora
from storage.corpus.documents import DOCUMENTS, document_batches, read_documents
from storage.corpus.known_rows import KnownRows, write_rows
from storage.corpus.segments import FileRows
from storage.corpus.source_lines import Piece
from storage.errors import WorkspaceError


def write_documents(folder: Path, *files: Iterable[Piece]) -> list[FileRows]:
    pieces = ((number, piece) for number, file in enumerate(files) for piece in file)
    names = [(f"{number}.txt", f"key {number}") for number in range(len(files))]
    return write_rows(folder, DOCUMENTS, "abc", names, KnownRows({}, {}), document_batches(pieces))


def rows_of(folder: Path) -> list[tuple[int, int, str]]:
    return [
        row for batch in read_documents(folder) for row in zip(*(c.to_pylist() for c in batch.columns), strict=True)
    ]


def test_parts_of_a_document_share_its_number_and_blank_text_has_none(tmp_path: Path) -> None:
    pieces = [
        Piece(b"one", True),
        Piece(b"", True),
        Piece(b" \n", True),
        Piece(b"two ", False),
        Piece(b"\t", False),
        Piece("더".encode(), True),
        Piece(b"three ", False),
        Piece(b" ", True),
        Piece(b"four", True),
    ]
    (rows,) = write_documents(tmp_path, pieces)
    assert (rows.documents, rows.size, rows.rows) == (4, 3 + 4 + 3 + 6 + 4, 5)
    assert rows_of(tmp_path) == [(0, 0, "one"), (1, 0, "two "), (1, 1, "더"), (2, 0, "three "), (3, 0, "four")]


def test_each_file_starts_a_new_document(tmp_path: Path) -> None:
    rows = write_documents(
        tmp_path, [Piece(b"one", False)], [Piece(b" ", True)], [Piece(b"two", True), Piece(b"3", True)]
    )
    assert [(row.name, row.first_row, row.rows, row.documents) for row in rows] == [
        ("0.txt", 0, 1, 1),
        ("1.txt", 0, 0, 0),
        ("2.txt", 1, 2, 2),
    ]
    assert rows_of(tmp_path) == [(0, 0, "one"), (0, 0, "two"), (1, 0, "3")]


def test_some_files_can_be_read_alone(tmp_path: Path) -> None:
    write_documents(tmp_path, *([Piece(text.encode(), True)] for text in ("one", "two", "three", "four")))
    batches = list(read_documents(tmp_path, only=[1, 2]))
    assert [(batch.files.tolist(), batch.columns[2].to_pylist()) for batch in batches] == [([1, 2], ["two", "three"])]


def test_a_corpus_without_text_has_no_rows(tmp_path: Path) -> None:
    (rows,) = write_documents(tmp_path, [Piece(b" ", True)])
    assert (rows.documents, rows.size, rows.rows) == (0, 0, 0)
    assert rows_of(tmp_path) == []


def test_a_folder_without_its_index_or_its_segment_is_named(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match=r"files\.parquet is missing; delete its folder"):
        read_documents(tmp_path)
    write_documents(tmp_path, [Piece(b"one", True)])
    (tmp_path / "documents-abc-00000.parquet").unlink()
    with pytest.raises(WorkspaceError, match="contains no documents-abc files"):
        rows_of(tmp_path)


def test_a_batch_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpora, "GROUP_BYTES", 100)
    monkeypatch.setattr(corpora, "GROUP_ROWS", 8)
    texts = ["x" * 60] * 4 + ["y"] * 20
    batches = list(document_batches((0, Piece(text.encode(), True)) for text in texts))
    assert [len(batch.files) for batch in batches] == [2, 2, 8, 8, 4]
    assert [n for batch in batches for n in batch.columns[0].to_pylist()] == list(range(24))
