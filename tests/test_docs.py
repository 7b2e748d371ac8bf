"""What the documents name exists: settings with their defaults, paths, commands and make targets."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from flows.cli.app import app
from flows.deployments import BuildParameters, build_parameters, find_deployment
from tasks.trainers.config import DistilledConfig, FastTextConfig, GloveConfig, TrainerConfig

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
SETTINGS_PAGE = (ROOT / "docs/settings.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("section", list(BuildParameters.model_fields))
def test_the_settings_page_names_every_setting_with_its_default(section: str) -> None:
    defaults = getattr(BuildParameters(), section).model_dump()
    listed = dict(re.findall(rf"^\| `{section}\.(\w+)` \| (.*?) \|", SETTINGS_PAGE, re.MULTILINE))
    assert listed == {name: f"`{value}`" if value not in (None, {}) else "none" for name, value in defaults.items()}


@pytest.mark.parametrize(
    ("family", "heading"),
    [(GloveConfig, "### GloVe"), (FastTextConfig, "### fastText"), (DistilledConfig, "### Encoders")],
)
def test_the_settings_page_names_the_settings_of_a_family(family: type[TrainerConfig], heading: str) -> None:
    table = SETTINGS_PAGE.split(heading)[1].split("\n##")[0]
    listed = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", table, re.MULTILINE))
    fields = {name: field.default for name, field in family.model_fields.items()}
    as_above = {name: value for name, value in fields.items() if name not in listed}
    assert listed == {name: f"`{fields[name]}`" if fields[name] is not None else "none" for name in listed}
    assert all(f"`{name}`" in table for name in as_above)


def test_the_index_of_the_docs_links_every_page() -> None:
    index = ROOT / "docs/README.md"
    links = set(re.findall(r"\]\(([^)#:/]+)\)", index.read_text(encoding="utf-8")))
    assert {path.name for path in (ROOT / "docs").iterdir() if path.suffix in (".md", ".ipynb")} <= links | {index.name}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_set_on_a_page_can_be_set(page: Path) -> None:
    for line in page.read_text(encoding="utf-8").splitlines():
        # Those of one command belong together: compute.engine=dask needs compute.address.
        if assignments := re.findall(r"--set '?([a-z0-9_.]+=[^\s`'\"]+)", line):
            build_parameters(find_deployment("movie-reviews"), assignments)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_on_a_page_exists(page: Path) -> None:
    known = set(get_command(app).commands)  # type: ignore[attr-defined]
    used = set(re.findall(r"^(?:\.venv/bin/)?vecmill ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE))
    assert used <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_and_path_on_a_page_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"^make ([a-z0-9-]+)", text, re.MULTILINE)) <= targets
    for path in re.findall(r"`((?:flows|tasks|storage|tests|benchmarks|docs)/[\w./]*)`", text):
        assert (ROOT / path).exists(), path
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (page.parent / link).exists(), link
