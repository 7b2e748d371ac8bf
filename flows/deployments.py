"""The named configurations of prefect.yaml, and how settings of the command line are merged into them."""

import copy
import difflib
import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from flows.deployment_file import PREFECT_YAML as PREFECT_YAML
from storage.errors import SettingsError
from storage.redaction import redacted
from tasks.corpus import check_source
from tasks.evaluation import EvaluationConfig
from tasks.parameters import BuildParameters as BuildParameters
from tasks.publication_config import PublicationConfig, check_publication
from tasks.trainers.config import FAMILIES

# Former name of a section or setting -> its name now.
RENAMED = {"skipgram.architecture": "training.model", "training.architecture": "training.model", "skipgram": "training"}
BUILD_ENTRYPOINT = "flows.word_vectors.build_word_vectors"

LONGEST_SHOWN = 200
DEEPEST_SETTING = 10

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Deployment:
    """One entry of prefect.yaml."""

    name: str
    description: str
    entrypoint: str
    parameters: Mapping[str, Any]
    schedules: tuple[str, ...]


def read_deployments(path: Path = PREFECT_YAML) -> dict[str, Deployment]:
    """Every deployment by name, in the order of the file. Raises SettingsError if the file cannot be used."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return {
            entry["name"]: Deployment(
                name=entry["name"],
                description=entry.get("description", ""),
                entrypoint=entry["entrypoint"],
                parameters=entry.get("parameters") or {},
                schedules=tuple(f"{s['cron']} {s.get('timezone', 'UTC')}" for s in entry.get("schedules") or ()),
            )
            for entry in content["deployments"]
        }
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise SettingsError(f"{path} cannot be read as a list of deployments: {error!r}; mend or restore it") from error


def find_deployment(name: str) -> Deployment:
    """The deployment of that name. Raises SettingsError that names those there are."""
    deployments = read_deployments()
    if name not in deployments:
        raise SettingsError(
            f"there is no deployment {name!r} in {PREFECT_YAML}{_did_you_mean(name, deployments)}; "
            f"there are {', '.join(deployments)}"
        )
    return deployments[name]


def build_parameters(deployment: Deployment, assignments: Iterable[str] = ()) -> BuildParameters:
    """The parameters of a build: a deployment's, with `--set section.field=value` merged into them, checked.

    Raises SettingsError that names the setting, what is wrong with it and what would be right, or that the deployment
    builds no table.
    """
    if deployment.entrypoint != BUILD_ENTRYPOINT:
        raise SettingsError(
            f"{deployment.name} builds no table; `vecmill run {deployment.name}` runs it on a server, and "
            "`vecmill --help` shows the commands for here and now"
        )
    assignments = list(assignments)
    corpus = deployment.parameters.get("corpus") or {}
    if corpus.get("source") == "files" and not corpus.get("path") and not any(_names_a_corpus(a) for a in assignments):
        # Mistakes in other settings first, which would surface only after the corpus is named.
        others = {name: value for name, value in deployment.parameters.items() if name != "corpus"}
        merge_settings(BuildParameters, others, assignments)
        raise SettingsError(f"{deployment.name} needs a corpus: add --set corpus.path=FILE, FOLDER or GLOB")
    parameters = merge_settings(BuildParameters, deployment.parameters, assignments)
    check_publication(parameters.publication, parameters.evaluation)
    return parameters


def check_paths(parameters: BuildParameters) -> None:
    """Look for the corpus before anything slow starts. Raises CorpusError or NotAllowedError as the run would."""
    check_source(parameters.corpus)


def deployed_table(table: str) -> tuple[PublicationConfig, EvaluationConfig] | None:
    """The publication and evaluation settings of the deployment that publishes a table, None if there is none."""
    for deployment in read_deployments().values():
        publication = deployment.parameters.get("publication") or {}
        if deployment.entrypoint == BUILD_ENTRYPOINT and publication.get("table") == table:
            evaluation = deployment.parameters.get("evaluation") or {}
            return PublicationConfig.model_validate(publication), EvaluationConfig.model_validate(evaluation)
    return None


def _names_a_corpus(assignment: str) -> bool:
    return assignment.partition("=")[0].strip() in ("corpus", "corpus.path", "corpus.source", "corpus.package")


def parameters_of(entrypoint: str) -> type[BaseModel]:
    """The parameters of a flow, as one model that refuses what the flow does not take."""
    module, _, name = entrypoint.rpartition(".")
    signature = inspect.signature(getattr(import_module(module), name).fn)
    fields: dict[str, Any] = {
        parameter.name: (parameter.annotation, ... if parameter.default is parameter.empty else parameter.default)
        for parameter in signature.parameters.values()
    }
    return create_model(name, __config__=ConfigDict(frozen=True, extra="forbid"), **fields)


def merge_settings(model: type[Model], parameters: Mapping[str, Any], assignments: Iterable[str]) -> Model:
    """Parameters with `--set section.field=value` merged into them, as the model of all of them.

    `corpus.source=package` alone takes back a `corpus.path` of the deployment, which would imply files.
    Raises SettingsError that names the setting, what is wrong with it and what would be right.
    """
    overrides = [_parsed(assignment) for assignment in assignments]
    names = [name for name, _ in overrides]
    if ("corpus.source", "package") in overrides and "corpus.path" not in names:
        overrides.append(("corpus.path", None))
    merged: dict[str, Any] = copy.deepcopy(dict(parameters))
    for name, value in overrides:
        _assign(merged, name, value)
    try:
        # Prefect keeps the parameters of every run in its database; files are read from paths, so nothing needs these.
        return model.model_validate(redacted(merged))
    except ValidationError as error:
        raise SettingsError("\n".join(_explained(problem, model) for problem in error.errors())) from error


def _parsed(assignment: str) -> tuple[str, Any]:
    name, equals, text = assignment.partition("=")
    if not equals or not name.strip():
        raise SettingsError(
            f"--set {_short(assignment)} is not of the form section.field=value, such as training.epochs=3"
        )
    try:
        return name.strip(), _value(text.strip())
    except RecursionError as error:
        raise SettingsError(f"--set {_short(assignment)}: the value is nested too deeply") from error
    except (yaml.YAMLError, ValueError) as error:
        raise SettingsError(f"--set {_short(assignment)}: the value is not valid YAML: {error}") from error


def _value(text: str) -> object:
    """Lists and mappings are YAML, `none` is no value; plain text is left for the setting's own type to read."""
    if text.lower() in ("none", "null", ""):
        return None
    return yaml.safe_load(text) if text[0] in "[{" else text


def _assign(parameters: dict[str, Any], name: str, value: object) -> None:
    """Set one nested field; a mapping is merged into a mapping."""
    *sections, field = name.split(".")
    if len(sections) > DEEPEST_SETTING:
        raise SettingsError(f"--set {_short(name)} is nested {len(sections)} deep; no setting is")
    target = parameters
    for depth, section in enumerate(sections, 1):
        target = target.setdefault(section, {})
        if not isinstance(target, dict):
            raise SettingsError(f"--set {name}: {'.'.join(sections[:depth])} is a value and has no fields")
    if isinstance(value, dict) and isinstance(target.get(field), dict):
        for key, inner in value.items():
            _assign(target[field], str(key), inner)
    else:
        target[field] = value


def _explained(problem: Mapping[str, Any], root: type[BaseModel]) -> str:
    """One problem that pydantic found, as a sentence that names the setting and the remedy."""
    path = [str(part) for part in problem["loc"]]
    family = path.pop(1) if path[0] == "training" and len(path) > 1 and path[1] in FAMILIES else None
    name = ".".join(path)
    if problem["type"] == "union_tag_invalid":
        model = str(problem["ctx"]["tag"])
        close = _did_you_mean(model, FAMILIES)
        return f"{name}.model: there is no model {_short(model)}{close}; use {', '.join(FAMILIES)}"
    if problem["type"] == "extra_forbidden":
        if renamed := _renamed(name, problem["input"]):
            return renamed
        if family:
            return _of_another_family(path[-1], family)
        known = _fields_of(path[:-1], root)
        where = f"{'.'.join(path[:-1])} has" if path[:-1] else "there are"
        return f"there is no setting {name}{_did_you_mean(path[-1], known)}; {where} {', '.join(known)}"
    given = problem.get("input")
    found = "" if isinstance(given, Mapping | BaseModel) else f" (found {_short(given)})"
    return f"{name}: {problem['msg'].removeprefix('Value error, ')}{found}"


def _renamed(name: str, value: object) -> str | None:
    """What a setting is called now, None if it was not renamed."""
    if name == "skipgram" and isinstance(value, Mapping) and len(value) == 1:
        name = f"skipgram.{next(iter(value))}"
    for former, now in RENAMED.items():
        if name == former:
            return f"{former} is now called {now}"
        if name.startswith(f"{former}."):
            return f"{former} is now called {now}: use {now}{name.removeprefix(former)}"
    return None


def _of_another_family(field: str, family: str) -> str:
    """A field that a model family does not have: the families that have it, or what comes closest."""
    owners = [name for name, model in FAMILIES.items() if field in model.model_fields]
    if owners:
        return f"training.{field}: {family} has no such setting; {' and '.join(owners)} has it"
    known = list(FAMILIES[family].model_fields)
    return f"there is no setting training.{field}{_did_you_mean(field, known)}; {family} has {', '.join(known)}"


def _short(value: object) -> str:
    try:
        text = repr(value)
    except RecursionError:
        return "a deeply nested value"
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 1]}…"


def _fields_of(path: list[str], root: type[BaseModel]) -> list[str]:
    """Names of the fields at a path of sections."""
    model: type[BaseModel] | None = root
    for part in path:
        field = model.model_fields.get(part) if model else None
        found = list(_models_in(field.annotation)) if field else []
        # Below a mapping such as publication.gates, the part after it is a key and the model stays.
        model = found[0] if found else model
    return list(model.model_fields) if model else []


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    """The models that an annotation names, at whatever depth."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
