"""A folder of text that grows: only what is new is read, and a run without anything new publishes nothing."""

import logging
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from flows.deployments import build_parameters, find_deployment
from flows.runs.planning import plan_stages
from flows.runs.result import BuildResult
from flows.runs.summary import summary_markdown
from flows.word_vectors import build_word_vectors
from storage.corpus.encoded import EncodedCorpus
from storage.corpus.vocabularies import read_vocabulary
from storage.errors import CorpusError, GateRefusedError
from storage.layout import Workspace
from storage.models.matrices import PPMI_FACTORS, read_optimizer
from storage.releases.publishing import current_release
from storage.stages import read_manifest
from tasks.cooccurrences import CooccurrenceFacts
from tasks.corpus import CorpusFacts
from tasks.tokens import TokensFacts
from tasks.trainers.cpu.passages import passage_vectors
from tasks.vocabulary import EncodedFacts
from tests.flows import builds
from tests.flows.builds import Build

pytestmark = pytest.mark.usefixtures("prefect_server")

SMALL = (
    "training.dimension=16", "training.epochs=1", "training.workers=1", "vocabulary.min_count=2",
    "evaluation.reference=none", "publication.table=news", "report.enabled=false",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, news_file: Path) -> Path:
    """The first 200 articles, in four files."""
    articles = news_file.read_text().splitlines(keepends=True)
    folder = tmp_path / "texts"
    folder.mkdir()
    for number in range(4):
        (folder / f"{number}.txt").write_text("".join(articles[50 * number : 50 * (number + 1)]))
    return folder


@pytest.fixture
def build(folder: Path, tmp_path: Path) -> Build:
    return partial(builds.build, tmp_path / "workspace", f"corpus.path={folder}", *SMALL)


def add_articles(folder: Path, news_file: Path, name: str, first: int, last: int) -> None:
    (folder / name).write_text("".join(news_file.read_text().splitlines(keepends=True)[first:last]))


def stage_path(result: BuildResult, name: str) -> Path:
    return next(Path(stage.path) for stage in result.stages if stage.name == name)


def encoded_files(result: BuildResult) -> list[str] | None:
    manifest = read_manifest(stage_path(result, "encoded"), EncodedFacts)
    assert manifest
    return manifest.config.get("only")


def test_a_run_trains_on_the_new_files_alone_and_goes_on_from_the_release(
    build: Build, folder: Path, news_file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = build("corpus.train_on=new")
    assert (first.outcome, first.version, first.files.version) == ("published", 1, None)
    assert encoded_files(first) is None  # there was nothing before: all files
    add_articles(folder, news_file, "5.txt", 200, 250)
    with caplog.at_level(logging.INFO):
        second = build("corpus.train_on=new")
    assert (second.outcome, second.version) == ("published", 2)
    assert second.files.new == ("5.txt",)
    assert encoded_files(second) == ["5.txt"]
    assert "5 files: 1 new, 0 changed, 0 gone since version 1 of news" in caplog.text
    assert "starting from v000001.duckdb (both matrices)" in caplog.text
    assert second.corpus_tokens < first.corpus_tokens / 2
    tokens = read_manifest(stage_path(second, "tokens"), TokensFacts)
    corpus = read_manifest(stage_path(second, "corpus"), CorpusFacts)
    assert tokens
    assert tokens.facts.new_files == 1
    assert corpus
    assert sorted(corpus.inputs) == ["0.txt", "1.txt", "2.txt", "3.txt", "5.txt"]
    # The counts are those of all text, old and new.
    before, after = (read_vocabulary(stage_path(result, "vocabulary")) for result in (first, second))
    assert after.counts.sum() > before.counts.sum()
    # So are the counts of PPMI.
    counted = read_manifest(stage_path(second, "cooccurrences"), CooccurrenceFacts)
    assert counted
    whole = read_manifest(tmp_path / "workspace" / "encoded" / counted.inputs["encoded"], EncodedFacts)
    assert whole
    assert "only" not in whole.config
    factors, passages = (read_optimizer(stage_path(second, "training"))[name] for name in PPMI_FACTORS)
    np.testing.assert_array_equal(passages, passage_vectors(EncodedCorpus(whole.path), after.counts, factors))


def test_nothing_new_is_nothing_to_do(build: Build, folder: Path, tmp_path: Path) -> None:
    build("corpus.train_on=new")
    release = (tmp_path / "workspace" / "tables" / "news.duckdb").read_bytes()
    for train_on in ("new", "all_if_changed"):
        again = build(f"corpus.train_on={train_on}")
        assert (again.outcome, again.published, again.version) == ("nothing to do", False, 1)
        assert "4 files: 0 new, 0 changed, 0 gone since version 1 of news" in again.message
        assert again.stages == []
    (folder / "3.txt").unlink()
    assert "1 gone" in build("corpus.train_on=new").message
    (folder / "empty.txt").touch()
    empty = build("corpus.train_on=new")
    assert empty.outcome == "nothing to do"
    assert "no word of the vocabulary in the 1 new file" in empty.message
    assert (tmp_path / "workspace" / "tables" / "news.duckdb").read_bytes() == release
    assert build("corpus.train_on=all_if_changed").version == 2  # a file is gone, so all others are trained


def test_a_bad_file_in_a_growing_folder_blocks_nothing_and_is_named(build: Build, folder: Path, tmp_path: Path) -> None:
    build("corpus.train_on=new", "corpus.on_bad_file=skip")
    (folder / "bad.txt").write_bytes("the police and the fire\n".encode("utf-16"))
    with pytest.raises(CorpusError, match=r"bad\.txt is UTF-16 text"):
        build("corpus.train_on=new")
    for _ in range(2):
        skipped = build("corpus.train_on=new", "corpus.on_bad_file=skip")
        assert (skipped.outcome, list(skipped.files.skipped)) == ("nothing to do", ["bad.txt"])
    (folder / "bad.txt").write_text("the police and the fire and the police\n" * 9)
    mended = build("corpus.train_on=new", "corpus.on_bad_file=skip")
    assert (mended.outcome, mended.files.new, mended.files.skipped) == ("published", ("bad.txt",), {})
    (folder / "worse.txt").write_bytes(b"\0" * 100)
    everything = build("corpus.train_on=all", "corpus.on_bad_file=skip", "training.seed=7")
    assert everything.outcome == "published"
    assert "1 unreadable and skipped: worse.txt" in summary_markdown(everything)
    release = current_release(Workspace(tmp_path / "workspace"), "news")
    assert release
    assert release.row.corpus_source.endswith(", without 1 unreadable: worse.txt")


def test_the_run_is_completed_under_its_generated_name(folder: Path, tmp_path: Path, build: Build) -> None:
    build()
    parameters = build_parameters(find_deployment("adhoc"), [f"corpus.path={folder}", *SMALL, "corpus.train_on=new"])
    sections = {name: getattr(parameters, name) for name in type(parameters).model_fields}
    state = build_word_vectors(**sections, workspace=str(tmp_path / "workspace"), return_state=True)
    assert state.is_completed()
    assert state.name == "NothingToDo"
    assert "nothing to do: 4 files" in str(state.message)


def test_a_changed_file_is_new_text_and_a_renamed_one_is_not(build: Build, folder: Path) -> None:
    build("corpus.train_on=new")
    (folder / "0.txt").rename(folder / "9.txt")
    assert build("corpus.train_on=new").outcome == "nothing to do"
    with (folder / "9.txt").open("a") as file:
        file.write("one more article about the police and the fire\n")
    shutil.copy(folder / "1.txt", folder / "copy.txt")
    changed = build("corpus.train_on=new")
    assert changed.outcome == "published"
    assert (changed.files.new, changed.files.changed, changed.files.gone) == (("9.txt",), (), ("0.txt",))
    assert encoded_files(changed) == ["9.txt"]


@pytest.mark.long
def test_a_refused_run_has_not_been_seen(build: Build, folder: Path, news_file: Path, tmp_path: Path) -> None:
    build("corpus.train_on=new")
    add_articles(folder, news_file, "5.txt", 200, 250)
    for _ in range(2):
        with pytest.raises(GateRefusedError):
            build("corpus.train_on=new", "publication.gates.wordsim353.minimum=0.99")
    release = current_release(Workspace(tmp_path / "workspace"), "news")
    assert release
    assert release.version == 1
    assert build("corpus.train_on=new").version == 2


@pytest.mark.long
def test_a_corpus_that_grew_is_held_against_the_current_release(build: Build, folder: Path, news_file: Path) -> None:
    build()
    add_articles(folder, news_file, "5.txt", 200, 250)
    grown = build("publication.gates.wordsim353.max_drop=2")
    assert [verdict["previous"] is not None for verdict in grown.verdicts] == [True]
    for number in range(3):
        (folder / f"{number}.txt").unlink()
    other = build("publication.gates.wordsim353.max_drop=2")
    assert "another corpus" in other.verdicts[0]["note"]


def test_a_dry_run_reports_what_is_new(build: Build, folder: Path, news_file: Path, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")
    parameters = build_parameters(find_deployment("adhoc"), [f"corpus.path={folder}", *SMALL, "corpus.train_on=new"])
    assert str(plan_stages(parameters, workspace)[0]) == "4 files of text; news has no release yet"
    build("corpus.train_on=new")
    assert plan_stages(parameters, workspace)[1] == []
    add_articles(folder, news_file, "5.txt", 200, 250)
    arrivals, plan = plan_stages(parameters, workspace)
    assert arrivals.new == ("5.txt",)
    assert not any(step.reused for step in plan)
    assert [step.path for step in plan] == [stage.path for stage in build("corpus.train_on=new").stages[:-1]]


@pytest.mark.long
def test_files_without_a_record_are_new(
    build: Build, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    build()
    shutil.rmtree(tmp_path / "workspace" / "corpora")
    with caplog.at_level(logging.WARNING):
        again = build("corpus.train_on=new")
    assert again.outcome == "published"
    assert len(again.files.new) == 4
    assert "the files that news version 1 was trained on are unknown" in caplog.text
    other = build("corpus.train_on=new", "corpus.errors=replace")
    assert len(other.files.new) == 4
