"""The command in the note of a stopped run starts a run with the same parameters."""

import shlex
from pathlib import Path
from typing import Any

import pytest

from flows.deployments import BUILD_ENTRYPOINT, find_deployment, merge_settings, parameters_of
from flows.runs.stop_notes import resume_command

SETTINGS = (
    (),
    ("training.epochs=3", "corpus.path=/data/my texts/*.txt", "workspace=/srv/my workspace"),
    ("publication.gates=none", "publication.table=other", "training.reduced_windows=false"),
    ("publication.gates.wordsim353=none", "publication.gates.simlex999.minimum=0.3", "vocabulary.max_size=1000"),
    ("corpus.path=/data/it's $HOME; rm -rf *", "evaluation.reference=none"),
)


def without_idle_gates(parameters: Any) -> dict[str, Any]:
    """The parameters; a gate that is set to none is no gate."""
    return dict(parameters) | {
        "publication": dict(parameters.publication) | {"gates": parameters.publication.active_gates}
    }


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("name", ["adhoc", "movie-reviews"])
def test_the_command_leads_to_the_same_parameters(name: str, settings: tuple[str, ...]) -> None:
    model = parameters_of(BUILD_ENTRYPOINT)
    deployed = find_deployment(name).parameters
    if name == "adhoc" and not any("corpus.path" in setting for setting in settings):
        settings = (*settings, "corpus.path=texts/")
    sent = merge_settings(model, deployed, settings).model_dump(mode="json", exclude_unset=True)
    words = shlex.split(resume_command(name, BUILD_ENTRYPOINT, deployed, sent))
    assert words[:3] == ["vecmill", "run", name]
    assert set(words[3::2]) <= {"--set"}
    resumed = merge_settings(model, deployed, words[4::2])
    assert without_idle_gates(resumed) == without_idle_gates(model.model_validate(sent))


def test_what_the_deployment_says_already_is_not_repeated() -> None:
    deployed = find_deployment("movie-reviews").parameters
    assert resume_command("movie-reviews", BUILD_ENTRYPOINT, deployed, deployed) == "vecmill run movie-reviews"


def test_the_prune_flow_can_be_resumed_too(tmp_path: Path) -> None:
    entrypoint = "flows.prune_releases.prune_releases"
    sent = {"pruning": {"keep": 3, "tables": ["a", "b"]}, "workspace": str(tmp_path)}
    words = shlex.split(resume_command("prune-releases", entrypoint, {"pruning": {"keep": 8}}, sent))
    model = parameters_of(entrypoint)
    assert merge_settings(model, {"pruning": {"keep": 8}}, words[4::2]) == model.model_validate(sent)
