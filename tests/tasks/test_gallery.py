"""The gallery lists every table, release and candidate of a workspace, with text as data and links that work."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from storage.errors import ReleaseError
from storage.layout import Workspace
from storage.models.rows import EvaluationRow
from storage.releases.history import tag_release
from storage.releases.publishing import keep_candidate, publish_release
from storage.releases.schema import GateRow
from tasks.gallery import write_gallery
from tests.storage.sample_releases import content, provenance

REFUSED = [GateRow(metric="wordsim353", value=0.1, minimum=0.4, passed=False)]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Two releases and a candidate of `news`, a candidate of `films` alone, and an imported table without gates."""
    workspace = Workspace(tmp_path / "our workspace")
    for seed, value in enumerate((0.5, 0.6)):
        sample = replace(
            content(model_digest=f"m{seed}", seed=seed),
            evaluation=[EvaluationRow(metric="wordsim353", value=value, coverage=1)],
        )
        publish_release(workspace, "news", sample)
    tag_release(workspace, "news", "1", "stable")
    workspace.release_file("news", 2, ".report.html").write_text("a report")
    keep_candidate(workspace, "news", replace(content(model_digest="refusednews", seed=3), gates=REFUSED))
    keep_candidate(workspace, "films", replace(content(model_digest="refusedfilms"), gates=REFUSED))
    source = provenance().model_copy(update={"corpus_source": "<script>alert(1)</script> /home/ann/texts/a.txt"})
    publish_release(workspace, "vectors", replace(content(), provenance=source, gates=[], evaluation=[]))
    return workspace


def test_the_page_has_every_table_release_and_candidate(workspace: Workspace) -> None:
    assert write_gallery(workspace, workspace.gallery_file) == 3
    page = workspace.gallery_file.read_text()
    assert re.findall(r'<article class="card" id="(\w+)"', page) == ["films", "news", "vectors"]
    films, news, vectors = page.split("<article")[1:]
    assert "nothing published" in films
    assert "candidate refusedf" in films
    assert "version 2, passed its gates" in news
    assert "refused: WordSim-353" in news
    assert news.count("<tr>") == 4
    assert "version 1 <code>stable</code>" in news
    assert "0.6000" in news
    assert re.search(r'<path d="M3.0 18.0L93.0 4.0"', news)
    assert "version 1, no gates" in vectors
    assert "<path" not in vectors


def test_links_lead_to_the_reports_that_there_are(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    for target in (workspace.gallery_file, tmp_path / "pages/index.html"):
        write_gallery(workspace, target)
        (link,) = re.findall(r'<a href="([^"]+)"', target.read_text())
        assert (target.parent / link.replace("%20", " ")).read_text() == "a report"


def test_text_of_a_release_is_data(workspace: Workspace) -> None:
    write_gallery(workspace, workspace.gallery_file)
    page = workspace.gallery_file.read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; …/a.txt" in page
    assert "http" not in re.sub(r"http-equiv", "", page)


def test_a_damaged_table_hides_no_other(workspace: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    workspace.table_file("news").unlink()
    workspace.table_file("news").write_text("no database")
    write_gallery(workspace, workspace.gallery_file)
    assert "nothing published" in workspace.gallery_file.read_text().split("<article")[2]
    assert "cannot be read" in caplog.text


def test_a_workspace_without_tables_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="no tables"):
        write_gallery(Workspace(tmp_path), tmp_path / "gallery.html")
