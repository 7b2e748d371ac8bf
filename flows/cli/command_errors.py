"""The door of the command: whatever goes wrong ends in one line that starts with `error:` and in an exit code."""

import errno
import io
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import typer

from storage.errors import SettingsError, VecmillError

FAILED, WRONG_USAGE = 1, 2
LONGEST_CAUSE = 300
# Typer exports no name for the base of its usage errors: wrong arguments, unknown commands, missing options.
UsageError = typer.BadParameter.__mro__[1]
# Errors of the operating system that a path given by the user explains.
OF_A_PATH = {
    errno.ENAMETOOLONG: "the path is longer than the file system allows; name a shorter one",
    errno.ELOOP: "its links lead in a circle",
}


def run_guarded(command: Callable[[], object]) -> int:
    """Run a command and return its exit code. Any exception becomes one line on stderr, never a traceback.

    KeyboardInterrupt passes.
    """
    for stream in (sys.stdout, sys.stderr):
        # File names and words need not be UTF-8; in JSON these escapes are read back as they were.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    code = 0
    try:
        try:
            answer = command()
            code = answer if isinstance(answer, int) else 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        # What is still in the buffer may not fit either.
        if sys.stdout is not None:
            sys.stdout.flush()
    except SettingsError as error:
        print_error(str(error))
        return WRONG_USAGE
    except VecmillError as error:
        print_error(str(error))
        return FAILED
    except UsageError as error:
        print_error(_usage_message(error))
        return WRONG_USAGE
    except typer.Abort:
        print_error("aborted: no answer to the prompt")
        return FAILED
    except BrokenPipeError:
        # A reader such as `head` has seen enough.
        _forget_stdout()
        return FAILED
    except Exception as error:  # the last stop before a traceback
        return _explained(error)
    return code


def print_error(message: str) -> None:
    """One message, in one paragraph, with control characters escaped."""
    from rich.markup import escape

    from flows.cli.console import messages
    from flows.cli.printable import printable

    text = escape(printable(message, keep_lines=True))
    try:
        messages.print(f"[bold red]error:[/] {text}", highlight=False, soft_wrap=True)
    except (OSError, ValueError):
        # stderr is closed or full too: the exit code has to say it.
        return


def _explained(error: Exception) -> int:
    """Say what an error that no one foresaw means, and where its trace is."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EIO, errno.EBADF) and error.filename is None:
        _forget_stdout()
        print_error(f"the output cannot be written: {error.strerror}")
        return FAILED
    if isinstance(error, OSError) and error.errno in OF_A_PATH:
        print_error(f"{_shortened(str(error.filename))}: {OF_A_PATH[error.errno]}")
        return WRONG_USAGE
    kept = _keep_trace(error)
    cause = _shortened(" ".join(str(error).split()))
    print_error(f"unexpected {type(error).__name__}{f': {cause}' if cause else ''}; {kept}")
    return FAILED


def _usage_message(error: Exception) -> str:
    """What Typer says about wrong usage, on one line, with the command that shows the right one."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "vecmill"
    # Typer has printed the help of a command that was called without arguments.
    asked_nothing = type(error).__name__ == "NoArgsIsHelpError"
    said = "missing command" if asked_nothing else " ".join(error.format_message().split())  # type: ignore[attr-defined]
    return f"{_shortened(said.removesuffix('.'))}; see `{path} --help`"


def _keep_trace(error: Exception) -> str:
    """Write the full trace into a file only this user can read; says where it is."""
    from storage.redaction import without_credentials

    text = without_credentials("".join(traceback.format_exception(error)))
    name = f"vecmill-error-{datetime.now(UTC):%Y%m%d-%H%M%S}-"
    try:
        descriptor, path = tempfile.mkstemp(prefix=name, suffix=".txt")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as failure:
        return f"its trace cannot be kept: {failure.strerror}"
    return f"full trace: {Path(path)}"


def _forget_stdout() -> None:
    """Have Python write the rest of its buffer nowhere when it ends."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        return


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_CAUSE else f"{text[: LONGEST_CAUSE - 1]}…"
