"""The table `document_vectors` of a release: optional, copied in a stream, with a row that describes it."""

from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from storage.errors import ReleaseError
from storage.models.document_vectors import NAME
from storage.releases.document_macros import DOCUMENT_MACROS, documents_table
from storage.releases.macro_parts import DocumentShape, Shape, create_statements
from storage.releases.opening import open_release
from storage.releases.schema import quoted, quoted_name

SUMMARY = "documents"
# Methods whose vectors are in the space of text_vector; earlier releases have the second name.
COMPOSED = ("sif", "mean")
COLUMNS = {
    "document_id": "Number of the document in the corpus, from 0",
    "source": "Name of the source file",
    "vector": "Its vector; NULL for a document without a known word",
    "known_words": "Tokens of the document that have a vector",
}


@dataclass(frozen=True)
class DocumentRows:
    """Where the vectors of the documents are: the folder of a stage, or a release file.

    digest: of the stage.  method: how they were computed.  documents, without_words: their number, and how many have
    no vector.
    """

    path: Path
    digest: str
    method: str
    documents: int
    without_words: int


def write_documents(connection: duckdb.DuckDBPyConnection, shape: Shape, rows: DocumentRows) -> None:
    """Copy the vectors into the open release and create its macros; memory doesn't grow with the documents."""
    table = documents_table(shape.table)
    attached = rows.path.is_file()
    if attached:
        connection.execute(f"ATTACH {quoted(str(rows.path))} AS earlier (READ_ONLY)")
        source = "earlier.document_vectors"
    else:
        source = f"read_parquet({quoted(str(rows.path / f'{NAME}-*.parquet'))})"
    found = [name for name, *_ in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()]
    ((dimension,),) = connection.execute(
        f"SELECT coalesce(any_value(len(vector)), $1) FROM {source}", [shape.dimension]
    ).fetchall()
    comments = COLUMNS | {name: "From the corpus" for name in found if name not in COLUMNS}
    names = {name: quoted_name(name) for name in comments}
    kept = "".join(f", {names[name]} VARCHAR" for name in found if name not in COLUMNS)
    connection.execute(
        f"CREATE TABLE {table} (document_id BIGINT NOT NULL, source VARCHAR NOT NULL, "
        f"vector FLOAT[{dimension}], known_words BIGINT NOT NULL{kept}, "
        "CHECK ((vector IS NULL) = (known_words = 0)))"
    )
    connection.execute(f"INSERT INTO {table} SELECT {', '.join(names.values())} FROM {source}")
    if attached:
        connection.execute("DETACH earlier")
    connection.execute(f"CREATE VIEW document_vectors AS SELECT {', '.join(names.values())} FROM {table}")
    connection.execute("COMMENT ON VIEW document_vectors IS 'The documents of the corpus and their vectors'")
    for column, meaning in comments.items():
        for name in (table, "document_vectors"):
            connection.execute(f"COMMENT ON COLUMN {name}.{names[column]} IS {quoted(meaning)}")
    connection.execute(
        f"CREATE TABLE {SUMMARY} (digest VARCHAR NOT NULL, method VARCHAR NOT NULL, documents BIGINT NOT NULL, "
        "without_words BIGINT NOT NULL)"
    )
    connection.execute(f"COMMENT ON TABLE {SUMMARY} IS 'How document_vectors was computed: one row'")
    values = [rows.digest, rows.method, rows.documents, rows.without_words]
    connection.execute(f"INSERT INTO {SUMMARY} VALUES (?, ?, ?, ?)", values)
    shape = replace(shape, documents=DocumentShape(dimension, None if rows.method in COMPOSED else rows.method))
    for statement in create_statements(DOCUMENT_MACROS, shape):
        connection.execute(statement)


def stored_documents(connection: duckdb.DuckDBPyConnection, path: Path) -> DocumentRows | None:
    """The documents of an open release, None if it has none."""
    present = connection.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE database_name = current_database() AND table_name = ?", [SUMMARY]
    ).fetchall()
    if not present[0][0]:
        return None
    ((digest, method, documents, without_words),) = connection.execute(f"SELECT * FROM {SUMMARY}").fetchall()
    return DocumentRows(path, digest, method, documents, without_words)


def read_documents(path: Path) -> DocumentRows | None:
    """The documents of a release file, None if it has none. Raises ReleaseError if it cannot be read."""
    with open_release(path) as connection:
        return stored_documents(connection, path)


def check_documents(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Raises ReleaseError if the table or its macros are damaged; nothing to check without the table."""
    rows = stored_documents(connection, path)
    if rows is None:
        return
    found = connection.execute(
        "SELECT count(*), count(*) FILTER (vector IS NULL), min(document_id), max(document_id), "
        "count(*) FILTER (NOT isfinite(array_inner_product(vector, vector))) FROM document_vectors"
    ).fetchall()
    expected = (rows.documents, rows.without_words, 0, rows.documents - 1, 0)
    if found != [expected]:
        raise ReleaseError(
            f"{path} is damaged: document_vectors should have {rows.documents} documents, {rows.without_words} without "
            f"a vector, and has {found[0][0]} and {found[0][1]}, or a vector is not finite"
        )
    ((word,),) = connection.execute("SELECT word FROM word_vectors WHERE rank = 1").fetchall()
    for macro in DOCUMENT_MACROS:
        ((answer,),) = connection.execute(macro.check, [word] if "$1" in macro.check else []).fetchall()
        if answer != macro.answer(rows.documents):
            raise ReleaseError(f"{path} is damaged: {macro.check} returns {answer}")
