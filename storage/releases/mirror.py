"""Copies of a table's releases in an object store, for readers without the workspace.

    <address>/<table>/v000003.duckdb, .parquet, .report.html    complete before they are listed
    <address>/<table>/v000003.json                              the manifest, after the other files of its version
    <address>/<table>/versions.json                             written last: the versions to read, and the current one

An interrupted upload leaves objects that `versions.json` does not list, and the next one replaces them. Versions that
were pruned from the workspace stay in the mirror.
"""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError

from storage.corpus.addresses import check_address
from storage.corpus.object_stores import open_store
from storage.disk import sha256_of
from storage.errors import MirrorError, SettingsError
from storage.layout import REPORT_SUFFIX, Workspace
from storage.locks import held_lock
from storage.redaction import HIDDEN, without_credentials
from storage.releases.ledger import current_version, existing_table, kept_versions
from storage.stages import FileRecord

SETTING = "publication.mirror"
SCHEMES = ("s3", "gs", "gcs", "az", "abfs")
INDEX = "versions.json"
# The manifest follows the files that it describes. A report may be missing, or be written later.
SUFFIXES = (".duckdb", ".parquet", REPORT_SUFFIX, ".json")
DATABASE = ".duckdb"


class MirrorIndex(BaseModel):
    """What `versions.json` of a mirror lists. versions: number -> suffix -> size and sha256 of the file."""

    model_config = ConfigDict(frozen=True)

    table: str
    current: int | None = None
    versions: dict[int, dict[str, FileRecord]] = {}


class Mirrored(BaseModel):
    """What one upload did: versions of which files were uploaded, and the current one of the mirror."""

    model_config = ConfigDict(frozen=True)

    table: str
    address: str
    uploaded: list[int]
    current: int | None

    def __str__(self) -> str:
        if not self.uploaded:
            return f"up to date, version {self.current} of {self.table} is current"
        versions = ", ".join(map(str, self.uploaded))
        return f"uploaded version {versions} of {self.table}; version {self.current} is current"


def check_mirror(address: str, setting: str = SETTING) -> None:
    """Raise SettingsError for an address that cannot be a mirror, NotAllowedError for one that is not allowed."""
    shown = without_credentials(address)
    if urlsplit(address).scheme not in SCHEMES:
        known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        raise SettingsError(f"{setting}: {shown} is not an address in an object store; use {known}")
    if shown != address or HIDDEN in address:
        raise SettingsError(
            f"{setting}: {shown} contains credentials, which would be stored with each run; leave them out and set "
            "them as the store's own variables or files (AWS_ACCESS_KEY_ID, ~/.aws/credentials, …)"
        )
    check_address(address, setting)


def mirror_table(workspace: Workspace, table: str, address: str) -> Mirrored:
    """Upload the kept versions that a mirror lacks, then the list of versions.

    Waits for another upload of the table from this workspace. Raises SettingsError for the address, ReleaseError
    for the table, MirrorError if the store fails or holds other releases under the same numbers.
    """
    check_mirror(address)
    existing_table(workspace, table)
    with held_lock(workspace.mirror_lock(table), f"the mirror of {table!r}"):
        mirror = _Mirror(address, table)
        index = mirror.read_index()
        listed, uploaded = dict(index.versions), []
        for version in kept_versions(workspace, table):
            files = _files(workspace, table, version)
            known = listed.get(version, {})
            if known == files:
                continue
            if known and known.get(DATABASE) != files[DATABASE]:
                raise MirrorError(
                    f"{mirror.shown} holds another version {version} of {table}; it mirrors another workspace, so "
                    "choose another address"
                )
            for suffix in files:
                if known.get(suffix) != files[suffix]:
                    mirror.upload(workspace.release_file(table, version, suffix))
            listed[version] = files
            uploaded.append(version)
        current = current_version(workspace, table)
        if uploaded or current != index.current:
            mirror.write_index(MirrorIndex(table=table, current=current, versions=listed))
    return Mirrored(table=table, address=address, uploaded=uploaded, current=current)


def _files(workspace: Workspace, table: str, version: int) -> dict[str, FileRecord]:
    """Suffix -> size and sha256 of each file of a version."""
    paths = {suffix: workspace.release_file(table, version, suffix) for suffix in SUFFIXES}
    return {
        suffix: FileRecord(size=path.stat().st_size, sha256=sha256_of(path))
        for suffix, path in paths.items()
        if path.is_file()
    }


class _Mirror:
    """The folder of a table in an object store."""

    def __init__(self, address: str, table: str) -> None:
        self.shown = f"{address.rstrip('/')}/{table}"
        self._retry = f"run `vecmill mirror {table} {address}`"
        self._system, self._folder = open_store(self.shown, MirrorError)

    def read_index(self) -> MirrorIndex:
        """What the mirror lists, nothing if it is new."""
        try:
            text = self._system.cat_file(f"{self._folder}/{INDEX}")
        except FileNotFoundError:
            return MirrorIndex(table=self._folder.rpartition("/")[2])
        except Exception as error:  # each store has its own exceptions
            raise self._failed("be read", error) from error
        try:
            return MirrorIndex.model_validate_json(text)
        except ValidationError as error:
            raise MirrorError(
                f"{self.shown}/{INDEX} is not the index of a mirror; remove it, and the next upload writes a new one"
            ) from error

    def write_index(self, index: MirrorIndex) -> None:
        """Replace the list of versions, in a single request."""
        try:
            self._system.pipe_file(f"{self._folder}/{INDEX}", index.model_dump_json(indent=1).encode())
        except Exception as error:
            raise self._failed("be written", error) from error

    def upload(self, path: Path) -> None:
        """Upload one file and compare its size."""
        remote = f"{self._folder}/{path.name}"
        try:
            self._system.put_file(str(path), remote)
            self._system.invalidate_cache()
            size: Any = self._system.info(remote)["size"]
        except Exception as error:
            raise self._failed(f"be written: {path.name} is missing", error) from error
        if size != path.stat().st_size:
            raise MirrorError(
                f"{self.shown}/{path.name} has {size:,} bytes instead of {path.stat().st_size:,}; {self._retry}"
            )

    def _failed(self, what: str, error: Exception) -> MirrorError:
        reason = " ".join(str(error).split()) or type(error).__name__
        return MirrorError(
            f"the mirror {self.shown} cannot {what} ({reason}); check the address, network and credentials, then "
            f"{self._retry}"
        )
