"""The one place where what a setting names becomes a path: files, folders, patterns and workspaces.

Where VECMILL_ALLOWED_ROOTS lists folders, nothing outside them can be named: not directly, not through `..`, links or
patterns. Whether a file outside exists is not told either. What vecmill itself brings along, such as the corpus of a
package, is not named by anybody and does not come this way.
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
# With one slash where the address was taken for a path on its way.
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|(?:https?|ftp|s3|gs):[/\\]", re.IGNORECASE)


def named_path(name: str | Path, setting: str) -> Path:
    """The path that a setting names, with `~` expanded; it may be a pattern.

    Raises NotAllowedError if it leads out of the allowed folders, SettingsError if it is a URL.
    """
    if URL.match(str(name)):
        raise SettingsError(
            f"{setting}: {without_credentials(str(name))} is a URL, and vecmill reads files only; fetch it first"
        )
    try:
        path = Path(name).expanduser()
    except RuntimeError as error:
        raise SettingsError(
            f"{setting}: {name}: there is no home folder of that user; name an absolute path"
        ) from error
    # What a pattern matches is looked at when it is found; here it is where the search begins.
    begin, pattern = _split_pattern(path)
    if ".." in pattern and allowed_roots() is not None:
        raise _not_allowed(path, setting)
    check_allowed([begin], setting, shown=path)
    try:
        begin.lstat()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise SettingsError(f"{setting}: {str(path)[:80]}… is too long for a path; correct it") from error
    except ValueError as error:
        raise SettingsError(f"{setting}: {path} holds a zero byte; correct it") from error
    return path


def check_allowed(paths: Iterable[Path], setting: str, *, shown: Path | None = None) -> None:
    """Raise NotAllowedError if one of these leads out of the allowed folders. shown: what the message names instead."""
    roots = allowed_roots()
    if roots is None:
        return
    for path in paths:
        try:
            real = path.absolute().resolve()
        except (OSError, RuntimeError, ValueError) as error:  # a circle of links, or a zero byte
            raise _not_allowed(shown or path, setting) from error
        if not any(real.is_relative_to(root) for root in roots):
            raise _not_allowed(shown or path, setting)


def allowed_roots() -> tuple[Path, ...] | None:
    """The folders that VECMILL_ALLOWED_ROOTS lists, None where it is not set and anything may be named.

    Raises SettingsError if it is set and lists no folder, or one that is not absolute.
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
    """The folder in which a pattern begins, and its parts; a path without any is its own folder."""
    for number, part in enumerate(path.parts):
        if glob.has_magic(part) and not _exists(path):
            return Path(*path.parts[:number]), path.parts[number:]
    return path, ()


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long
        return False


def _not_allowed(path: Path, setting: str) -> NotAllowedError:
    return NotAllowedError(
        f"{setting}: {path} is outside the folders that {ROOTS_VARIABLE} allows; name a file inside them, or have the "
        "one who runs the workers add its folder"
    )
