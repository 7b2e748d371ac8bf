"""A release with document vectors: queried in SQL, verified, copied by a promotion, absent where not asked for."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pytest

from storage.errors import ReleaseError
from storage.models.document_vectors import DocumentBatch, write_document_vectors
from storage.releases.documents import DocumentRows, read_documents
from storage.releases.file import write_release_file
from storage.releases.opening import open_release
from storage.releases.reader import check_release_file, read_content
from tests.storage.sample_releases import DOCUMENT_VECTORS as VECTORS
from tests.storage.sample_releases import KNOWN_WORDS as KNOWN
from tests.storage.sample_releases import content, sample_documents


@pytest.fixture(scope="module")
def release_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("documents")
    write_release_file(
        folder / "release.duckdb", "news", 1, replace(content(), documents=sample_documents(folder / "stage"))
    )
    return folder / "release.duckdb"


@pytest.fixture
def connection(release_file: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_release(release_file) as connection:
        yield connection


def test_the_table_holds_the_documents_and_null_without_a_known_word(connection: duckdb.DuckDBPyConnection) -> None:
    rows = connection.sql("FROM document_vectors ORDER BY document_id").fetchall()
    assert [(row[0], row[1], row[3]) for row in rows] == [
        (number, f"file{number // 20}.txt", KNOWN[number]) for number in range(50)
    ]
    for number, (_, _, vector, known) in enumerate(rows):
        assert (vector is None) == (known == 0)
        assert vector is None or np.array_equal(np.array(vector, np.float32), VECTORS[number])


@pytest.mark.parametrize("k", [0, 3, 100, None])
def test_nearest_documents_are_those_of_numpy(connection: duckdb.DuckDBPyConnection, k: int | None) -> None:
    query = VECTORS[5] * 3
    found = connection.execute("FROM nearest_documents($1, k := $2)", [query.tolist(), k]).fetchall()
    cosines = VECTORS @ query / np.linalg.norm(VECTORS, axis=1) / np.linalg.norm(query)
    order = [row for row in np.argsort(-cosines).tolist() if KNOWN[row]][:k]
    assert [row[0] for row in found] == order
    np.testing.assert_allclose([row[2] for row in found], cosines[order], atol=1e-6)


def test_a_text_is_searched_by_its_text_vector(connection: duckdb.DuckDBPyConnection) -> None:
    by_text = connection.sql("FROM nearest_documents('Word1, word2!', k := 4)").fetchall()
    by_vector = connection.sql("FROM nearest_documents(text_vector('Word1, word2!'), k := 4)").fetchall()
    assert by_text == by_vector
    assert len(by_text) == 4
    assert connection.sql("FROM nearest_documents('no-such-word-at-all')").fetchall() == []
    assert connection.sql("FROM nearest_documents(NULL)").fetchall() == []
    both = connection.sql(
        """SELECT t.x, count(*) FROM (VALUES ('word1'), ('word7')) t(x), LATERAL nearest_documents(t.x, k := 2)
           GROUP BY 1"""
    )
    assert sorted(both.fetchall()) == [("word1", 2), ("word7", 2)]


def test_a_query_that_is_neither_is_refused(connection: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(duckdb.Error, match="a text or a vector of 16 numbers"):
        connection.sql("FROM nearest_documents([1, 2, 3])").fetchall()


def test_document_similarity_is_the_cosine(connection: duckdb.DuckDBPyConnection) -> None:
    ((found, missing, unknown),) = connection.sql(
        "SELECT document_similarity(0, 1), document_similarity(0, 6), document_similarity(0, 999)"
    ).fetchall()
    cosine = VECTORS[0] @ VECTORS[1] / np.linalg.norm(VECTORS[0]) / np.linalg.norm(VECTORS[1])
    assert found == pytest.approx(cosine, abs=1e-6)
    assert (missing, unknown) == (None, None)


def test_what_was_read_is_written_again(release_file: Path, tmp_path: Path) -> None:
    assert check_release_file(release_file).rows == 200
    write_release_file(tmp_path / "again.duckdb", "news", 2, read_content(release_file))
    check_release_file(tmp_path / "again.duckdb")
    with open_release(tmp_path / "again.duckdb") as again, open_release(release_file) as first:
        assert again.sql("FROM document_vectors").fetchall() == first.sql("FROM document_vectors").fetchall()


def test_vectors_of_another_method_have_their_own_length_and_no_text(tmp_path: Path) -> None:
    vectors = np.random.default_rng(6).normal(size=(3, 24)).astype(np.float32)
    label, quote = ["good", None, "it's"], ["a", "b", "c"]
    batch = DocumentBatch(np.arange(3), ["a.csv"] * 3, vectors, np.array([2, 4, 1]), [label, quote])
    (tmp_path / "stage").mkdir()
    write_document_vectors(tmp_path / "stage", 24, [batch], ["label", 'say "so"'])
    documents = DocumentRows(tmp_path / "stage", "d0c2", "doc2vec", 3, 0)
    write_release_file(tmp_path / "first.duckdb", "news", 1, replace(content(), documents=documents))
    # Copied, as a promotion does.
    write_release_file(tmp_path / "again.duckdb", "news", 2, read_content(tmp_path / "first.duckdb"))
    for name in ("first.duckdb", "again.duckdb"):
        check_release_file(tmp_path / name)
        with open_release(tmp_path / name) as connection:
            kept = connection.sql('SELECT label, "say ""so""" FROM document_vectors ORDER BY document_id')
            assert kept.fetchall() == list(zip(label, quote, strict=True))
            found = connection.execute("FROM nearest_documents($1, k := 1)", [vectors[1].tolist()]).fetchall()
            assert found[0][:2] == (1, "a.csv")
            ((cosine,),) = connection.sql("SELECT document_similarity(0, 2)").fetchall()
            lengths = np.linalg.norm(vectors, axis=1)
            assert cosine == pytest.approx(vectors[0] @ vectors[2] / lengths[0] / lengths[2], abs=1e-6)
            assert connection.sql("FROM nearest_documents(NULL)").fetchall() == []
            with pytest.raises(duckdb.Error, match="computed by doc2vec, which SQL cannot apply to a text; pass a vec"):
                connection.sql("FROM nearest_documents('word1')").fetchall()
            with pytest.raises(duckdb.Error, match="takes a vector of 24 numbers"):
                connection.sql("FROM nearest_documents([1, 2])").fetchall()


def test_a_lost_document_is_noticed(release_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "damaged.duckdb"
    path.write_bytes(release_file.read_bytes())
    path.chmod(0o644)
    with duckdb.connect(str(path)) as connection:
        ((table,),) = connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE table_name LIKE 'document_vectors_%'"
        ).fetchall()
        connection.execute(f"DELETE FROM {table} WHERE document_id = 3")
    with pytest.raises(ReleaseError, match="document_vectors should have 50 documents, 7 without a vector, and has 49"):
        check_release_file(path)


def test_a_release_without_documents_has_no_such_table(tmp_path: Path) -> None:
    write_release_file(tmp_path / "plain.duckdb", "news", 1, content())
    assert read_documents(tmp_path / "plain.duckdb") is None
    with open_release(tmp_path / "plain.duckdb") as connection:
        names = connection.sql("SELECT function_name FROM duckdb_functions() WHERE NOT internal").fetchall()
    assert ("nearest_documents",) not in names
