"""Small releases for the tests of publishing and querying."""

from pathlib import Path

import duckdb
import numpy as np

from storage.layout import Workspace
from storage.models.document_vectors import DocumentBatch, write_document_vectors
from storage.models.rows import ComparedWordRow, EvaluationRow
from storage.releases.documents import DocumentRows
from storage.releases.file import ReleaseContent
from storage.releases.schema import GateRow, Provenance, TrainingRow


def provenance(model_digest: str = "abc123") -> Provenance:
    return Provenance(
        model_digest=model_digest,
        architecture="skip_gram",
        backend="numba",
        seed=1,
        corpus_digest="c0ffee",
        config_digest="5e771465",
        library_versions='{"numpy": "2.4"}',
        corpus_source="a test",
        corpus_licence="public domain",
        reference_source="none",
        reference_licence="none",
    )


def content(
    words: list[str] | None = None, *, model_digest: str = "abc123", dimension: int = 16, seed: int = 1, rows: int = 200
) -> ReleaseContent:
    """A release of random vectors, the same for the same arguments."""
    names = words if words is not None else [f"word{number}" for number in range(rows)]
    vectors = np.random.default_rng(seed).normal(size=(len(names), dimension)).astype(np.float32)
    return ReleaseContent(
        words=names,
        counts=np.arange(len(names), 0, -1, dtype=np.int64) * 10,
        vectors=vectors,
        provenance=provenance(model_digest),
        training=[
            TrainingRow(epoch=1, mean_loss=2.5, learning_rate=0.05, tokens=100, seconds=0.5, words_per_second=200.0)
        ],
        evaluation=[
            EvaluationRow(metric="wordsim353", value=0.5, coverage=0.9, gold_digest="1234", low=0.4, high=0.6),
            EvaluationRow(metric="google_analogies", value=None, coverage=0.0, gold_digest="5678"),
            EvaluationRow(metric="google_analogies", section="family", value=0.25, coverage=0.5, gold_digest="5678"),
        ],
        gates=[GateRow(metric="wordsim353", value=0.5, minimum=0.4, passed=True)],
        compared_words=[
            ComparedWordRow(
                compared_with="version 1",
                word="word0",
                rank=1,
                overlap=0.5,
                rank_overlap=0.4,
                only_here=["a\tb"],
                only_there=[],
            )
        ],
        settings={"training": {"epochs": 3, "workers": None}, "corpus": {"path": "a \"b\" 'c'"}},
    )


DOCUMENT_VECTORS = np.random.default_rng(4).normal(size=(50, 16)).astype(np.float32)
KNOWN_WORDS = np.where(np.arange(50) % 7 == 6, 0, 3)


def sample_documents(folder: Path) -> DocumentRows:
    """50 documents of three files, every seventh without a known word."""
    batches = (
        DocumentBatch(
            rows, [f"file{row // 20}.txt" for row in rows.tolist()], DOCUMENT_VECTORS[rows], KNOWN_WORDS[rows]
        )
        for rows in np.array_split(np.arange(50), 3)
    )
    folder.mkdir()
    write_document_vectors(folder, 16, batches)
    return DocumentRows(folder, "d1f5", "mean", 50, int((KNOWN_WORDS == 0).sum()))


def inner_table(path: Path) -> str:
    """The name of the table behind `word_vectors`, which differs from release to release."""
    with duckdb.connect(str(path), read_only=True) as connection:
        ((name,),) = connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE table_name LIKE 'word_vectors%'"
        ).fetchall()
    return str(name)


def published_version(workspace: Workspace, table: str = "news") -> int:
    """What a reader of the table's own file sees."""
    with duckdb.connect(str(workspace.table_file(table)), read_only=True) as connection:
        ((version,),) = connection.execute("SELECT version FROM release").fetchall()
    assert isinstance(version, int)
    return version
