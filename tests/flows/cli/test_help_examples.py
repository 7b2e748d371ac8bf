"""The help of every command ends with an example that the command accepts."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from flows.cli.app import app

ASSIGNMENT = re.compile(r"[A-Z_]+=\S+")
ROOT: Any = typer.main.get_command(app)


def commands(command: Any, name: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Name and command of everything below a group. Typer bundles a Click without public types."""
    if not hasattr(command, "commands"):
        yield " ".join(name), command
        return
    for part, below in command.commands.items():
        yield from commands(below, (*name, part))


COMMANDS = dict(commands(ROOT))


def test_all_commands_are_seen() -> None:
    assert {"build", "sql", "notify slack"} <= set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_of_a_command_parses(name: str) -> None:
    text = COMMANDS[name].help or ""
    assert "Example: " in text
    words = shlex.split(" ".join(text.split("Example: ")[1].split("\n\n")[0].split()))
    while ASSIGNMENT.fullmatch(words[0]):
        words.pop(0)
    assert words.pop(0) == "vecmill"
    command = ROOT
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    # Parses and does not run; raises UsageError for an unknown option or a missing argument.
    command.make_context(name, words)
