"""The whole pipeline on 300 real news articles: published, reused, refused, and queried with SQL."""

import hashlib
import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pytest

from flows import word_vectors
from flows.deployments import build_parameters, find_deployment
from flows.runs.planning import plan_stages
from flows.runs.result import BuildResult, metric_rows
from flows.word_vectors import build_word_vectors
from storage.errors import CorpusError, GateRefusedError
from storage.layout import Workspace
from storage.releases.history import rollback
from tasks import publishing
from tests.flows import builds
from tests.flows.builds import Build

pytestmark = pytest.mark.usefixtures("prefect_server")

SMALL = (
    "training.dimension=16", "training.epochs=2", "training.workers=1", "publication.table=news",
    "report.map_words=50", "report.map_method=pca",
)  # fmt: skip

STAGES = [
    "corpus", "tokens", "vocabulary", "encoded", "cooccurrences", "training", "evaluation", "release", "report",
]  # fmt: skip


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workspace")


@pytest.fixture(scope="module")
def build(news_file: Path, workspace: Path) -> Build:
    return partial(builds.build, workspace, f"corpus.path={news_file}", *SMALL)


@pytest.fixture(scope="module")
def first(prefect_server: None, build: Build) -> BuildResult:
    return build()


def test_the_first_run_publishes_version_1(first: BuildResult, workspace: Path) -> None:
    assert (first.version, first.published, first.refused) == (1, True, False)
    assert Path(first.release_path) == Workspace(workspace).table_file("news")
    assert first.corpus_tokens > 50_000
    assert first.training["words_per_second"] > 0
    assert 0 < (first.metrics["wordsim353_coverage"] or 0) < 1
    assert not any(stage.reused for stage in first.stages)
    names = [stage.name for stage in first.stages]
    assert names == STAGES


def test_glove_publishes_the_sum_and_counts_cooccurrences_once(
    first: BuildResult, build: Build, workspace: Path, news_file: Path
) -> None:
    glove = build("training.model=glove", "publication.table=glove")
    stages = {stage.name: stage.reused for stage in glove.stages}
    assert list(stages) == STAGES
    assert stages["encoded"]
    assert not stages["cooccurrences"]
    with duckdb.connect(glove.release_path, read_only=True) as connection:
        settings = dict(connection.sql("select name, value from settings").fetchall())
        assert len(connection.sql("from nearest('the', k := 3)").fetchall()) == 3
        assert connection.sql("select architecture from release").fetchone() == ("glove",)
    assert (settings["training.model"], settings["publication.matrix"]) == ('"glove"', '"sum"')
    again = ["training.model=glove", "training.x_max=3", "publication.table=glove"]
    assert {stage.name for stage in build(*again).stages if stage.reused} >= {"encoded", "cooccurrences"}
    parameters = build_parameters(find_deployment("adhoc"), [f"corpus.path={news_file}", *SMALL, *again])
    planned = plan_stages(parameters, Workspace(workspace))[1]
    assert all(stage.reused for stage in planned if stage.name != "comparison")


def test_the_table_answers_sql(first: BuildResult) -> None:
    with duckdb.connect(first.release_path, read_only=True) as connection:
        rows = connection.sql("select count(*), min(rank), max(rank) from word_vectors").fetchone()
        assert rows == (first.vocabulary_size, 1, first.vocabulary_size)
        assert len(connection.sql("from nearest('the', k := 3)").fetchall()) == 3
        assert connection.sql("from nearest('no such word')").fetchall() == []
        settings = dict(connection.sql("select name, value from settings").fetchall())
    assert settings["training.dimension"] == "16"


def test_a_published_and_a_refused_release_have_a_report_next_to_them(first: BuildResult, build: Build) -> None:
    with pytest.raises(GateRefusedError) as refusal:
        build("publication.gates.wordsim353.minimum=0.99", "publication.table=strict")
    assert isinstance(refusal.value.result, BuildResult)
    refused = Path(refusal.value.result.release_path).with_suffix(".report.html")
    assert "Refused by 1 of 1 gates" in refused.read_text(encoding="utf-8")
    published = Path(first.release_path).with_suffix("") / "v000001.report.html"
    assert "Published without gates" in published.read_text(encoding="utf-8")


def test_an_identical_run_reuses_every_stage_and_publishes_no_copy(first: BuildResult, build: Build) -> None:
    again = build()
    assert all(stage.reused for stage in again.stages)
    assert (again.version, again.published) == (1, False)
    assert "version 1 already holds this model" in again.message


def test_other_epochs_train_again_but_tokenize_nothing(first: BuildResult, build: Build) -> None:
    other = build("training.epochs=3")
    reused = {stage.name for stage in other.stages if stage.reused}
    assert reused == {"corpus", "tokens", "vocabulary", "encoded", "cooccurrences"}
    assert (other.version, other.published) == (2, True)


def test_the_published_config_is_the_resolved_one(first: BuildResult) -> None:
    with duckdb.connect(first.release_path, read_only=True) as connection:
        settings = dict(connection.execute("SELECT name, value FROM settings").fetchall())
        (digest,) = connection.execute("SELECT config_digest FROM release").fetchone() or ()
    trained = {name: json.loads(value) for name, value in settings.items() if name.startswith("training.")}
    assert trained["training.backend"] == first.training["backend"] == "numba"
    assert (trained["training.device"], trained["training.workers"]) == ("cpu", 1)
    assert trained["training.learning_rate"] == 0.05
    published: dict[str, dict[str, Any]] = {}
    for name, value in settings.items():
        section, _, field = name.partition(".")
        published.setdefault(section, {})[field] = json.loads(value)
    assert digest == hashlib.sha256(json.dumps(published, sort_keys=True).encode()).hexdigest()


def test_a_rollback_while_a_model_is_judged_does_not_publish_it_again(
    first: BuildResult, build: Build, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Judging and publishing hold the model against the same release."""
    second = build("training.seed=8")
    assert second.version is not None
    judge = publishing.judge_release

    def judge_and_roll_back(*arguments: Any) -> Any:
        verdicts = judge(*arguments)
        rollback(Workspace(workspace), second.table, 1)
        return verdicts

    monkeypatch.setattr(word_vectors, "judge_release", judge_and_roll_back)
    again = build("training.seed=8")
    assert (again.outcome, again.version) == ("unchanged", second.version)
    rollback(Workspace(workspace), second.table, second.version)


def test_a_dry_run_reports_what_would_run(first: BuildResult, news_file: Path, workspace: Path) -> None:
    before = sorted(workspace.rglob("*"))
    parameters = build_parameters(
        find_deployment("adhoc"), [f"corpus.path={news_file}", *SMALL, "vocabulary.min_count=9"]
    )
    arrivals, plan = plan_stages(parameters, Workspace(workspace))
    assert [step.name for step in plan if step.reused] == ["corpus", "tokens"]
    assert str(arrivals).startswith("1 file: 0 new, 0 changed, 0 gone since version ")
    assert sorted(workspace.rglob("*")) == before


def test_metrics_are_shown_with_and_without_a_gate(first: BuildResult, build: Build) -> None:
    gated = build("publication.gates.simlex999.minimum=-1")
    rows = {row["metric"]: row for row in metric_rows(gated)}
    assert next(iter(rows)) == "simlex999"
    assert rows["simlex999"]["passed"] is True
    assert rows["wordsim353"]["passed"] is None
    assert rows["wordsim353"]["value"] == first.metrics["wordsim353"]
    assert rows["wordsim353"]["coverage"] == first.metrics["wordsim353_coverage"]
    assert len({tuple(row) for row in rows.values()}) == 1  # the same columns in every row
    assert not any(metric.endswith("_coverage") for metric in rows)


def test_a_refused_release_is_kept_as_a_candidate_and_the_current_one_stays(first: BuildResult, build: Build) -> None:
    current = Path(first.release_path).read_bytes()
    with pytest.raises(GateRefusedError, match=r"wordsim353 is .*below the minimum 0\.99") as refusal:
        build("training.seed=2", "publication.gates.wordsim353.minimum=0.99")
    result = refusal.value.result
    assert isinstance(result, BuildResult)
    assert (result.published, result.refused, result.version) == (False, True, None)
    assert Path(result.release_path).is_file()
    assert Path(result.release_path).parent.name == "candidates"
    assert Path(first.release_path).read_bytes() == current


def test_changed_gates_run_the_gates_alone(first: BuildResult, build: Build) -> None:
    with pytest.raises(GateRefusedError):
        build("training.seed=3", "publication.gates.simlex999.minimum=0.99")
    passed = build("training.seed=3", "publication.gates.simlex999.minimum=-1")
    assert passed.published
    assert all(stage.reused for stage in passed.stages if stage.name not in ("release", "report"))


def test_a_flow_with_a_refused_release_ends_failed(first: BuildResult, news_file: Path, workspace: Path) -> None:
    parameters = build_parameters(
        find_deployment("adhoc"),
        [f"corpus.path={news_file}", *SMALL, "publication.gates.wordsim353.minimum=0.99"],
    )
    sections = {name: getattr(parameters, name) for name in type(parameters).model_fields}
    state = build_word_vectors(**sections, workspace=str(workspace), return_state=True)
    assert state.is_failed()
    assert "wordsim353" in str(state.message)


def test_one_worker_yields_the_same_release_in_another_workspace(
    first: BuildResult, news_file: Path, tmp_path: Path
) -> None:
    moved = shutil.copy(news_file, tmp_path / "moved.txt")
    parameters = build_parameters(find_deployment("adhoc"), [f"corpus.path={moved}", *SMALL])
    sections = {name: getattr(parameters, name) for name in type(parameters).model_fields}
    second = build_word_vectors(**sections, workspace=str(tmp_path / "a workspace"))
    checksums = []
    for path in (Path(first.release_path).with_suffix("") / "v000001.duckdb", Path(second.release_path)):
        with duckdb.connect(str(path), read_only=True) as connection:
            checksums.append(connection.sql("select sha256 from release").fetchone())
    assert checksums[0] == checksums[1]


def test_a_missing_corpus_is_named_and_leaves_the_workspace_empty(tmp_path: Path) -> None:
    parameters = build_parameters(find_deployment("adhoc"), [f"corpus.path={tmp_path}/none.txt"])
    sections = {name: getattr(parameters, name) for name in type(parameters).model_fields}
    with pytest.raises(CorpusError, match=r"none\.txt"):
        build_word_vectors(**sections, workspace=str(tmp_path / "workspace"))
    assert not list((tmp_path / "workspace").rglob("manifest.json"))
