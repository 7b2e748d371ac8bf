"""Documents are numbered without gaps, long ones in parts, and come back as they were written."""

from pathlib import Path

import pyarrow as pa
import pytest

from storage import corpora
from storage.corpora import CorpusSize, read_documents, write_documents
from storage.errors import WorkspaceError
from storage.source_formats import Piece


def rows_of(folder: Path) -> list[tuple[int, int, str]]:
    return [
        (row["document_id"], row["part"], row["text"]) for table in read_documents(folder) for row in table.to_pylist()
    ]


def test_parts_of_a_document_share_its_number_and_blank_text_has_none(tmp_path: Path) -> None:
    pieces = [
        Piece("one", True),
        Piece("", True),
        Piece(" \n", True),
        Piece("two ", False),
        Piece("\t", False),
        Piece("더", True),
        Piece("three ", False),
        Piece(" ", True),
        Piece("four", True),
    ]
    assert write_documents(tmp_path, pieces) == CorpusSize(documents=4, text_bytes=3 + 4 + 3 + 6 + 4)
    assert rows_of(tmp_path) == [(0, 0, "one"), (1, 0, "two "), (1, 1, "더"), (2, 0, "three "), (3, 0, "four")]


def test_a_document_whose_end_is_missing_counts(tmp_path: Path) -> None:
    assert write_documents(tmp_path, [Piece("one", True), Piece("two", False)]).documents == 2


def test_a_corpus_without_text_has_no_file(tmp_path: Path) -> None:
    assert write_documents(tmp_path, [Piece(" ", True)]) == CorpusSize(0, 0)
    with pytest.raises(WorkspaceError, match="holds no documents file"):
        list(read_documents(tmp_path))


def test_row_groups_stay_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpora, "GROUP_LETTERS", 100)
    monkeypatch.setattr(corpora, "GROUP_ROWS", 8)
    texts = ["x" * 60] * 4 + ["y"] * 20
    write_documents(tmp_path, [Piece(text, True) for text in texts])
    tables = list(read_documents(tmp_path))
    assert [table.num_rows for table in tables] == [2, 2, 8, 8, 4]
    assert pa.concat_tables(tables)["document_id"].to_pylist() == list(range(24))
