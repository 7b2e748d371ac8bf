"""Releases and outside vectors are scored by command and by flow, as they were when they were built."""

import json
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from gensim.models import KeyedVectors
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from pydantic import ValidationError
from typer.testing import CliRunner, Result

from flows.cli.app import app
from flows.cli.table_views import difference_note
from flows.evaluate_release import evaluate_release
from storage.errors import NotAllowedError, ReleaseError, SettingsError, VectorFileError
from storage.gold.sets import read_default_gold_sets
from storage.layout import Workspace
from storage.models.rows import WHOLE
from storage.named_paths import ROOTS_VARIABLE
from storage.releases.named_vectors import NamedVectors, read_release_vectors
from storage.releases.publishing import publish_release
from tasks.evaluation import EvaluationConfig
from tasks.metrics.changes import correlation_change
from tasks.metrics.similarity import pair_cosines, score_bands
from tasks.release_evaluation import TargetConfig, TargetEvaluation, evaluate_target
from tasks.score_changes import ScoredTable, score_change_rows
from tasks.scoring import score_vectors
from tasks.table_comparison import compare_tables
from tests.storage.sample_releases import content

ALONE = EvaluationConfig(reference=None)
# Only words of letters are compared.
WORDS = ["".join(letters) for letters in product("abcdef", repeat=3)]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A table of two versions of the same words."""
    workspace = Workspace(tmp_path / "workspace")
    for seed in (1, 2):
        publish_release(workspace, "news", content(WORDS, seed=seed))
    return workspace


def values(result: TargetEvaluation) -> dict[str, float | None]:
    return {row.metric: row.value for row in result.rows if row.section == WHOLE}


@pytest.mark.usefixtures("prefect_server")
def test_the_flow_scores_a_release_and_leaves_the_scores_as_an_artifact(workspace: Workspace) -> None:
    root = str(workspace.root)
    result = evaluate_release(TargetConfig(table="news"), ALONE, root)
    assert (result.name, result.version) == ("news version 2", 2)
    assert "wordsim353" in values(result)
    # As in an event: the number as a number.
    older = evaluate_release(TargetConfig.model_validate({"table": "news", "version": 1}), ALONE, root)
    assert (older.name, older.version) == ("news version 1", 1)
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(like_="news-evaluation-%")))
    assert {artifact.key for artifact in found} == {"news-evaluation-metrics", "news-evaluation-summary"}


def test_outside_vectors_score_as_gensim_scores_them(tmp_path: Path) -> None:
    random = np.random.default_rng(4)
    keyed = KeyedVectors(vector_size=20)
    keyed.add_vectors(WORDS, random.standard_normal((len(WORDS), 20), dtype=np.float32))
    keyed.save_word2vec_format(str(tmp_path / "own.bin"), binary=True)
    gold = tmp_path / "own.tsv"
    pairs = zip(WORDS, WORDS[9:60], random.random(51), strict=False)
    gold.write_text("".join(f"{first}\t{second}\t{score}\n" for first, second, score in pairs))
    config = EvaluationConfig(reference=None, gold=[str(gold)])
    result = evaluate_target.fn(TargetConfig(vectors=str(tmp_path / "own.bin")), config, Workspace(tmp_path / "w"))
    _, spearman, _ = keyed.evaluate_word_pairs(str(gold))
    assert values(result)["own"] == pytest.approx(spearman[0], abs=1e-6)
    assert (result.words, result.dimension, result.version) == (len(WORDS), 20, None)
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(
    "given", [{}, {"table": "a", "vectors": "b"}, {"vectors": "b", "version": "1"}, {"table": "../a"}]
)
def test_a_target_is_one_thing(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        TargetConfig.model_validate(given)


def test_what_is_not_there_or_not_allowed_is_named(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ReleaseError, match="no release or candidate '7'"):
        evaluate_target.fn(TargetConfig(table="news", version="7"), ALONE, workspace)
    with pytest.raises(VectorFileError, match="no such file"):
        evaluate_target.fn(TargetConfig(vectors="missing.bin"), ALONE, workspace)
    zeros = tmp_path / "zeros.txt"
    zeros.write_text("2 2\none 1 2\ntwo 0 0\n")
    with pytest.raises(VectorFileError, match="'two' in row 2 cannot be used"):
        evaluate_target.fn(TargetConfig(vectors=str(zeros)), ALONE, workspace)
    monkeypatch.setenv(ROOTS_VARIABLE, str(workspace.root))
    with pytest.raises(NotAllowedError, match=r"target\.vectors"):
        evaluate_target.fn(TargetConfig(vectors=str(zeros)), ALONE, workspace)


def test_two_tables_are_set_side_by_side(workspace: Workspace) -> None:
    publish_release(workspace, "same", content(WORDS, seed=2))
    found = compare_tables(workspace, "news", "same")
    agreement = {row.metric: row.value for row in found.agreement if row.section == WHOLE}
    assert found.words == (found.shared_words, found.shared_words)
    assert agreement == pytest.approx(dict.fromkeys(agreement, 1.0), abs=1e-6)
    assert set(agreement) >= {"cosine", "cosine_aligned"}
    assert all(metric.older == metric.newer for metric in found.metrics)
    assert difference_note(found.metrics) is None


def test_a_difference_of_two_tables_has_the_interval_of_its_gold_set(workspace: Workspace) -> None:
    gold = read_default_gold_sets().similarity[0]
    words = list(dict.fromkeys(word.lower() for word in (*gold.first, *gold.second)))

    def scored(name: str, seed: int) -> NamedVectors:
        own = content(words, seed=seed)
        config = EvaluationConfig(reference=None)
        rows = score_vectors(words, own.vectors, read_default_gold_sets(), (), config).rows
        publish_release(workspace, name, replace(own, evaluation=rows))
        return read_release_vectors(workspace, name)

    first, second = scored("first", 2), scored("second", 3)
    found = compare_tables(workspace, "first", "second")
    change = {metric.metric: metric for metric in found.metrics}["wordsim353"]
    (covered, before), (_, now) = (
        pair_cosines(table.words, table.vectors, gold.first, gold.second) for table in (first, second)
    )
    assert (change.change_low, change.change_high) == correlation_change(now, before, gold.scores, covered).interval
    assert change.older is not None
    assert change.newer is not None
    assert change.change_low is not None
    assert change.change_high is not None
    assert change.change_low <= change.newer - change.older <= change.change_high
    # Both tables have the same words, so the change of a band is the difference of the bands' scores.
    rows = score_change_rows(
        ScoredTable(second, None), ScoredTable(first, None), read_default_gold_sets(), EvaluationConfig()
    )
    bands = {row.section: row for row in rows if row.metric == "wordsim353_change" and row.section != WHOLE}
    older, newer = (
        score_bands(words, table.vectors, gold.first, gold.second, gold.scores, len(words)) for table in (first, second)
    )
    assert set(bands) == set(newer)
    for name, row in bands.items():
        assert row.value == pytest.approx((newer[name].spearman or 0) - (older[name].spearman or 0))
        assert row.low is not None
        assert row.covered == newer[name].covered
    note = difference_note(found.metrics)
    assert note is not None
    assert "differences are clear" in note


def test_a_rotated_table_is_the_same_after_the_best_rotation(workspace: Workspace) -> None:
    own = content(WORDS, seed=2)
    dimension = own.vectors.shape[1]
    turn, _ = np.linalg.qr(np.random.default_rng(5).standard_normal((dimension, dimension)))
    publish_release(workspace, "turned", replace(own, vectors=(own.vectors @ turn).astype(np.float32)))
    agreement = {row.metric: row.value for row in compare_tables(workspace, "news", "turned").agreement}
    assert agreement["cosine_aligned"] == pytest.approx(1, abs=1e-5)
    assert abs(agreement["cosine"] or 0) < 0.5


def test_the_commands_print_tables_and_json(workspace: Workspace) -> None:
    def vecmill(*arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments, "--workspace", str(workspace.root)])

    scored = vecmill("evaluate", "news", "--reference", "none", "--json")
    assert json.loads(scored.stdout.splitlines()[-1])["name"] == "news version 2"
    assert "wordsim353" in vecmill("evaluate", "news", "--reference", "none").stdout
    assert "words in both" in vecmill("compare", "news", "news").stdout
    assert json.loads(vecmill("compare", "news", "news", "--json").stdout.splitlines()[-1])["words"] == [216, 216]
    with pytest.raises(SettingsError, match="name either a table or a file"):
        raise vecmill("evaluate").exception or AssertionError
