"""A fastText model through the stages: its rows, its release, and what continues from it."""

from pathlib import Path

import duckdb
import numpy as np
import pytest

from storage.errors import TrainingError
from storage.layout import Workspace
from storage.models.matrices import read_matrices, read_optimizer
from storage.releases.start_vectors import StartPoint
from tasks.corpus_config import CorpusConfig
from tasks.evaluation_targets import TargetConfig, score_target
from tasks.scoring import EvaluationConfig
from tasks.trainers.config import FastTextConfig
from tasks.trainers.interface import NGRAM_VECTORS, OWN_VECTORS
from tasks.training import train_vectors
from tests.flows import builds
from tests.tasks.test_cooccurrences import Prepared, prepare

CONFIG = FastTextConfig(dimension=16, epochs=3, workers=1, learning_rate=0.1)
SMALL = (
    "training.model=fasttext", "training.dimension=16", "training.epochs=2", "training.workers=1",
    "vocabulary.min_count=2", "evaluation.reference=none", "publication.gates=none", "publication.table=news",
)  # fmt: skip


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="module")
def prepared(news_file: Path, workspace: Workspace) -> Prepared:
    return prepare(CorpusConfig(source="files", path=str(news_file)), workspace)


def test_a_warm_start_continues_with_the_buckets(prepared: Prepared, workspace: Workspace) -> None:
    model = train_vectors.fn(*prepared, CONFIG, workspace)
    assert model.config["buckets"] == 4096
    rows = read_optimizer(model.path)
    assert {name: len(values) for name, values in rows.items()} == {
        NGRAM_VECTORS: 4096, OWN_VECTORS: len(read_matrices(model.path)[0]),
    }  # fmt: skip
    start = StartPoint(model.digest, model.path, model.path, prepared[1].path, "fasttext")
    one = CONFIG.model_copy(update={"epochs": 1})
    continued = train_vectors.fn(*prepared, one, workspace, start)
    assert continued.facts.epochs[0].mean_loss < model.facts.epochs[0].mean_loss
    other_buckets = one.model_copy(update={"buckets": 100})
    with pytest.raises(TrainingError, match=r"4,096 n-gram buckets; set training\.buckets"):
        train_vectors.fn(*prepared, other_buckets, workspace, start)
    with pytest.raises(TrainingError, match=r"it is skip_gram.*training\.start_from=none"):
        train_vectors.fn(
            *prepared, one, workspace, StartPoint("y", model.path, model.path, prepared[1].path, "skip_gram")
        )


def test_ngrams_longer_than_every_word_are_refused(prepared: Prepared, workspace: Workspace) -> None:
    longer = CONFIG.model_copy(update={"minimum_ngram": 20, "maximum_ngram": 20})
    with pytest.raises(
        TrainingError, match=r"n-gram of 20 or more characters.*training\.minimum_ngram to at most \d\d"
    ):
        train_vectors.fn(*prepared, longer, workspace)


def test_a_build_answers_for_unseen_words_as_its_model_does(news_file: Path, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")
    result = builds.build(workspace.root, f"corpus.path={news_file}", *SMALL)
    assert result.published
    (model,) = (stage.path for stage in result.stages if stage.name == "training")
    vectors = read_optimizer(Path(model))[NGRAM_VECTORS].astype(float)
    from gensim.models.fasttext import ft_ngram_hashes

    expected = vectors[list(map(int, ft_ngram_hashes("unforgettableness", 3, 6, len(vectors))))].sum(axis=0)
    with duckdb.connect(str(workspace.table_file("news")), read_only=True) as connection:
        ((found,),) = connection.execute("SELECT word_vector('unforgettableness')").fetchall()
        assert len(connection.execute("FROM nearest('unforgettableness', k := 5)").fetchall()) == 5
        ((family,),) = connection.execute("SELECT architecture FROM release").fetchall()
    assert family == "fasttext"
    # Rounded to 8 bits.
    assert np.dot(found, expected) / np.linalg.norm(expected) > 0.999
    # Sets of word pairs are also scored with their unknown words composed, before and after publication.
    scored = score_target(TargetConfig(table="news"), EvaluationConfig(reference=None), workspace)
    with duckdb.connect(str(workspace.table_file("news")), read_only=True) as connection:
        rows = connection.sql(
            "SELECT value, covered FROM evaluation "
            "WHERE metric = 'wordsim353' AND section IN ('all', 'composed') ORDER BY section"
        )
        (_, known), (value, composed) = rows.fetchall()
    assert known < composed
    (again,) = (row for row in scored.rows if (row.metric, row.section) == ("wordsim353", "composed"))
    assert again.covered == composed
    assert again.value == pytest.approx(value, abs=0.01)
