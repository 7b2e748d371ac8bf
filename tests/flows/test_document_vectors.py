"""A run with documents.enabled publishes a vector for each document, that of text_vector in SQL."""

from pathlib import Path

import duckdb
import numpy as np
import pytest

from flows.deployments import build_parameters, find_deployment
from flows.runs.planning import plan_stages
from storage.layout import Workspace
from storage.releases.housekeeping import clean_stages
from storage.releases.verification import verify_table
from tests.flows import builds

pytestmark = pytest.mark.usefixtures("prefect_server")

SMALL = (
    "training.dimension=16", "training.epochs=1", "training.workers=1", "publication.table=news",
    "evaluation.reference=none", "report.map_words=50", "report.map_method=pca",
)  # fmt: skip


def test_documents_are_published_with_their_words(news_file: Path, tmp_path: Path) -> None:
    corpus = tmp_path / "news.txt"
    corpus.write_text("\n".join([*news_file.read_text(encoding="utf-8").splitlines(), "zzzqqq xyzzyx"]), "utf-8")
    settings = (f"corpus.path={corpus}", *SMALL)
    workspace = tmp_path / "workspace"
    plain = builds.build(workspace, *settings)
    assert "documents" not in {stage.name for stage in plain.stages}
    result = builds.build(workspace, *settings, "documents.enabled=true")
    # The words are those of version 1, but it has no documents.
    assert (plain.version, result.version) == (1, 2)
    (stage,) = (stage for stage in result.stages if stage.name == "documents")
    assert (stage.rows, stage.reused) == (301, False)
    with duckdb.connect(result.release_path, read_only=True) as connection:
        connection.execute("CREATE TEMP TABLE texts (document_id BIGINT, line VARCHAR)")
        lines = corpus.read_text(encoding="utf-8").splitlines()
        connection.executemany("INSERT INTO texts VALUES (?, ?)", list(enumerate(lines)))
        rows = connection.sql(
            """SELECT source, vector, text_vector(line) FROM document_vectors JOIN texts USING (document_id)
               WHERE document_id % 30 = 0"""
        ).fetchall()
        ((none,),) = connection.sql("SELECT list(document_id) FROM document_vectors WHERE vector IS NULL").fetchall()
        nearest = connection.execute("FROM nearest_documents($1, k := 1)", [lines[7]]).fetchall()
        summary = connection.sql("SELECT method, documents, without_words FROM documents").fetchall()
    assert {source for source, _, _ in rows} == {"news.txt"}
    assert all((own is None) == (asked is None) for _, own, asked in rows)
    pairs = [(own, asked) for _, own, asked in rows if own is not None]
    np.testing.assert_allclose([own for own, _ in pairs], [asked for _, asked in pairs], atol=1e-5)
    assert (none, summary) == ([300], [("sif", 301, 1)])
    assert nearest[0][0] == 7
    again = builds.build(workspace, *settings, "documents.enabled=true")
    assert (again.outcome, again.version) == ("unchanged", 2)
    assert all(line.problem is None for line in verify_table(Workspace(workspace), "news"))
    clean_stages(Workspace(workspace), keep_days=0)
    parameters = build_parameters(find_deployment("adhoc"), [*settings, "documents.enabled=true"])
    planned = plan_stages(parameters, Workspace(workspace))[1]
    assert {step.name: step.reused for step in planned}["documents"]
