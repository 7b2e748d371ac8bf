"""The door of the command: no argument, stream or file brings up a traceback."""

import functools
import os
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect.settings import PREFECT_HOME, temporary_settings
from typer.main import get_command

from flows.cli.app import app, main
from flows.cli.command_errors import run_guarded
from flows.cli.console import output
from flows.cli.printable import printable
from flows.deployments import read_deployments
from flows.server.stack_record import sole_stack
from storage.errors import SettingsError
from storage.layout import Workspace
from storage.releases.publishing import publish_release
from tests.storage.sample_releases import content

GROUPS = get_command(app).commands  # type: ignore[attr-defined]
COMMANDS: dict[tuple[str, ...], Any] = {(name,): command for name, command in GROUPS.items() if name != "notify"} | {
    ("notify", name): command for name, command in GROUPS["notify"].commands.items()
}
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


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = Workspace(tmp_path_factory.mktemp("published") / "workspace")
    publish_release(workspace, "news", content(rows=60))
    return workspace


@pytest.fixture
def workspace(published: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """A copy of the workspace, with no server to talk to, and with `vecmill up` seemingly running already."""
    workspace = Workspace(tmp_path / "workspace")
    shutil.copytree(published.root, workspace.root, symlinks=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VECMILL_WORKSPACE", str(workspace.root))
    monkeypatch.setenv("VECMILL_SMTP_PASSWORD", "secret")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with temporary_settings({PREFECT_HOME: tmp_path / "prefect"}), sole_stack() as alone:
        assert alone
        yield workspace


def invocations(command: tuple[str, ...], value: str) -> Iterator[list[str]]:
    """The hostile value as every argument, and as the value of every option that takes one."""
    parameters = COMMANDS[command].params
    arguments = [p for p in parameters if p.param_type_name == "argument"]
    plain = ["news" if p.name in ("table", "first", "second") else "1" for p in arguments]
    required = [part for p in parameters if p.param_type_name == "option" and p.required for part in (p.opts[0], "1")]
    if command == ("build",):
        required.append("--dry-run")
    for position in range(len(arguments)):
        yield [*command, *required, "--", *plain[:position], value, *plain[position + 1 :]]
    for option in parameters:
        if option.param_type_name == "option" and not option.is_flag and option.name != "help":
            yield [*command, f"{max(option.opts, key=len)}={value}", *required, "--", *plain]
    if not parameters:
        yield [*command, value]


def check_refusals(
    calls: Iterable[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Typer builds all commands anew for each call, which takes longer than to refuse one.
    monkeypatch.setattr("typer.main.get_command", functools.cache(get_command))
    for arguments in calls:
        monkeypatch.setattr(sys, "argv", ["vecmill", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        assert ended.value.code in (0, 1, 2), (arguments, said)
        assert "Traceback" not in said.out + said.err, arguments
        assert not {"\x1b", "\u202e"} & set(said.out + said.err), (arguments, said)
        assert "error: unexpected" not in said.err, (arguments, said.err)
        if ended.value.code:
            errors = [line for line in said.err.splitlines() if line.startswith("error:")]
            assert len(errors) == 1, (arguments, said.err)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_argument_brings_up_a_traceback(
    command: tuple[str, ...], workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each parameter with one hostile value; the long test below tries them all."""
    every = [list(invocations(command, value)) for value in HOSTILE.values()]
    calls = [every[position % len(every)][position] for position in range(len(every[0]))]
    check_refusals(calls, monkeypatch, capsys)


@pytest.mark.long
@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_no_hostile_value_brings_up_a_traceback_in_any_argument(
    value: str, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in COMMANDS:
        check_refusals(invocations(command, value), monkeypatch, capsys)


@pytest.mark.parametrize(
    "arguments",
    [[], ["notify"], ["buld"], ["build"], ["build", "--nope"], ["up", "--port", "x"], ["list", "extra"],
     ["prune", "news", "--keep", "0"], ["notify", "off", "fax"], ["notify", "slack"], ["import"]],
    ids=" ".join,
)  # fmt: skip
def test_wrong_usage_is_one_line_and_exit_code_2(
    arguments: list[str], workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["vecmill", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    (line,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2
    assert line.startswith("error: ")
    assert line.endswith("`") or "VECMILL_NOTIFY_URL" in line


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


PRINTING = [["list"], ["list", "--json"], ["releases", "news"], ["sql", "news", "from range(100000)", "--json"]]
FULL = "error: cannot write the output: No space left on device\n"


@pytest.mark.parametrize("arguments", PRINTING, ids=" ".join)
def test_a_full_or_closed_output_is_no_traceback(
    arguments: list[str], workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["vecmill", *arguments])
    reading, writing = os.pipe()
    os.close(reading)
    for stream, said in ((os.fdopen(os.open("/dev/full", os.O_WRONLY), "w"), FULL), (os.fdopen(writing, "w"), "")):
        with stream, monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", stream)
            # Rich turns a console off once its pipe is closed.
            patch.setattr(output, "quiet", False)
            with pytest.raises(SystemExit) as ended:
                main()
        # Rich keeps what it could not write, and would print it in the next test.
        output._buffer.clear()
        assert (ended.value.code, capsys.readouterr().err) == (1, said)


@pytest.mark.long
@pytest.mark.parametrize("arguments", [PRINTING[0], PRINTING[3]], ids=" ".join)
def test_a_process_with_a_full_or_closed_output_ends_without_a_traceback(
    arguments: list[str], workspace: Workspace
) -> None:
    """The interpreter flushes stdout once more when it ends."""
    command = [sys.executable, "-m", "flows", *arguments]
    environment = os.environ | {"VECMILL_WORKSPACE": str(workspace.root), "PYTHONPATH": str(Path(__file__).parents[3])}
    reading, writing = os.pipe()
    os.close(reading)
    for stream, said in ((os.fdopen(os.open("/dev/full", os.O_WRONLY), "w"), FULL), (os.fdopen(writing, "w"), "")):
        with stream:
            ended = subprocess.run(
                command, stdout=stream, stderr=subprocess.PIPE, text=True, check=False, env=environment
            )
        assert (ended.returncode, ended.stderr) == (1, said)


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
