"""Files written outside the workspace, wherever a user names a place: whole under their name, or not there."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.disk import sync_path
from storage.errors import VectorFileError


@contextmanager
def new_output(target: Path, *, force: bool, names: frozenset[str] = frozenset()) -> Iterator[Path]:
    """A path beside `target` to write one file, or a folder of files, to; it gets the name `target` in the end.

    target: absolute.  force: replace what has the name now.  names: of the files in the folder, empty for a single
    file. A folder that holds anything else is never replaced.
    Raises VectorFileError if the place is taken or cannot be written; then nothing new is there.
    """
    try:
        _check_free(target, force, names)
        with tempfile.TemporaryDirectory(prefix=f".{target.name[:100]}.", suffix=".tmp", dir=target.parent) as folder:
            written = Path(folder) / target.name
            if names:
                written.mkdir()
            yield written
            for file in (*(written / name for name in names), written):
                sync_path(file)
            if names and target.exists():
                # A folder cannot take the place of a full one in one step: for a moment there is none.
                target.rename(Path(folder) / "replaced")
            written.replace(target)
            sync_path(target.parent)
    except OSError as error:
        raise VectorFileError(
            f"{target} cannot be written: {error.strerror or error}; name another place, nothing new is there"
        ) from error


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    return sum(file.stat().st_size for file in (path.iterdir() if path.is_dir() else (path,)))


def _check_free(target: Path, force: bool, names: frozenset[str]) -> None:
    if not target.parent.is_dir():
        raise VectorFileError(f"there is no folder {target.parent} to write {target.name} into")
    if not target.exists() and not target.is_symlink():
        return
    if not force:
        raise VectorFileError(f"{target} is there already; name another place, or replace it with --force")
    if names and target.is_dir():
        others = sorted(file.name for file in target.iterdir() if file.name not in names)
        if others:
            raise VectorFileError(f"the folder {target} holds other files too, such as {others[0]}; name another place")
    elif names or not target.is_file():
        raise VectorFileError(f"{target} is no {'folder' if names else 'file'}; name another place")
