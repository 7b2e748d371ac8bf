"""A release is compared with the one before, and turned onto it or onto the reference where that is asked for."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from flows.runs.result import BuildResult
from storage.errors import GateRefusedError, ReferenceVectorsError, SettingsError
from storage.layout import Workspace
from storage.models.matrices import read_vectors
from storage.releases.reader import read_content
from storage.releases.records import read_release
from storage.releases.reports import report_file
from tasks.metrics.cosines import unit_rows
from tests.flows import builds
from tests.flows.builds import Build

pytestmark = pytest.mark.usefixtures("prefect_server")

SMALL = (
    "training.dimension=16", "training.epochs=2", "training.workers=1", "publication.table=news",
    "evaluation.reference=none", "report.map_words=50", "report.map_method=pca",
)  # fmt: skip


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("workspace"))


@pytest.fixture(scope="module")
def build(prefect_server: None, news_file: Path, workspace: Workspace) -> Build:
    return partial(builds.build, workspace.root, f"corpus.path={news_file}", *SMALL)


@pytest.fixture(scope="module")
def releases(build: Build) -> tuple[BuildResult, BuildResult]:
    """The first of its table, then another seed turned onto it."""
    first = build()
    return first, build("training.seed=2", "publication.align=previous")


def model_of(result: BuildResult) -> Path:
    (path,) = (Path(stage.path) for stage in result.stages if stage.name == "training")
    return path


def test_the_second_release_has_the_path_of_the_first(
    workspace: Workspace, releases: tuple[BuildResult, BuildResult]
) -> None:
    before = read_content(workspace.release_file("news", 1))
    after = read_content(workspace.release_file("news", 2))
    assert list(before.words) == list(after.words)
    metrics = {row.metric: row.value for row in after.evaluation}
    trained = unit_rows(read_vectors(model_of(releases[1]), "svd"))
    cosines = {
        "version_cosine": (after.vectors * before.vectors).sum(axis=1).mean(),
        "version_cosine_before": (trained * before.vectors).sum(axis=1).mean(),
    }
    assert cosines == pytest.approx({name: metrics[name] for name in cosines}, abs=1e-5)
    assert cosines["version_cosine"] > cosines["version_cosine_before"] + 0.2
    np.testing.assert_allclose(after.vectors @ after.vectors.T, trained @ trained.T, atol=1e-5)


def test_a_release_reports_what_changed(workspace: Workspace, releases: tuple[BuildResult, BuildResult]) -> None:
    first, second = releases
    assert "stability_overlap" not in first.metrics
    assert 0 < (second.metrics["stability_overlap"] or 0) < 1
    assert second.metrics["stability_overlap_coverage"] == 1
    assert (second.metrics["new_words"], second.metrics["lost_words"]) == (0, 0)
    release = workspace.release_file("news", 2)
    changed = [word for word in read_content(release).compared_words if word.compared_with == "version 1"]
    assert len(changed) == 50
    assert [word.overlap for word in changed] == sorted(word.overlap for word in changed)
    page = report_file(read_release(release)).read_text(encoding="utf-8")
    assert "Since version 1" in page
    assert all(word.word in page for word in changed)


def test_the_model_that_is_current_is_not_turned_again(build: Build, releases: tuple[BuildResult, BuildResult]) -> None:
    again = build("training.seed=2", "publication.align=previous")
    assert (again.version, again.published) == (2, False)


@pytest.mark.long
def test_stability_can_be_a_gate_which_the_first_release_passes(
    build: Build, releases: tuple[BuildResult, BuildResult]
) -> None:
    gate = "publication.gates.stability_overlap.minimum=0.99"
    first = build(gate, "publication.table=gated")
    assert first.published
    assert [verdict["note"] for verdict in first.verdicts] == ["not compared: the table has no release yet"]
    with pytest.raises(GateRefusedError, match=r"stability_overlap is 0\.\d+ .*below the minimum 0\.99"):
        build(gate, "publication.table=gated", "training.seed=2")


@pytest.mark.long
def test_another_dimension_starts_anew(build: Build) -> None:
    build("publication.table=wider")
    wider = build("publication.table=wider", "publication.align=previous", "training.dimension=20")
    assert wider.published
    assert "version_cosine" not in wider.metrics
    assert "stability_overlap" in wider.metrics


@pytest.mark.long
@pytest.mark.usefixtures("releases")
def test_a_release_is_turned_onto_the_reference(build: Build, workspace: Workspace) -> None:
    settings = ("publication.align=reference", f"evaluation.reference={workspace.release_file('news', 1, '.parquet')}")
    turned = build("publication.table=referred", "training.seed=2", *settings)
    assert (turned.metrics["reference_cosine"] or 0) > (turned.metrics["reference_cosine_before"] or 0) + 0.2
    assert build("publication.table=referred", "training.seed=2", *settings).published is False
    with pytest.raises(ReferenceVectorsError, match=r"vectors of 20 numbers .*set training\.dimension"):
        build("publication.table=referred", "training.dimension=20", *settings)


def test_without_a_reference_there_is_none_to_align_with(build: Build) -> None:
    with pytest.raises(SettingsError, match=r"publication\.align=reference needs evaluation\.reference"):
        build("publication.align=reference")
