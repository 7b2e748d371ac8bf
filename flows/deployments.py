"""Deployments from prefect.yaml, merged with settings from the command line."""

import copy
import difflib
import inspect
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from flows.deployment_file import PREFECT_YAML as PREFECT_YAML
from flows.deployment_file import Deployment as Deployment
from flows.deployment_file import project_file
from flows.deployment_file import read_deployments as read_deployments
from storage.errors import SettingsError
from storage.redaction import redacted
from tasks.corpus import check_source
from tasks.corpus_config import remember_credentials
from tasks.evaluation import EvaluationConfig
from tasks.parameters import BuildParameters as BuildParameters
from tasks.publication_config import PublicationConfig, check_publication
from tasks.tokenizing import check_tokenizer
from tasks.trainers.config import FAMILIES

# Former name of a section or setting -> current name.
RENAMED = {"skipgram.architecture": "training.model", "training.architecture": "training.model", "skipgram": "training"}
BUILD_ENTRYPOINT = "flows.word_vectors.build_word_vectors"

LONGEST_SHOWN = 200
DEEPEST_SETTING = 10

Model = TypeVar("Model", bound=BaseModel)


def find_deployment(name: str) -> Deployment:
    """Look up a deployment by name. Raises SettingsError that lists the known deployments."""
    deployments = read_deployments()
    if name not in deployments:
        raise SettingsError(
            f"no deployment {name!r} in {project_file()}{_did_you_mean(name, deployments)}; "
            f"available: {', '.join(deployments)}"
        )
    return deployments[name]


def build_parameters(deployment: Deployment, assignments: Iterable[str] = ()) -> BuildParameters:
    """Validated build parameters: those of a deployment with `--set section.field=value` merged in.

    Raises SettingsError, which names the setting, the problem and the remedy, for invalid settings and for a
    deployment that does not build a table.
    """
    if deployment.entrypoint != BUILD_ENTRYPOINT:
        raise SettingsError(
            f"{deployment.name} does not build a table; run it on a server with `vecmill run {deployment.name}`, or "
            "see `vecmill --help` for the local commands"
        )
    assignments = list(assignments)
    corpus = deployment.parameters.get("corpus") or {}
    if corpus.get("source") == "files" and not corpus.get("path") and not any(_names_a_corpus(a) for a in assignments):
        # Mistakes in other settings first, which would surface only after the corpus is named.
        others = {name: value for name, value in deployment.parameters.items() if name != "corpus"}
        merge_settings(BuildParameters, others, assignments)
        raise SettingsError(f"{deployment.name} needs a corpus: add --set corpus.path=FILE, FOLDER or GLOB")
    parameters = merge_settings(BuildParameters, deployment.parameters, assignments)
    check_publication(parameters.publication, parameters.evaluation, parameters.measured_metrics)
    return parameters


def check_paths(parameters: BuildParameters) -> None:
    """Check corpus and tokenizer before anything slow starts. Raises the error that the run would."""
    check_source(parameters.corpus)
    check_tokenizer(parameters.tokenizer)


def deployed_table(table: str) -> tuple[PublicationConfig, EvaluationConfig] | None:
    """Publication and evaluation settings of the deployment that publishes a table, or None."""
    for deployment in read_deployments().values():
        publication = deployment.parameters.get("publication") or {}
        if deployment.entrypoint == BUILD_ENTRYPOINT and publication.get("table") == table:
            evaluation = deployment.parameters.get("evaluation") or {}
            return PublicationConfig.model_validate(publication), EvaluationConfig.model_validate(evaluation)
    return None


# Settings that choose a corpus.
CORPUS_SETTINGS = ("corpus", "corpus.name", "corpus.path", "corpus.query", "corpus.source", "corpus.package")


def _names_a_corpus(assignment: str) -> bool:
    return assignment.partition("=")[0].strip() in CORPUS_SETTINGS


def parameters_of(entrypoint: str) -> type[BaseModel]:
    """Parameters of a flow as one pydantic model that rejects unknown names."""
    module, _, name = entrypoint.rpartition(".")
    signature = inspect.signature(getattr(import_module(module), name).fn)
    fields: dict[str, Any] = {
        parameter.name: (parameter.annotation, ... if parameter.default is parameter.empty else parameter.default)
        for parameter in signature.parameters.values()
    }
    return create_model(name, __config__=ConfigDict(frozen=True, extra="forbid"), **fields)


def merge_settings(model: type[Model], parameters: Mapping[str, Any], assignments: Iterable[str]) -> Model:
    """Merge `--set section.field=value` into parameters and validate the result.

    `corpus.source=package`, `corpus.name` or `corpus.query` on its own clears the deployment's `corpus.path`, which
    would imply files or name a database; `corpus.path` clears `corpus.name`.
    Raises SettingsError, which names the setting, the problem and the remedy.
    """
    overrides = [_parsed(assignment) for assignment in assignments]
    names = [name for name, _ in overrides]
    others = {"corpus.name", "corpus.query"}.intersection(names)
    if (("corpus.source", "package") in overrides or others) and "corpus.path" not in names:
        overrides.append(("corpus.path", None))
    if "corpus.path" in names and "corpus.name" not in names:
        overrides.append(("corpus.name", None))
    merged: dict[str, Any] = copy.deepcopy(dict(parameters))
    for name, value in overrides:
        _assign(merged, name, value)
    try:
        # Prefect stores the parameters of every run in its database, so credentials in addresses stay in this process.
        remember_credentials(merged.get("corpus"))
        return model.model_validate(redacted(merged))
    except ValidationError as error:
        raise SettingsError("\n".join(_explained(problem, model) for problem in error.errors())) from error


def _parsed(assignment: str) -> tuple[str, Any]:
    name, equals, text = assignment.partition("=")
    if not equals or not name.strip():
        raise SettingsError(
            f"--set {_short(assignment)} is not of the form section.field=value, e.g. training.epochs=3"
        )
    try:
        return name.strip(), _value(text.strip())
    except RecursionError as error:
        raise SettingsError(f"--set {_short(assignment)}: the value is nested too deeply") from error
    except (yaml.YAMLError, ValueError) as error:
        raise SettingsError(f"--set {_short(assignment)}: the value is not valid YAML: {error}") from error


def _value(text: str) -> object:
    """Parse lists and mappings as YAML and `none` as None; leave plain text to the type of the setting."""
    if text.lower() in ("none", "null", ""):
        return None
    return yaml.safe_load(text) if text[0] in "[{" else text


def _assign(parameters: dict[str, Any], name: str, value: object) -> None:
    """Set one nested field; mappings are merged."""
    *sections, field = name.split(".")
    if len(sections) > DEEPEST_SETTING:
        raise SettingsError(f"--set {_short(name)} is nested {len(sections)} levels deep; no setting is")
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
    """Format one pydantic error as a sentence that names the setting and the remedy."""
    path = [str(part) for part in problem["loc"]]
    family = path.pop(1) if path[0] == "training" and len(path) > 1 and path[1] in FAMILIES else None
    name = ".".join(path)
    if problem["type"] == "union_tag_invalid":
        model = str(problem["ctx"]["tag"])
        close = _did_you_mean(model, FAMILIES)
        return f"{name}.model: unknown model {_short(model)}{close}; use {', '.join(FAMILIES)}"
    if problem["type"] == "extra_forbidden":
        if renamed := _renamed(name, problem["input"]):
            return renamed
        if family:
            return _of_another_family(path[-1], family)
        known = _fields_of(path[:-1], root)
        where = f"{'.'.join(path[:-1])} has" if path[:-1] else "available:"
        return f"unknown setting {name}{_did_you_mean(path[-1], known)}; {where} {', '.join(known)}"
    given = problem.get("input")
    found = "" if isinstance(given, Mapping | BaseModel) else f" (found {_short(given)})"
    return f"{name}: {problem['msg'].removeprefix('Value error, ')}{found}"


def _renamed(name: str, value: object) -> str | None:
    """Message for a renamed setting, or None."""
    if name == "skipgram" and isinstance(value, Mapping) and len(value) == 1:
        name = f"skipgram.{next(iter(value))}"
    for former, now in RENAMED.items():
        if name == former:
            return f"{former} is now called {now}"
        if name.startswith(f"{former}."):
            return f"{former} is now called {now}: use {now}{name.removeprefix(former)}"
    return None


def _of_another_family(field: str, family: str) -> str:
    """Message for a field that a model family lacks: the families that have it, or the closest match."""
    owners = [name for name, model in FAMILIES.items() if field in model.model_fields]
    if owners:
        return f"training.{field}: {family} has no such setting; it is a setting of {', '.join(owners)}"
    known = list(FAMILIES[family].model_fields)
    return f"unknown setting training.{field}{_did_you_mean(field, known)}; {family} has {', '.join(known)}"


def _short(value: object) -> str:
    try:
        text = repr(value)
    except RecursionError:
        return "a deeply nested value"
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 1]}…"


def _fields_of(path: list[str], root: type[BaseModel]) -> list[str]:
    """Field names at a path of sections."""
    model: type[BaseModel] | None = root
    for part in path:
        field = model.model_fields.get(part) if model else None
        found = list(_models_in(field.annotation)) if field else []
        # Below a mapping such as publication.gates, the next part is a key and the model stays the same.
        model = found[0] if found else model
    return list(model.model_fields) if model else []


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    """All models in an annotation, at any depth."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
