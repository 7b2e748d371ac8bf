"""docs/notebook.ipynb runs from top to bottom on a small table; the outputs in the file are those of `make demo`."""

from collections import Counter
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from storage.corpus.labelled_texts import read_labelled_reviews
from storage.errors import CorpusError
from storage.layout import CACHE_VARIABLE, WORKSPACE_VARIABLE, Workspace
from storage.releases.file import ReleaseContent
from storage.releases.publishing import publish_release
from tasks.text.options import TokenizerConfig
from tasks.text.tokenizers import tokenize
from tests.storage.sample_releases import provenance

NOTEBOOK = Path(__file__).resolve().parent.parent / "docs/notebook.ipynb"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Random vectors of the 3,000 most frequent words of 3,000 reviews."""
    try:
        texts = read_labelled_reviews().texts[:3000]
    except CorpusError as error:
        pytest.skip(str(error))
    counted = Counter(tokenize(texts, TokenizerConfig()).flatten().to_pylist()).most_common(3000)
    words, counts = zip(*counted, strict=True)
    vectors = np.random.default_rng(1).normal(size=(len(words), 20)).astype(np.float32)
    workspace = Workspace(tmp_path / "workspace")
    publish_release(workspace, "movie-reviews", ReleaseContent(words, np.array(counts), vectors, provenance()))
    return workspace


@pytest.mark.long
def test_the_notebook_runs(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WORKSPACE_VARIABLE, str(workspace.root))
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    shown = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]
    again = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]
    NotebookClient(again, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    for before, after in zip(shown.cells, again.cells, strict=True):
        # One stream may come in several outputs.
        kinds = [{output.output_type for output in cell.get("outputs", [])} for cell in (before, after)]
        assert kinds[0] == kinds[1], before.source
    assert "image/png" in again.cells[-1].outputs[-1].data
    assert "fine-tuned" in again.cells[-3].outputs[-1].text
