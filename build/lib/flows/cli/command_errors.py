"""Error handling of the command: every error becomes one line that starts with `error:`, and an exit code."""

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
# Typer does not export the base class of its usage errors: bad arguments, unknown commands, missing options.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]
# OS errors that are explained by a path from the user.
OF_A_PATH = {
    errno.ENAMETOOLONG: "path too long for the file system; use a shorter one",
    errno.ELOOP: "symbolic links form a loop",
}


def run_guarded(command: Callable[[], object]) -> int:
    """Run a command and return its exit code. Any exception becomes one line on stderr, never a traceback.

    KeyboardInterrupt propagates.
    """
    for stream in (sys.stdout, sys.stderr):
        # File names and words may not be valid UTF-8; JSON parsers restore these escapes.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    code = 0
    try:
        try:
            answer = command()
            code = answer if isinstance(answer, int) else 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        # Flushing the buffer may fail too.
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
        # The reader, e.g. `head`, has closed the pipe.
        _discard_stdout()
        return FAILED
    except Exception as error:  # last resort before a traceback
        return _handle_unexpected(error)
    return code


def print_error(message: str) -> None:
    """Print one message to stderr, with control characters escaped."""
    from rich.markup import escape

    from flows.cli.console import messages
    from flows.cli.printable import printable

    text = escape(printable(message, keep_lines=True))
    try:
        messages.print(f"[bold red]error:[/] {text}", highlight=False, soft_wrap=True)
    except (OSError, ValueError):
        # stderr is closed or full too; only the exit code can report the error.
        return


def _handle_unexpected(error: Exception) -> int:
    """Print an unexpected error with the path of its traceback; returns the exit code."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EIO, errno.EBADF) and error.filename is None:
        _discard_stdout()
        print_error(f"cannot write the output: {error.strerror}")
        return FAILED
    if isinstance(error, OSError) and error.errno in OF_A_PATH:
        print_error(f"{_shortened(str(error.filename))}: {OF_A_PATH[error.errno]}")
        return WRONG_USAGE
    kept = _keep_trace(error)
    cause = _shortened(" ".join(str(error).split()))
    print_error(f"unexpected {type(error).__name__}{f': {cause}' if cause else ''}; {kept}")
    return FAILED


def _usage_message(error: Exception) -> str:
    """One-line message for a usage error of Typer, with the `--help` to read."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "vecmill"
    # For a group without a command, Typer has printed the help already.
    no_command = type(error).__name__ == "NoArgsIsHelpError"
    said = "missing command" if no_command else " ".join(error.format_message().split())  # type: ignore[attr-defined]
    return f"{_shortened(said.removesuffix('.'))}; see `{path} --help`"


def _keep_trace(error: Exception) -> str:
    """Write the full traceback to a file with mode 0600. Returns a note with its path."""
    from storage.redaction import without_credentials

    text = without_credentials("".join(traceback.format_exception(error)))
    name = f"vecmill-error-{datetime.now(UTC):%Y%m%d-%H%M%S}-"
    try:
        descriptor, path = tempfile.mkstemp(prefix=name, suffix=".txt")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as failure:
        return f"cannot save the traceback: {failure.strerror}"
    return f"full trace: {Path(path)}"


def _discard_stdout() -> None:
    """Redirect stdout to /dev/null, so that Python's flush at exit does not fail again."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        return


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_CAUSE else f"{text[: LONGEST_CAUSE - 1]}…"
