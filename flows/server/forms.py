"""The form of a deployment in Prefect's UI: sections with names, visible ranges, and rare settings left out."""

import copy
from collections.abc import Mapping
from typing import Any

# Section -> its heading.
HEADINGS = {
    "corpus": "Corpus",
    "training": "Training",
    "publication": "Table and gates",
    "vocabulary": "Vocabulary",
    "tokenizer": "Tokenizer",
    "evaluation": "Evaluation",
    "documents": "Document vectors",
    "report": "Report",
    "compute": "Compute",
    "workspace": "Workspace",
}
# Model of a section -> the fields of its form. Others are set in prefect.yaml, with --set, or as JSON.
COMMON = {
    "CorpusConfig": {"source", "package", "path", "name", "format", "text_column", "train_on"},
    "TokenizerConfig": {"name", "sentences", "stop_words", "duplicates", "languages", "phrases"},
    "EvaluationConfig": {"reference", "gold"},
    "PublicationConfig": {"table", "align", "gates", "mirror"},
    "SkipGramConfig": {"model", "dimension", "epochs", "window_radius", "learning_rate", "workers", "seed", "backend"},
    "CbowConfig": {"model", "dimension", "epochs", "window_radius", "learning_rate", "workers", "seed", "backend"},
    "GloveConfig": {"model", "dimension", "epochs", "window_radius", "learning_rate", "workers", "seed", "backend"},
    "FastTextConfig": {
        "model", "architecture", "dimension", "epochs", "window_radius", "learning_rate", "workers", "seed",
        "minimum_ngram", "maximum_ngram", "buckets",
    },
    "DistilledConfig": {"model", "dimension", "encoder"},
}  # fmt: skip


def readable_form(schema: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """A parameter schema that accepts the same values and makes a shorter form.

    parameters: those of the deployment; what they set stays in the form, so that runs from the UI keep it.
    """
    form = copy.deepcopy(dict(schema))
    used = _names_in(parameters)
    for name, model in form.get("definitions", {}).items():
        fields = model.get("properties", {})
        for field in fields.values():
            _show_range(field)
        shown = COMMON.get(name)
        if shown is not None:
            hidden = {field: fields.pop(field) for field in list(fields) if field not in shown | used}
            if hidden:
                # Still validated, but not part of the form.
                model["patternProperties"] = {f"^{field}$": rule for field, rule in hidden.items()}
    sections = form.get("properties", {})
    if HEADINGS.keys() >= sections.keys():
        for name, section in sections.items():
            section["title"] = HEADINGS[name]
            section["position"] = list(HEADINGS).index(name)
    return form


def _names_in(parameters: Mapping[str, Any]) -> set[str]:
    """Names of all fields that some parameters set, at any depth."""
    names: set[str] = set()
    for name, value in parameters.items():
        names.add(name)
        if isinstance(value, Mapping):
            names |= _names_in(value)
    return names


def _show_range(field: dict[str, Any]) -> None:
    """Add the range of a field to its description, where the form shows it."""
    text = range_text([field, *field.get("anyOf", ())])
    if text:
        described = field.get("description", "")
        field["description"] = f"{described} ({text})" if described else text


def range_text(rules: list[dict[str, Any]]) -> str:
    """The bounds in some JSON schemas, such as `1 to 20,000` or `above 0`; empty if there are none."""
    found = {name: rule[name] for rule in rules for name in rule if "imum" in name.lower()}
    low, high = found.get("minimum"), found.get("maximum")
    above, below = found.get("exclusiveMinimum"), found.get("exclusiveMaximum")
    if low is not None and high is not None:
        return f"{_number(low)} to {_number(high)}"
    parts = {"at least": low, "above": above, "at most": high, "below": below}
    return ", ".join(f"{word} {_number(bound)}" for word, bound in parts.items() if bound is not None)


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) or value >= 1 else f"{value:g}"
