"""Completion of settings, in Bash itself and as the other shells ask for it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flows.cli.completion import assignments_in_bash
from flows.cli.setting_values import known_settings, values_of
from flows.deployments import build_parameters, find_deployment
from storage.layout import Workspace
from storage.releases.publishing import publish_release
from tests.storage.sample_releases import content

# The function that `vecmill --show-completion bash` prints, called as Bash calls it.
ASK_BASH = """
eval "$(vecmill --show-completion bash)"
COMP_WORDS=({words}); COMP_CWORD={last}
_vecmill_completion vecmill
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def in_bash(tmp_path: Path, *words: str) -> list[str]:
    """What Bash offers for the last word, after it has split the line at `=`."""
    quoted = " ".join(f"'{word}'" for word in ("vecmill", *words))
    script = ASK_BASH.format(words=quoted, last=len(words))
    environment = os.environ | {
        "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1",
        "SHELL": "/bin/bash",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    ended = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    return ended.stdout.split()


@pytest.mark.long
@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_bash_completes_names_and_values_of_settings(tmp_path: Path) -> None:
    assert in_bash(tmp_path, "build", "adhoc", "--set", "training.model", "=", "g") == ["glove"]


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("tok", ["tokenizer.name=", "tokenizer.pieces="]),
        ("training.ep", ["training.epochs=", "training.epochs=5"]),
        ("report.enabled=", ["report.enabled=true", "report.enabled=false"]),
        ("training.model=c", ["training.model=cbow"]),
        ("publication.table=", ["publication.table=news"]),
        ("corpus.name=pt", ["corpus.name=ptb"]),
        ("", ["corpus.", "training."]),
        ("nothing.here=", []),
    ],
)
def test_sections_fields_and_values_are_offered(tmp_path: Path, typed: str, offered: list[str]) -> None:
    from typer.testing import CliRunner

    from flows.cli.app import app

    publish_release(Workspace(tmp_path), "news", content())
    line = f"vecmill build adhoc --workspace {tmp_path} --set {typed}"
    asked = {"_VECMILL_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
    answer = CliRunner().invoke(app, [], prog_name="vecmill", env=asked).stdout.split()
    assert set(offered) <= set(answer)
    assert bool(offered) == bool(answer)


def test_every_value_that_is_offered_is_accepted(tmp_path: Path) -> None:
    settings = known_settings()
    together = {"corpus.format", "corpus.delimiter", "tokenizer.parts_of_speech", "training.backend", "training.device"}
    for name in set(settings) - together:
        if name.startswith(("report.", "documents.", "evaluation.", "vocabulary.")) or name == "training.model":
            for value in values_of(name, settings, Workspace(tmp_path)):
                build_parameters(find_deployment("movie-reviews"), [f"{name}={value}"])


def test_a_command_that_completes_nothing_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("_VECMILL_COMPLETE", raising=False)
    with assignments_in_bash():
        assert "COMP_WORDS" not in os.environ or os.environ["COMP_WORDS"]
