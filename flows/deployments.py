"""The named configurations of prefect.yaml, and how settings of the command line are merged into them."""

import copy
import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from flows.deployment_file import PREFECT_YAML as PREFECT_YAML
from storage.errors import SettingsError
from tasks.corpus import CorpusConfig
from tasks.evaluation import EvaluationConfig
from tasks.publication_config import PublicationConfig, check_publication
from tasks.release_report import ReportConfig
from tasks.text.tokenizers import TokenizerConfig
from tasks.text.vocabulary import VocabularyConfig
from tasks.trainers.config import SkipGramConfig

BUILD_ENTRYPOINT = "flows.word_vectors.build_word_vectors"

Model = TypeVar("Model", bound=BaseModel)


class BuildParameters(BaseModel):
    """The parameters of `build_word_vectors`, checked before anything is started."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    corpus: CorpusConfig = CorpusConfig()
    tokenizer: TokenizerConfig = TokenizerConfig()
    vocabulary: VocabularyConfig = VocabularyConfig()
    skipgram: SkipGramConfig = SkipGramConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    publication: PublicationConfig = PublicationConfig()
    report: ReportConfig = ReportConfig()


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
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
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
    parameters = merge_settings(BuildParameters, deployment.parameters, assignments)
    check_publication(parameters.publication, parameters.evaluation)
    return parameters


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
        return model.model_validate(merged)
    except ValidationError as error:
        raise SettingsError("\n".join(_explained(problem, model) for problem in error.errors())) from error


def _parsed(assignment: str) -> tuple[str, Any]:
    name, equals, text = assignment.partition("=")
    if not equals or not name.strip():
        raise SettingsError(f"--set {assignment!r} is not of the form section.field=value, such as skipgram.epochs=3")
    try:
        return name.strip(), _value(text.strip())
    except yaml.YAMLError as error:
        raise SettingsError(f"--set {assignment!r}: the value is not valid YAML: {error}") from error


def _value(text: str) -> object:
    """Lists and mappings are YAML, `none` is no value; plain text is left for the setting's own type to read."""
    if text.lower() in ("none", "null", ""):
        return None
    return yaml.safe_load(text) if text[0] in "[{" else text


def _assign(parameters: dict[str, Any], name: str, value: object) -> None:
    """Set one nested field; a mapping is merged into a mapping."""
    *sections, field = name.split(".")
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
    name = ".".join(path)
    if problem["type"] == "extra_forbidden":
        known = _fields_of(path[:-1], root)
        where = f"{'.'.join(path[:-1])} has" if path[:-1] else "there are"
        return f"there is no setting {name}{_did_you_mean(path[-1], known)}; {where} {', '.join(known)}"
    given = problem.get("input")
    found = "" if isinstance(given, Mapping | BaseModel) else f" (found {given!r})"
    return f"{name}: {problem['msg'].removeprefix('Value error, ')}{found}"


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
