"""What can be done with releases once they are written: go back to one, publish a refused one, remove old ones."""

from pathlib import Path

from storage.disk import sync_path
from storage.errors import ReleaseError
from storage.layout import Workspace
from storage.releases.ledger import current_version, existing_table, kept_versions, remove_release, write_ledger
from storage.releases.publishing import make_current, publish_release, publishing
from storage.releases.querying import published_file
from storage.releases.reader import read_content
from storage.releases.records import Release, is_release, read_release
from storage.releases.verification import check_kept_release


def find_release(workspace: Workspace, table: str, name: str) -> Path:
    """The file of a kept release, named by its number, or of a candidate, named by the first letters of its model.

    Raises ReleaseError that names those there are.
    """
    existing_table(workspace, table)
    versions = kept_versions(workspace, table)
    # As text: int() refuses numbers of thousands of digits.
    version = {str(version): version for version in versions}.get(name.lstrip("0"))
    if version is not None:
        return workspace.release_file(table, version)
    candidates = sorted(workspace.candidates_folder(table).glob("*.duckdb"))
    named = [path for path in candidates if name and path.stem.startswith(name)]
    if len(named) == 1:
        return named[0]
    numbers = ", ".join(map(str, versions)) or "none"
    digests = ", ".join(path.stem for path in candidates) or "none"
    raise ReleaseError(
        f"{table!r} has no release or candidate {name[:80]!r}; the versions are {numbers}, the candidates {digests}"
    )


def choose_release(workspace: Workspace, table: str, name: str | None = None) -> Release:
    """A kept version, or a candidate by the first letters of its model; else the current release of a table.

    Raises ReleaseError that names those there are.
    """
    if name is None:
        published_file(workspace, table)
        name = str(current_version(workspace, table))
    return read_release(find_release(workspace, table, name))


def rollback(workspace: Workspace, table: str, version: int) -> Release:
    """Make a kept release current again, under its own number; the next publish is still the highest number + 1.

    Raises ReleaseError if it is not kept or was changed since it was written; the current one then stays.
    """
    existing_table(workspace, table)
    with publishing(workspace, table):
        path = find_release(workspace, table, str(version))
        check_kept_release(path)
        make_current(workspace, table, version)
    return read_release(path)


def promote(workspace: Workspace, table: str, candidate: str) -> Release:
    """Publish a release that the gates refused as the next version, and remove the candidate.

    candidate: the first letters of its model's digest. Its verdicts stay in the table `gates` as they are.
    Raises ReleaseError if there is no such candidate or it was changed since it was written.
    """
    path = find_release(workspace, table, candidate)
    if path.parent != workspace.candidates_folder(table):
        raise ReleaseError(f"{candidate} is a published version of {table!r}; use `vecmill rollback` instead")
    check_kept_release(path)
    release = publish_release(workspace, table, read_content(path))
    remove_release(path)
    return release


def prune(workspace: Workspace, table: str, keep: int, *, candidates: bool = False) -> list[str]:
    """Remove all but the `keep` highest versions and the current one; their numbers are not used again.

    A version that cannot be read is not counted among those kept, and goes if it is older than all of them. With fewer
    than `keep` readable versions nothing goes: what is damaged may be the last copy of something.
    candidates: remove the refused ones too. Returns the names of what was removed, lowest version first.
    Raises ValueError if keep is not positive.
    """
    if keep < 1:
        raise ValueError(f"at least one release stays, so keep cannot be {keep}")
    existing_table(workspace, table)
    removed = []
    with publishing(workspace, table) as ledger:
        versions = kept_versions(workspace, table)
        whole = [version for version in versions if is_release(workspace, table, version)]
        lowest = whole[-keep] if len(whole) >= keep else 0
        going = [version for version in versions if version < lowest and version != current_version(workspace, table)]
        files = {f"v{version}": workspace.release_file(table, version) for version in going}
        if candidates:
            files |= {path.stem: path for path in sorted(workspace.candidates_folder(table).glob("*.duckdb"))}
        if going:
            write_ledger(workspace, table, ledger.model_copy(update={"unfinished": going}))
        for name, path in files.items():
            remove_release(path)
            removed.append(name)
        sync_path(workspace.releases_folder(table))
        if going:
            write_ledger(workspace, table, ledger)
    return removed
