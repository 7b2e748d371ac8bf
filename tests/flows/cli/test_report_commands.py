"""`vecmill report` and `vecmill plot` as a user types them, in the process of the test."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli.app import app
from storage.errors import SettingsError, VecmillError
from storage.layout import Workspace
from storage.releases.publishing import publish_release
from tests.storage.sample_releases import content


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    made = Workspace(tmp_path_factory.mktemp("workspace"))
    for seed in (1, 2):
        publish_release(made, "news", content(model_digest=f"model{seed}", seed=seed))
    return made


def vecmill(workspace: Workspace, *arguments: str) -> dict[str, object]:
    result = CliRunner().invoke(app, [*arguments, "--workspace", str(workspace.root), "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    printed: dict[str, object] = json.loads(result.stdout.splitlines()[-1])
    return printed


def test_the_report_of_the_current_release_is_next_to_it(workspace: Workspace) -> None:
    reported = vecmill(workspace, "report", "news", "--method", "pca")
    path = workspace.release_file("news", 2, ".report.html")
    assert (reported["version"], reported["path"], reported["size"]) == (2, str(path), path.stat().st_size)
    assert "Version 2" in path.read_text(encoding="utf-8")


def test_an_older_release_is_reported_into_a_file_of_ones_own(workspace: Workspace, tmp_path: Path) -> None:
    target = tmp_path / "mine.html"
    reported = vecmill(
        workspace, "report", "news", "--version", "1", "--map-words", "20", "--method", "pca", "-o", str(target)
    )
    assert reported["version"] == 1
    assert "Version 1" in target.read_text(encoding="utf-8")
    assert not workspace.release_file("news", 1, ".report.html").exists()


def test_words_are_drawn_as_png_and_svg(workspace: Workspace, tmp_path: Path) -> None:
    words = ("--words", "word1, word2 ,nothing", "--words", "word4 word5")
    reported = vecmill(workspace, "plot", "news", *words, "--method", "pca", "-o", str(tmp_path / "words.png"))
    assert (reported["words"], reported["unknown"]) == (4, ["nothing"])
    assert (tmp_path / "words.png").read_bytes().startswith(b"\x89PNG")
    vecmill(workspace, "plot", "news", "--words", "word1", "-o", str(tmp_path / "words.SVG"))
    assert b">word1</text>" in (tmp_path / "words.SVG").read_bytes()


def test_groups_have_a_legend_and_missing_words_are_named(workspace: Workspace, tmp_path: Path) -> None:
    file = tmp_path / "groups.txt"
    file.write_text("# tens\n_tens: word10, word20, nothing\n\ncosts $: word7\n")
    groups = ("--groups", str(file), "--groups", "ones: word1 word2", "--words", "word5, absent")
    target = tmp_path / "groups.svg"
    reported = vecmill(workspace, "plot", "news", *groups, "--method", "pca", "-o", str(target))
    assert (reported["words"], reported["unknown"]) == (6, ["nothing", "absent"])
    picture = target.read_text()
    for text in ("_tens<", "costs $<", "ones<", "other words<", "not in news: nothing, absent<"):
        assert text in picture
    reported = vecmill(workspace, "plot", "news", *groups[:4], "--neighbors", "2", "-o", str(target))
    assert reported["words"] > 5  # type: ignore[operator]
    assert "other words" not in target.read_text()


def test_learning_curves_are_drawn_into_the_current_folder(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    vecmill(workspace, "plot", "news", "--curves")
    assert (tmp_path / "news.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["report", "other"], VecmillError, "no table 'other'"),
        (["report", "news", "--version", "7"], VecmillError, "the versions are 1, 2"),
        (
            ["report", "news", "-o", "/no/such/folder/report.html", "--method", "pca"],
            VecmillError,
            "the folder /no/such",
        ),
        (["plot", "news"], SettingsError, "no words to plot"),
        (["plot", "news", "--words", "word1", "-o", "words.gif"], SettingsError, r"\.png or \.svg"),
        (["plot", "news", "--words", "w " * 501], SettingsError, "501 words are too many"),
        (["plot", "news", "--groups", "word1 word2"], SettingsError, "'word1 word2' is neither 'NAME: word, word'"),
        (["plot", "news", "--groups", "empty: "], SettingsError, "is neither"),
        (["plot", "news", "--words", "nothing"], VecmillError, "holds none of the 1 words"),
    ],
)
def test_what_cannot_be_drawn_is_reported(
    workspace: Workspace, arguments: list[str], error: type[VecmillError], message: str
) -> None:
    with pytest.raises(error, match=message):
        CliRunner().invoke(app, [*arguments, "--workspace", str(workspace.root)], catch_exceptions=False)
