"""The door of the command: no argument, stream or file brings up a traceback."""

import os
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.main import get_command

from flows.cli.app import app, main
from flows.cli.command_errors import run_guarded
from flows.cli.printable import printable
from flows.deployments import read_deployments
from storage.errors import SettingsError
from storage.layout import Workspace
from storage.releases.publishing import publish_release
from tests.storage.sample_releases import content

# These start servers or talk to one; their own tests try them.
WITH_SERVERS = {"up", "deploy", "run", "notify"}
COMMANDS = sorted(set(get_command(app).commands) - WITH_SERVERS)  # type: ignore[attr-defined]
DEEP = 5_000
HOSTILE = {
    "long": "x" * 5_000,
    "long path": "/" + "/".join(["y" * 300] * 20),
    "not UTF-8": os.fsdecode(b"caf\xe9.txt"),
    "empty": "",
    "markup": "[/red][bold]",
    "control": "a\x1b[2Jb\u202ec",
    "parent": "../../etc/passwd",
    "nested": "[" * DEEP,
    "folder": "/proc",
    "number": "9" * 5_000,
}


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    workspace = Workspace(tmp_path / "workspace")
    publish_release(workspace, "news", content(rows=60))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VECMILL_WORKSPACE", str(workspace.root))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return workspace


def invocations(command: str, value: str) -> Iterator[list[str]]:
    """The hostile value as every argument, and as the value of every option that takes one."""
    parameters = get_command(app).commands[command].params  # type: ignore[attr-defined]
    arguments = [p for p in parameters if p.param_type_name == "argument"]
    plain = ["news" if p.name in ("table", "first", "second") else "1" for p in arguments]
    required = [part for p in parameters if p.param_type_name == "option" and p.required for part in (p.opts[0], "1")]
    for place in range(len(arguments)):
        yield [command, *required, "--", *plain[:place], value, *plain[place + 1 :]]
    for option in parameters:
        if option.param_type_name == "option" and not option.is_flag and option.name != "help":
            yield [command, f"{max(option.opts, key=len)}={value}", *required, "--", *plain]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_no_argument_brings_up_a_traceback(
    command: str,
    value: str,
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for arguments in invocations(command, value):
        if command == "build":
            arguments.insert(1, "--dry-run")
        monkeypatch.setattr(sys, "argv", ["vecmill", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        assert ended.value.code in (0, 1, 2), (arguments, said)
        assert "Traceback" not in said.out + said.err, arguments
        assert not {"\x1b", "\u202e"} & set(said.out + said.err), (arguments, said)
        assert "unexpected" not in said.err, (arguments, said.err)
        if ended.value.code and "Usage:" not in said.err:
            assert any(line.startswith("error:") for line in said.err.splitlines()), (arguments, said.err)


class UnforeseenError(Exception):
    pass


@pytest.mark.parametrize(
    "error",
    [UnforeseenError("odd\nthing"), RecursionError(), MemoryError(), KeyError("a"), AssertionError(), OSError(5, "x")],
)
def test_an_unforeseen_error_is_one_line_and_a_file_with_its_trace(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def fail() -> None:
        raise error

    assert run_guarded(fail) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error:")
    if not isinstance(error, OSError):
        kept = Path(line.rpartition("full trace: ")[2])
        assert type(error).__name__ in line
        assert "Traceback" in kept.read_text(encoding="utf-8")
        assert kept.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "arguments", [["list"], ["list", "--json"], ["releases", "news"], ["sql", "news", "from range(100000)", "--json"]]
)
def test_a_full_or_closed_output_is_no_traceback(workspace: Workspace, arguments: list[str]) -> None:
    command = [sys.executable, "-m", "flows", *arguments]
    environment = os.environ | {"VECMILL_WORKSPACE": str(workspace.root), "PYTHONPATH": str(Path(__file__).parents[3])}
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=environment)
    assert (ended.returncode, ended.stderr) == (1, "error: the output cannot be written: No space left on device\n")
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False, env=environment)
    os.close(writing)
    assert ended.returncode == 1
    assert ended.stderr == ""


def test_a_settings_file_nested_too_deeply_is_named(tmp_path: Path) -> None:
    path = tmp_path / "prefect.yaml"
    path.write_text("deployments: " + "[" * DEEP, encoding="utf-8")
    with pytest.raises(SettingsError, match=r"prefect\.yaml cannot be read"):
        read_deployments(path)
    path.write_bytes(b"deployments: [caf\xe9]")
    with pytest.raises(SettingsError, match=r"prefect\.yaml cannot be read"):
        read_deployments(path)


@given(st.text())
def test_no_character_that_a_terminal_obeys_or_hides_is_printed(text: str) -> None:
    shown = printable(text)
    assert not {unicodedata.category(c) for c in shown.replace("\u200c", "").replace("\u200d", "")} & {"Cc", "Cf", "Cs"}
    if text.isalnum():
        assert shown == text
