"""Turn the value of a setting into a path: the only way from user input to files, folders, patterns and workspaces.

If VECMILL_ALLOWED_ROOTS lists folders, nothing outside them is accessible: not directly, nor through `..`, links or
patterns. Errors don't reveal whether a file outside exists. Files that vecmill ships itself, such as a packaged corpus,
don't pass through here.
"""

import errno
import glob
import os
import re
from collections.abc import Iterable
from pathlib import Path

from storage.errors import NotAllowedError, SettingsError
from storage.redaction import without_credentials

ROOTS_VARIABLE = "VECMILL_ALLOWED_ROOTS"
# With one slash if the URL was processed as a path before.
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|(?:https?|ftp|s3|gs):[/\\]", re.IGNORECASE)


def named_path(name: str | Path, setting: str) -> Path:
    """The path in a setting, with `~` expanded; it may be a pattern.

    Raises NotAllowedError if it is outside the allowed folders, SettingsError if it is a URL.
    """
    if URL.match(str(name)):
        raise SettingsError(
            f"{setting}: {without_credentials(str(name))} is a URL, but vecmill reads only files; download it first"
        )
    try:
        path = Path(name).expanduser()
    except RuntimeError as error:
        raise SettingsError(f"{setting}: {name}: that user has no home folder; use an absolute path") from error
    # Matches of a pattern are checked as they are found; here only the folder where the search starts.
    base, pattern = _split_pattern(path)
    if ".." in pattern and allowed_roots() is not None:
        raise _not_allowed(path, setting)
    check_allowed([base], setting, shown=path)
    try:
        base.lstat()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise SettingsError(f"{setting}: {str(path)[:80]}… is too long for a path") from error
    except ValueError as error:
        raise SettingsError(f"{setting}: {path} contains a NUL byte") from error
    return path


def check_allowed(paths: Iterable[Path], setting: str, *, shown: Path | None = None) -> None:
    """Raise NotAllowedError if a path is outside the allowed folders. shown: named in the message instead."""
    roots = allowed_roots()
    if roots is None:
        return
    for path in paths:
        try:
            real = path.absolute().resolve()
        except (OSError, RuntimeError, ValueError) as error:  # a symlink loop, or a NUL byte
            raise _not_allowed(shown or path, setting) from error
        if not any(real.is_relative_to(root) for root in roots):
            raise _not_allowed(shown or path, setting)


def check_downloads_allowed(workspace: Path) -> None:
    """Raise NotAllowedError if the folder of a workspace, where downloads are read from, is not allowed."""
    try:
        check_allowed([workspace], "the workspace")
    except NotAllowedError as error:
        raise NotAllowedError(
            f"downloads are kept in the workspace {workspace}, which is outside the folders that {ROOTS_VARIABLE} "
            f"allows; add {workspace} to {ROOTS_VARIABLE}, or choose a workspace inside them with --workspace"
        ) from error


def allowed_roots() -> tuple[Path, ...] | None:
    """The folders in VECMILL_ALLOWED_ROOTS; None if it is unset and any path is allowed.

    Raises SettingsError if it is empty or contains a relative path.
    """
    text = os.environ.get(ROOTS_VARIABLE)
    if text is None:
        return None
    roots = tuple(Path(part).expanduser() for part in text.split(os.pathsep) if part)
    if not roots or not all(root.is_absolute() for root in roots):
        raise SettingsError(
            f"{ROOTS_VARIABLE} is {text!r}; list absolute folders, separated by {os.pathsep!r}, or unset it"
        )
    return tuple(root.resolve() for root in roots)


def _split_pattern(path: Path) -> tuple[Path, tuple[str, ...]]:
    """The fixed leading folder of a pattern, and the remaining parts; a plain path is returned whole."""
    for number, part in enumerate(path.parts):
        if glob.has_magic(part) and not _exists(path):
            return Path(*path.parts[:number]), path.parts[number:]
    return path, ()


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # name too long
        return False


def _not_allowed(path: Path, setting: str) -> NotAllowedError:
    return NotAllowedError(
        f"{setting}: {path} is outside the folders that {ROOTS_VARIABLE} allows; use a file inside them, or ask "
        "whoever runs the workers to add its folder"
    )
