"""Operations on existing releases: roll back to one, promote a refused one, prune old ones."""

from pathlib import Path

from storage.disk import sync_path
from storage.errors import ReleaseError
from storage.layout import Workspace
from storage.releases.ledger import current_version, existing_table, kept_versions, remove_release, write_ledger
from storage.releases.publishing import make_current, publish_release, publishing
from storage.releases.querying import published_file
from storage.releases.reader import read_content
from storage.releases.records import Release, is_release, read_release
from storage.releases.tags import checked_tag, read_tags, write_tags
from storage.releases.verification import check_kept_release


def find_release(workspace: Workspace, table: str, name: str) -> Path:
    """The file of a kept release, by its number or tag, or of a candidate, by the first letters of its model.

    Raises ReleaseError that lists the known ones.
    """
    existing_table(workspace, table)
    versions = kept_versions(workspace, table)
    # As text: int() refuses numbers of thousands of digits.
    tags = read_tags(workspace, table)
    version = {str(version): version for version in versions}.get(name.lstrip("0"), tags.get(name))
    if version in versions:
        return workspace.release_file(table, version)
    candidates = sorted(workspace.candidates_folder(table).glob("*.duckdb"))
    named = [path for path in candidates if name and path.stem.startswith(name)]
    if len(named) == 1:
        return named[0]
    numbers = ", ".join(map(str, versions)) or "none"
    digests = ", ".join(path.stem for path in candidates) or "none"
    named_tags = f", the tags {', '.join(tags)}" if tags else ""
    raise ReleaseError(
        f"{table!r} has no release or candidate {name[:80]!r}; the versions are {numbers}{named_tags}, "
        f"the candidates {digests}"
    )


def find_version(workspace: Workspace, table: str, name: str) -> int:
    """The number of a kept release, given as a number or tag. Raises ReleaseError that lists the known ones."""
    path = find_release(workspace, table, name)
    if path.parent == workspace.candidates_folder(table):
        raise ReleaseError(f"{name[:80]!r} is a refused candidate of {table!r}, not a version; use `vecmill promote`")
    return int(path.stem.removeprefix("v"))


def tag_release(workspace: Workspace, table: str, version: str, tag: str) -> int:
    """Name a kept version, given as a number or another tag; a tag that is in use moves. Returns the number.

    Raises SettingsError for an invalid tag, ReleaseError if there is no such version.
    """
    checked_tag(tag)
    existing_table(workspace, table)
    with publishing(workspace, table):
        number = find_version(workspace, table, version)
        write_tags(workspace, table, read_tags(workspace, table) | {tag: number})
    return number


def untag_release(workspace: Workspace, table: str, version: str, tag: str) -> int:
    """Remove a tag from a version, which stays. Returns its number. Raises ReleaseError if it has no such tag."""
    existing_table(workspace, table)
    with publishing(workspace, table):
        number = find_version(workspace, table, version)
        tags = read_tags(workspace, table)
        if tags.get(tag) != number:
            named = ", ".join(f"{tag} (version {number})" for tag, number in tags.items()) or "none"
            raise ReleaseError(f"version {number} of {table!r} has no tag {tag[:80]!r}; the tags are {named}")
        del tags[tag]
        write_tags(workspace, table, tags)
    return number


def version_file(workspace: Workspace, table: str, version: str) -> Path:
    """The file of a kept version, given as a number or tag. Raises ReleaseError that lists the known ones."""
    return workspace.release_file(table, find_version(workspace, table, version))


def choose_release(workspace: Workspace, table: str, name: str | None = None) -> Release:
    """A kept version, or a candidate by the first letters of its model; else the current release of a table.

    Raises ReleaseError that lists the known ones.
    """
    if name is None:
        published_file(workspace, table)
        name = str(current_version(workspace, table))
    return read_release(find_release(workspace, table, name))


def rollback(workspace: Workspace, table: str, version: int) -> Release:
    """Make a kept release current again, under its own number; the next publish is still the highest number + 1.

    Raises ReleaseError if it is not kept or was changed since it was written; the current one then remains.
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
    """Remove all but the `keep` highest versions, the current one and tagged ones; their numbers are not used again.

    An unreadable version does not count as kept, and is removed if it is older than all of them. With fewer
    than `keep` readable versions nothing is removed: a damaged file may be the last copy.
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
        staying = {current_version(workspace, table), *read_tags(workspace, table).values()}
        going = [version for version in versions if version < lowest and version not in staying]
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
