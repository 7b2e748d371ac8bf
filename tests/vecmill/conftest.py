"""A published table to open, and a cache folder of the test's own."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import vecmill
from storage.layout import CACHE_VARIABLE, Workspace
from storage.releases.publishing import publish_release
from tests.storage.sample_releases import content
from vecmill.table import Table

FILM_WORDS = ["a", "film", "good", "bad", "dull", "café", "new_york", "new", "york"]


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with the table `films`: 3,000 words x 20, of which every fifth shares its vector with nine others."""
    words = FILM_WORDS + [f"word{number}" for number in range(2991)]
    sample = content(words, dimension=20)
    vectors = sample.vectors.copy()
    vectors[::5] = vectors[np.arange(600) % 60]
    workspace = Workspace(tmp_path_factory.mktemp("workspace"))
    publish_release(
        workspace, "films", replace(sample, vectors=vectors, settings={"tokenizer": {"name": "unicode_words"}})
    )
    return workspace


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.getbasetemp() / "vecmill-cache"
    monkeypatch.setenv(CACHE_VARIABLE, str(folder))
    return folder


@pytest.fixture
def table(workspace: Workspace, cache: Path) -> Table:
    return vecmill.open("films", workspace.root)
