"""A release keeps the tokenizer that was trained on its corpus, and queries use it."""

from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pytest

from storage.errors import ReleaseError
from storage.layout import Workspace
from storage.releases.history import promote
from storage.releases.publishing import keep_candidate, publish_release
from storage.releases.querying import find_nearest
from storage.releases.reader import read_content, read_trained_tokenizer
from storage.releases.schema import FORMAT_VERSION
from tests.storage.sample_releases import content

MODEL = '{"model": "a \'quoted\' 한국어"}'


def test_the_tokenizer_is_in_the_release_and_survives_promotion(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    kept = keep_candidate(workspace, "news", replace(content(), tokenizer=MODEL))
    assert read_content(kept.path).tokenizer == MODEL
    published = promote(workspace, "news", kept.path.stem)
    assert read_trained_tokenizer(published.path) == MODEL
    with duckdb.connect(str(published.path), read_only=True) as connection:
        assert connection.sql("SELECT * FROM tokenizer").fetchall() == [("huggingface", MODEL)]
        assert connection.sql("SELECT format_version FROM release").fetchall() == [(FORMAT_VERSION,)]


def test_a_release_without_a_trained_tokenizer_has_no_such_table(tmp_path: Path) -> None:
    release = publish_release(Workspace(tmp_path), "news", content())
    assert read_trained_tokenizer(release.path) is None
    assert read_content(release.path).tokenizer is None


def test_a_word_of_several_tokens_is_queried_by_their_mean(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    made = content()
    publish_release(workspace, "news", made)
    found = find_nearest(workspace, "news", "word1word2", 3, lambda path, word: ["word1", "word2"])
    unit = made.vectors / np.linalg.norm(made.vectors, axis=1, keepdims=True)
    mean = unit[1] + unit[2]
    cosines = unit @ mean / np.linalg.norm(mean)
    cosines[[1, 2]] = -1
    best = np.argsort(-cosines)[:3]
    assert [neighbor.word for neighbor in found.neighbors] == [made.words[row] for row in best]
    np.testing.assert_allclose([neighbor.similarity for neighbor in found.neighbors], cosines[best], rtol=1e-5)
    with pytest.raises(ReleaseError, match="has no word 'word1x'"):
        find_nearest(workspace, "news", "word1x", 3, lambda path, word: ["word1", "x"])
