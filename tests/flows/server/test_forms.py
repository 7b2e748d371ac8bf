"""The parameter forms of deployments: shorter than the settings, and as strict."""

from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from flows.deployment_file import read_deployments
from flows.server.forms import COMMON, HEADINGS, range_text, readable_form
from flows.word_vectors import build_word_vectors

SCHEMA: dict[str, Any] = build_word_vectors.parameters.model_dump_for_openapi()


@pytest.mark.parametrize("name", [name for name, one in read_deployments().items() if "build" in one.entrypoint])
def test_a_form_accepts_its_deployment_and_shows_all_that_it_sets(name: str) -> None:
    parameters = dict(read_deployments()[name].parameters)
    form = readable_form(SCHEMA, parameters)
    jsonschema.validate(parameters, form)
    for section, values in parameters.items():
        shown = {
            field
            for model, common in form["definitions"].items()
            if model.lower().startswith(section.rstrip("s")) or section == "training"
            for field in common["properties"]
        }
        assert set(values or {}) <= shown, section


def test_a_form_is_shorter_and_rejects_what_the_settings_reject() -> None:
    form = readable_form(SCHEMA, {})
    count = {model: len(form["definitions"][model]["properties"]) for model in COMMON}
    assert all(count[model] < len(SCHEMA["definitions"][model]["properties"]) for model in COMMON)
    jsonschema.validate({"training": {"model": "skip_gram", "final_rate_fraction": 0.1}}, form)
    for wrong in ({"epocs": 3}, {"epochs": 0}, {"final_rate_fraction": "much"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"training": {"model": "skip_gram"} | wrong}, form)


def test_sections_have_headings_in_the_order_of_use_and_fields_their_ranges() -> None:
    form = readable_form(SCHEMA, {})
    sections = sorted(form["properties"].values(), key=lambda section: section["position"])
    assert [section["title"] for section in sections] == list(HEADINGS.values())
    fields = form["definitions"]["SkipGramConfig"]["properties"]
    assert fields["epochs"]["description"].endswith("(1 to 1,000)")
    assert set(COMMON) <= set(form["definitions"])
    for model, common in COMMON.items():
        assert common <= set(SCHEMA["definitions"][model]["properties"]), model


@pytest.mark.parametrize(
    ("rules", "text"),
    [
        ([{"minimum": 1, "maximum": 20000}], "1 to 20,000"),
        ([{"exclusiveMinimum": 0}], "above 0"),
        ([{"anyOf": []}, {"minimum": 0, "exclusiveMaximum": 1.5}, {"type": "null"}], "at least 0, below 1.5"),
        ([{"type": "string"}], ""),
    ],
)
def test_ranges_are_written_for_people(rules: list[dict[str, Any]], text: str) -> None:
    assert range_text(rules) == text
