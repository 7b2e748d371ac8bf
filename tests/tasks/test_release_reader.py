"""A run with pieces or phrases: gold words are cut like the corpus, in the run and when its release is evaluated."""

from pathlib import Path
from typing import Any

import pytest

from storage.layout import Workspace
from storage.releases.publishing import current_release
from tasks import publishing
from tasks.parameters import BuildParameters
from tasks.pipeline import build_model, evaluate_model
from tasks.release_evaluation import TargetConfig, evaluate_target
from tasks.release_reader import release_reader, release_word_reader
from tasks.scoring import CUT


def published(
    folder: Path, news_file: Path, tokenizer: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> tuple[Workspace, BuildParameters]:
    workspace = Workspace(folder)
    (folder / "gold.tsv").write_text(
        "word1\tword2\tscore\nNew South Wales\tAustralia\t9\nprime minister\tgovernment\t8\nunqzxk\tcat\t1\n"
        "international\tnational\t7\npolice officer\tcricket\t2\n"
    )
    parameters = BuildParameters.model_validate(
        {
            "corpus": {"path": str(news_file)},
            "tokenizer": tokenizer,
            "training": {"model": "skip_gram", "dimension": 16, "epochs": 1, "workers": 1},
            "evaluation": {"reference": None, "gold": [str(folder / "gold.tsv")]},
            "publication": {"table": "news"},
        }
    )
    model = build_model(parameters, workspace)
    lineage = evaluate_model(model, parameters, workspace)
    # Events need a server, which no part of this test does.
    monkeypatch.setattr(publishing, "emit_release_published", lambda *_: None)
    publishing.publish_vectors.fn(lineage, [], parameters, None, workspace)
    return workspace, parameters


@pytest.mark.parametrize(
    ("tokenizer", "covered"),
    [({"name": "bpe", "pieces": 3000}, 4), ({"phrases": 2, "phrase_threshold": 5.0}, 4), ({}, 1)],
)
def test_gold_words_are_cut_like_the_corpus(
    tmp_path: Path, news_file: Path, tokenizer: dict[str, Any], covered: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, parameters = published(tmp_path, news_file, tokenizer, monkeypatch)
    release = current_release(workspace, "news")
    assert release is not None
    (row,) = [row for row in release.evaluation if row.metric == "gold"]
    assert (row.covered or 0) >= covered if tokenizer else row.covered == covered
    assert (row.gold_digest or "").endswith(CUT) == bool(tokenizer)
    again = evaluate_target.fn(TargetConfig(table="news"), parameters.evaluation, workspace)
    assert [r for r in again.rows if r.metric == "gold"] == [
        row.model_copy(update={"value": pytest.approx(row.value, abs=1e-5), "low": row.low, "high": row.high})
    ]
    reader = release_word_reader(release.path)
    assert (reader is None) == (not tokenizer)
    assert release_reader(release.path).cut(["Cricket"])[0][0].startswith("cri")
