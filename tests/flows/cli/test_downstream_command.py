"""The reviews are classified by the vectors of a release, those of the whole text or of a part of it alone."""

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from matplotlib.image import imread
from typer.testing import CliRunner

import tasks.downstream
from flows.cli.app import app
from storage.corpus.labelled_texts import LabelledTexts, read_labelled_reviews
from storage.layout import Workspace
from storage.releases.publishing import publish_release
from tests.storage.sample_releases import content


def test_the_reviews_come_with_as_many_good_as_bad() -> None:
    reviews = read_labelled_reviews()
    assert (len(reviews.texts), int(reviews.labels.sum())) == (33_530, 16_765)
    assert not any("<br />" in text for text in reviews.texts.to_pylist())


@pytest.mark.long
@pytest.mark.parametrize(
    ("own", "unseen", "message"),
    [
        (True, False, "the vectors were trained on all reviews"),
        (False, False, "the vectors were trained on a test"),
        (True, True, "without the held-out ones"),
    ],
)
def test_the_command_reports_accuracy_and_curves(
    own: bool, unseen: bool, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = read_labelled_reviews()
    few = LabelledTexts(pa.array(every.texts.to_pylist()[::50]), every.labels[::50], every.source)
    monkeypatch.setattr("tasks.downstream.read_labelled_reviews", lambda: few)
    monkeypatch.setitem(tasks.downstream.LONGEST_TEXT, "transformer", 8)
    release = content(["the", "good", "bad", "great", "awful", "film", "movie", "best", "worst", "and"])
    if own:
        release = replace(release, provenance=release.provenance.model_copy(update={"corpus_source": every.source}))
    publish_release(Workspace(tmp_path), "news", release)
    networks = ["--network", "mean", "--network", "transformer"]
    options = ["--workspace", str(tmp_path), "--epochs", "1", *networks, *(["--unseen"] if unseen else [])]
    printed = CliRunner().invoke(app, ["downstream", "news", *options, "--json"])
    assert printed.exit_code == 0, printed.output
    result = json.loads(printed.stdout.splitlines()[-1])
    assert [(score["start"], score["positions"]) for score in result["scores"]] == [
        ("frozen", None), ("fine-tuned", None), ("random", None),
        ("fine-tuned", "none"), ("fine-tuned", "fixed"), ("fine-tuned", "learned"),
    ]  # fmt: skip
    assert all(0.3 < score["accuracy"] < 0.9 and len(score["curve"]) == 1 for score in result["scores"])
    assert (result["seen"], sum(result["texts"])) == (own and not unseen, len(few.labels))
    picture = tmp_path / "curves.png"
    drawn = CliRunner().invoke(app, ["downstream", "news", *options, "-o", str(picture)])
    assert drawn.exit_code == 0, drawn.output
    height, width, _ = imread(picture).shape
    assert min(height, width) > 200
    shown = drawn.stdout
    assert message in shown
    assert "validation accuracy" in shown
    assert "no positions" in " ".join(shown.split())
