"""List the releases of a table, from their manifests."""

from storage.layout import TABLE_NAME, Workspace
from storage.releases.ledger import current_version, existing_table, kept_versions
from storage.releases.records import Release, ReleaseSummary, read_release, readable_releases, summarize_release
from storage.releases.tags import read_tags


def every_table(workspace: Workspace) -> list[str]:
    """The tables of a workspace in alphabetical order, including those that only have refused candidates."""
    folders = workspace.tables_root.iterdir() if workspace.tables_root.is_dir() else ()
    return sorted(folder.name for folder in folders if folder.is_dir() and TABLE_NAME.fullmatch(folder.name))


def current_release(workspace: Workspace, table: str) -> Release | None:
    """The release that readers of the table get now, None before the first one.

    Raises ReleaseError if the file under the table's name is not a readable release.
    """
    version = current_version(workspace, table)
    if version is None:
        return None
    kept = workspace.release_file(table, version)
    return read_release(kept if kept.exists() else workspace.table_file(table))


def kept_releases(workspace: Workspace, table: str) -> list[Release]:
    """Every published release of a table that is kept and can be read, lowest version first."""
    return readable_releases(workspace.release_file(table, version) for version in kept_versions(workspace, table))


def list_releases(workspace: Workspace, table: str) -> list[ReleaseSummary]:
    """Every kept release of a table, lowest version first, then the refused candidates, oldest first.

    Raises ReleaseError if there is no such table.
    """
    existing_table(workspace, table)
    current = current_version(workspace, table)
    published = kept_releases(workspace, table)
    refused = readable_releases(workspace.candidates_folder(table).glob("*.duckdb"))
    refused.sort(key=lambda candidate: candidate.created_at)
    tags = read_tags(workspace, table)
    return [summarize_release(release, current, tags) for release in [*published, *refused]]
