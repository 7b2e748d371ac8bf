"""Queries, standard input, encodings, missing rows and sequences as corpora."""

import io
import sys
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from storage.corpus.documents import read_documents, read_values
from storage.corpus.tokens import read_tokens
from storage.errors import CorpusError, NotAllowedError
from storage.layout import Workspace
from storage.models.matrices import read_matrices
from storage.stages import Manifest
from tasks.arrivals import find_arrivals
from tasks.corpus import CorpusFacts, corpus_stage, fetch_corpus
from tasks.corpus_config import CorpusConfig
from tasks.text.tokenizers import TokenizerConfig
from tasks.tokens import tokenize_corpus


def fetch(workspace: Path, **settings: object) -> Manifest[CorpusFacts]:
    return fetch_corpus.fn(CorpusConfig.model_validate(settings), Workspace(workspace))


def texts(corpus: Manifest[CorpusFacts]) -> list[str]:
    return [text for batch in read_documents(corpus.path) for text in batch.columns[2].to_pylist()]


def test_a_query_on_files_is_a_corpus_identified_by_its_result(tmp_path: Path) -> None:
    reviews = tmp_path / "reviews.parquet"
    pq.write_table(pa.table({"body": ["good", "bad", "fine"], "stars": [5, 1, 4]}), reviews)
    query = f"SELECT body FROM '{reviews}' WHERE stars > 3 ORDER BY stars"
    corpus = fetch(tmp_path / "w", query=query)
    assert texts(corpus) == ["fine", "good"]
    assert corpus.facts.source == "query"
    assert fetch(tmp_path / "w", query=query).reused
    assert not list((tmp_path / "w" / "spool").iterdir())
    pq.write_table(pa.table({"body": ["good", "new"], "stars": [5, 4]}), reviews)
    changed = fetch(tmp_path / "w", query=query)
    assert not changed.reused
    assert texts(changed) == ["new", "good"]


def test_a_query_reads_a_database_and_cannot_change_it(tmp_path: Path) -> None:
    path = tmp_path / "shop.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE reviews AS SELECT 1 AS id, 'one' AS text UNION ALL SELECT 2, NULL")
    query = "SELECT id, text FROM reviews ORDER BY id"
    assert texts(fetch(tmp_path / "w", query=query, path=str(path))) == ["one"]
    with pytest.raises(CorpusError, match=r"is a DuckDB database, .*select its text with corpus\.query"):
        fetch(tmp_path / "w", path=str(path))
    for sql, message in (
        ("DROP TABLE reviews", "only reads: use a SELECT"),
        ("COPY reviews TO 'a.csv'", "only reads: use a SELECT"),
        ("ATTACH 'other.duckdb'", "only reads: use a SELECT"),
        ("SELECT 1; SELECT 2", "must be one SELECT statement; found 2"),
        ("SELECT getenv('HOME')", "the function getenv is not allowed"),
        ("SELECT 1 AS text", "the result of corpus.query: column 'text' contains int32, not text"),
        ("SELECT 'a' AS text WHERE false", "query contains no text; correct corpus.query"),
        ("SELECT current_setting('secret_directory')", "the function current_setting is not allowed"),
        ("SELECT value AS text FROM duckdb_settings()", "the function duckdb_settings is not allowed"),
        ("SELEC 1", "cannot parse the query"),
        ("SELECT text FROM nowhere", "cannot run the query: .*nowhere"),
        (
            "SELECT id AS other, text AS body FROM reviews",
            "no column 'text', but 'other', 'body'; select the text alone",
        ),
        ("SELECT text FROM 'https://localhost:1/a.parquet'", "cannot run the query"),
    ):
        with pytest.raises(CorpusError, match=message):
            fetch(tmp_path / "w", query=sql, path=str(path))
    with pytest.raises(CorpusError, match="cannot be opened as a DuckDB database"):
        fetch(tmp_path / "w", query=query, path=str(tmp_path / "absent.duckdb"))


def test_a_download_into_a_workspace_that_is_not_allowed_names_the_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VECMILL_ALLOWED_ROOTS", str(tmp_path / "texts"))
    monkeypatch.setenv("VECMILL_ALLOWED_HOSTS", "localhost")
    with pytest.raises(
        NotAllowedError, match=f"workspace {tmp_path / 'w'}, which is outside.*; add {tmp_path / 'w'} to"
    ):
        fetch(tmp_path / "w", path="http://localhost:1/a.txt")


def test_a_query_cannot_leave_the_allowed_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "a.csv").write_text("text\nsecret\n")
    (inside / "link.csv").symlink_to(outside / "a.csv")
    (inside / "link").symlink_to(outside)
    monkeypatch.setenv("VECMILL_ALLOWED_ROOTS", str(inside))
    assert texts(fetch(inside / "w", query=f"SELECT text FROM '{inside}/a.csv'")) == ["secret"]
    for source in (
        f"'{outside}/a.csv'",
        f"'{inside}/../outside/a.csv'",
        f"'{inside}/link.csv'",
        f"'{inside}/link/a.csv'",
        f"read_csv('{outside}/' || 'a.csv')",
        f"glob('{outside}/*')",
    ):
        with pytest.raises(CorpusError, match="cannot run the query"):
            fetch(inside / "w", query=f"SELECT * FROM {source}")


class PipedInput:
    """Standard input as a pipe."""

    closed = False

    def __init__(self, content: bytes) -> None:
        self.buffer = io.BytesIO(content)

    def isatty(self) -> bool:
        return False


def test_standard_input_is_read_once_and_identified_by_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", PipedInput(b'{"text": "one"}\n'))
    config = CorpusConfig(path="-")
    stage = corpus_stage(config, Workspace(tmp_path))
    corpus = fetch_corpus.fn(config, Workspace(tmp_path))
    assert corpus.digest == stage.digest
    assert texts(corpus) == ["one"]
    assert corpus.facts.source == "standard input"
    monkeypatch.setattr(sys, "stdin", PipedInput(b""))
    with pytest.raises(CorpusError, match="standard input, which is empty"):
        fetch(tmp_path / "other", path="-")


def test_rows_left_out_are_in_the_facts(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n{"id": 2}\n')
    corpus = fetch(tmp_path / "w", path=str(tmp_path / "a.jsonl"), on_missing="skip", on_bad_file="skip")
    assert corpus.facts.left_out == {"rows without the column": 1}
    arrivals = find_arrivals(CorpusConfig(path=str(tmp_path / "a.jsonl")), "table", None, Workspace(tmp_path / "w"))
    assert "; left out 1 rows without the column" in str(arrivals.once_read(corpus))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"source": "query"}, "needs corpus.query"),
        ({"encoding": "klingon"}, "is not a text encoding"),
        ({"encoding": "rot13"}, "is not a text encoding"),
        ({"encoding": "idna"}, "is not an encoding of text files"),
        ({"group_column": "user", "format": "csv"}, "needs corpus.format=sequences"),
        ({"order_column": "time"}, "set corpus.group_column too"),
    ],
)
def test_contradictory_settings_are_refused(settings: dict[str, str], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        CorpusConfig.model_validate(settings)


def test_settings_imply_others() -> None:
    assert CorpusConfig(group_column="user").format == "sequences"
    assert CorpusConfig(query="SELECT 1", path="a.duckdb").source == "query"
    assert CorpusConfig(encoding="Latin-1").encoding == CorpusConfig(encoding="iso-8859-1").encoding
    assert CorpusConfig(encoding="utf-8-sig").encoding == "utf-8"


def test_items_are_tokens_whatever_the_tokenizer(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": [["Red Shoes", "A-1"], ["A-1", "b.2"]]}), tmp_path / "a.parquet")
    corpus = fetch(tmp_path / "w", path=str(tmp_path / "a.parquet"), format="sequences")
    tokens = tokenize_corpus.fn(corpus, TokenizerConfig(), Workspace(tmp_path / "w"))
    found = [row for batch in read_tokens(tokens.path) for row in batch.tokens.to_pylist()]
    assert found == [["Red Shoes", "A-1"], ["A-1", "b.2"]]


def test_item_vectors_show_the_clusters_of_the_sessions(tmp_path: Path) -> None:
    from storage.corpus.vocabularies import read_vocabulary
    from tasks.parameters import ModelParameters
    from tasks.pipeline import build_model

    random = np.random.default_rng(1)
    rows = ["session,time,item"]
    for session in range(600):
        cluster = session % 4
        rows += [f"{session},{time},{cluster}/{item} x" for time, item in enumerate(random.integers(0, 10, 8))]
    order = random.permutation(len(rows) - 1) + 1
    (tmp_path / "events.csv").write_text("\n".join([rows[0], *(rows[number] for number in order)]) + "\n")
    corpus = {"path": str(tmp_path / "events.csv"), "text_column": "item"}
    corpus |= {"group_column": "session", "order_column": "time"}
    training = {"dimension": 16, "epochs": 15, "workers": 1}
    vocabulary = {"subsample_threshold": 1}
    parameters = ModelParameters.model_validate({"corpus": corpus, "vocabulary": vocabulary, "training": training})
    model = build_model(parameters, Workspace(tmp_path / "w"))
    words = read_vocabulary(model.vocabulary).words
    assert len(words) == 40
    vectors = read_matrices(model.training.path)[0]
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = unit @ unit.T - 2 * np.eye(len(words))
    assert all(words[int(nearest)][0] == word[0] for word, nearest in zip(words, cosines.argmax(axis=1), strict=True))


def test_documents_keep_the_values_of_chosen_columns(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "a.csv").write_text('text,id,note\n"one",7,x\n"  ",8,y\n"two",9,"it\'s"\n', encoding="utf-8")
    columns = {"text": ["three", None, "four"], "id": [1.5, 2.0, None], "note": [["a", "b"], [], None]}
    pq.write_table(pa.table(columns), folder / "b.parquet")
    (folder / "c.jsonl").write_text('{"text": "five", "id": true, "note": {"k": "v"}}\n', encoding="utf-8")
    settings: dict[str, object] = {"path": str(folder), "keep_columns": ["id", "note"]}
    corpus = fetch(tmp_path / "w", **settings)
    assert texts(corpus) == ["one", "two", "three", "four", "five"]
    expected = [["7", "x"], ["9", "it's"], ["1.5", '["a", "b"]'], [None, None], ["True", '{"k": "v"}']]
    assert list(read_values(corpus.path)) == expected
    # The rows of known files are reused with their values.
    pq.write_table(pa.table({"text": ["six"], "id": [6], "note": ["z"]}), folder / "d.parquet")
    grown = fetch(tmp_path / "w", **settings)
    assert (grown.facts.new_files, list(read_values(grown.path))) == (1, [*expected, ["6", "z"]])
    assert fetch(tmp_path / "w", path=str(folder)).digest != grown.digest
    with pytest.raises(CorpusError, match=r"a\.csv: no column 'label'; found 'text', 'id', 'note'"):
        fetch(tmp_path / "w", path=str(folder), keep_columns=["label"])
    skipped = fetch(tmp_path / "w", path=str(folder), keep_columns=["label"], on_missing="skip")
    assert list(read_values(skipped.path)) == [[None]] * 6
    (tmp_path / "plain.txt").write_text("one\n")
    with pytest.raises(CorpusError, match=r"plain\.txt has no columns \(text\), so corpus\.keep_columns cannot"):
        fetch(tmp_path / "w", path=str(tmp_path / "plain.txt"), keep_columns=["id"])
