"""Runs of the pipeline in this process, for the tests of what they leave behind."""

from collections.abc import Callable
from pathlib import Path

from flows.deployments import build_parameters, find_deployment
from flows.runs.result import BuildResult
from flows.word_vectors import build_word_vectors

Build = Callable[..., BuildResult]


def build(workspace: Path, *settings: str, deployment: str = "adhoc") -> BuildResult:
    """Run a deployment with the settings changed, as `vecmill build` does."""
    parameters = build_parameters(find_deployment(deployment), settings)
    sections = {name: getattr(parameters, name) for name in type(parameters).model_fields}
    result: BuildResult = build_word_vectors(**sections, workspace=str(workspace))
    return result
