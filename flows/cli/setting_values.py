"""The settings that `--set` can name, and values that it can offer for them."""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from storage.layout import Workspace
from storage.releases.querying import table_names
from tasks.parameters import BuildParameters


class Setting(NamedTuple):
    """A setting. annotation: its type.  default: None if it has none."""

    description: str
    annotation: Any
    default: object


def known_settings() -> dict[str, Setting]:
    """Dotted name -> setting, in the order of the sections; of all model families."""
    found: dict[str, Setting] = {}
    for section, field in BuildParameters.model_fields.items():
        for model in _models_in(field.annotation):
            for name, inner in model.model_fields.items():
                found.setdefault(f"{section}.{name}", _setting(inner))
    # The tag of each family is one value of the same setting.
    families = [model.model_fields["model"].default for model in _models_in(_annotation("training"))]
    found["training.model"] = found["training.model"]._replace(annotation=Literal[tuple(families)])
    return found


def values_of(name: str, settings: dict[str, Setting], workspace: Workspace) -> list[str]:
    """Values that a setting can have, if they can be listed; else its default."""
    if name == "publication.table":
        return table_names(workspace)
    if name == "corpus.name":
        # Deferred: only this setting needs it.
        from storage.corpus.named_corpora import CORPORA

        return list(CORPORA)
    if name not in settings:
        return []
    setting = settings[name]
    listed = list(dict.fromkeys(_listed(setting.annotation)))
    if listed:
        return listed
    simple = isinstance(setting.default, str | int | float)
    return [str(setting.default)] if simple else []


def _listed(annotation: object) -> Iterator[str]:
    if annotation is bool:
        yield from ("true", "false")
    elif get_origin(annotation) is Literal:
        yield from map(str, get_args(annotation))
    elif annotation is type(None):
        yield "none"
    else:
        parts = list(get_args(annotation))
        open_ended = any(part not in (bool, type(None)) and not list(_listed(part)) for part in parts)
        if not open_ended:
            for part in parts:
                yield from _listed(part)


def _annotation(section: str) -> object:
    return BuildParameters.model_fields[section].annotation


def _setting(field: FieldInfo) -> Setting:
    return Setting(field.description or "", field.annotation, None if field.is_required() else field.get_default())


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)
