"""`vecmill init` starts a project, and commands use the prefect.yaml of the project that they run in."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from flows.cli.project_files import create_project
from flows.deployment_file import PREFECT_YAML, PROJECT_VARIABLE, deployment_names, project_file, read_deployments
from flows.deployments import build_parameters
from storage.errors import SettingsError


def vecmill(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flows", *arguments]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env=os.environ | {"COLUMNS": "200"}
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose texts are there."""
    folder = tmp_path / "Our reviews!"
    create_project(folder)
    (folder / "texts").mkdir()
    (folder / "texts/first.txt").write_text("a dull film\n" * 20)
    return folder


def test_a_new_project_has_one_deployment_that_can_be_built(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sorted(path.name for path in project.iterdir() if path.is_file()) == [
        ".gitignore",
        "README.md",
        "prefect.yaml",
    ]
    monkeypatch.chdir(project)
    assert project_file() == project / "prefect.yaml"
    assert deployment_names() == ["Our-reviews"]
    parameters = build_parameters(read_deployments()["Our-reviews"])
    assert (parameters.publication.table, parameters.corpus.path) == ("Our-reviews", "texts")
    shipped = yaml.safe_load(PREFECT_YAML.read_text())["deployments"][0]
    own = yaml.safe_load((project / "prefect.yaml").read_text())["deployments"][0]
    for key in ("entrypoint", "work_pool", "concurrency_limit", "tags"):
        assert own[key] == shipped[key]
    assert len((project / "README.md").read_text().splitlines()) == 5


def test_commented_settings_of_a_new_project_are_valid(project: Path) -> None:
    path = project / "prefect.yaml"
    text = re.sub(r"^( +)# ((?:  )*[a-z0-9_]+:.*)$", r"\1\2", path.read_text(), flags=re.MULTILINE)
    path.write_text(text.replace("    # - slug", "    - slug").replace("    #   - slug", "      - slug"))
    (deployment,) = read_deployments(path).values()
    parameters = build_parameters(deployment)
    gate = parameters.publication.gates["wordsim353"]
    assert gate is not None
    assert gate.minimum == 0.3
    assert parameters.corpus.text_column == "text"


def test_init_overwrites_nothing(project: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"prefect.yaml already exists"):
        create_project(project)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/README.md").write_text("mine")
    with pytest.raises(SettingsError, match=r"README.md already exists"):
        create_project(tmp_path / "taken")
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["README.md"]
    with pytest.raises(SettingsError, match="not a valid table name"):
        create_project(tmp_path / "new", name="a table")
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot be created"):
        create_project(tmp_path / "file/project")


def test_commands_use_the_project_of_their_folder_and_say_so(project: Path, tmp_path: Path) -> None:
    inside = vecmill("list", "--json", folder=project)
    assert [deployment["name"] for deployment in json.loads(inside.stdout)] == ["Our-reviews"]
    assert f"using {project / 'prefect.yaml'}" in inside.stderr
    named = vecmill("list", "--json", "--project", str(project), folder=tmp_path)
    assert named.stdout == inside.stdout
    outside = vecmill("list", "--json", folder=tmp_path)
    assert "movie-reviews" in outside.stdout
    assert outside.stderr == ""


def test_a_named_project_finds_its_text_from_another_folder(project: Path, tmp_path: Path) -> None:
    found = vecmill("build", "Our-reviews", "--project", project.name, "--dry-run", "--json", folder=tmp_path)
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)[0]["name"] == "corpus"
    described = vecmill("corpus", str(project / "texts"), "--project", project.name, "--json", folder=tmp_path)
    assert json.loads(described.stdout)["documents"] == 20


def test_a_project_without_a_file_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PROJECT_VARIABLE, str(tmp_path))
    with pytest.raises(SettingsError, match=r"no file .*prefect.yaml; create one with `vecmill init"):
        project_file()
    assert deployment_names() == []


@pytest.mark.long
def test_a_new_project_is_built(project: Path, news_file: Path) -> None:
    (project / "texts/first.txt").write_bytes(news_file.read_bytes())
    quick = ["--set", "training.epochs=1", "--set", "training.dimension=16", "--set", "evaluation.reference=none"]
    built = vecmill("build", "Our-reviews", *quick, "--json", folder=project)
    assert built.returncode == 0, built.stderr
    assert (project / "workspace/tables/Our-reviews.duckdb").is_file()
