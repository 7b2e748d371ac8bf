"""Output files at a path that the user chooses: written atomically."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.disk import sync_path
from storage.errors import VectorFileError


@contextmanager
def new_output(target: Path, *, force: bool, names: frozenset[str] = frozenset()) -> Iterator[Path]:
    """A temporary path to write one file, or a folder of files, to; it is renamed to `target` at the end.

    target: absolute.  force: overwrite an existing file or folder.  names: files in the folder; empty for a single
    file. A folder with any other files is never replaced.
    Raises VectorFileError if `target` exists or cannot be written; nothing is left behind then.
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
                # A rename cannot replace a non-empty folder, so for a moment there is none.
                target.rename(Path(folder) / "replaced")
            written.replace(target)
            sync_path(target.parent)
    except OSError as error:
        raise VectorFileError(
            f"{target} cannot be written: {error.strerror or error}; choose another path, nothing was written"
        ) from error


def size_of(path: Path) -> int:
    """Size in bytes of a file, or of all files in a folder."""
    return sum(file.stat().st_size for file in (path.iterdir() if path.is_dir() else (path,)))


def _check_free(target: Path, force: bool, names: frozenset[str]) -> None:
    if not target.parent.is_dir():
        raise VectorFileError(f"the folder {target.parent} for {target.name} does not exist; create it first")
    if not target.exists() and not target.is_symlink():
        return
    if not force:
        raise VectorFileError(f"{target} already exists; choose another path, or overwrite it with --force")
    if names and target.is_dir():
        others = sorted(file.name for file in target.iterdir() if file.name not in names)
        if others:
            raise VectorFileError(f"the folder {target} contains other files, such as {others[0]}; choose another path")
    elif names or not target.is_file():
        raise VectorFileError(f"{target} is not a {'folder' if names else 'file'}; choose another path")
