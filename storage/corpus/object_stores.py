"""Files in object stores (S3, Google Cloud Storage, Azure, Hugging Face) through fsspec, kept with other downloads.

One file, all files below a folder, or the matches of a pattern. A file is fetched again only if its size
or ETag changed.
"""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError

from storage.corpus.addresses import OBJECT_STORES, check_address, safe_name, with_secrets
from storage.corpus.downloads import OBJECTS_RECORD as RECORD
from storage.corpus.downloads import SPARE_BYTES, Download, Listed, check_digest, download_lock
from storage.disk import check_free_space, disk_errors, replaced_file, sha256_of, sync_path
from storage.errors import CorpusError, VecmillError, WorkspaceError
from storage.layout import Workspace
from storage.locks import held_lock
from storage.redaction import without_credentials

logger = logging.getLogger(__name__)

PART_RECORD = "objects.part.json"
FILES = "files"
COPY_BYTES = 1 << 20
# What identifies the content of an object, by the name that each implementation uses.
VERSIONS = ("ETag", "etag", "md5Hash", "content_md5", "blob_id", "last_modified", "LastModified", "mtime")


class Objects(BaseModel):
    """What was fetched: path below `files/` -> size, version and sha256."""

    model_config = ConfigDict(frozen=True)

    address: str
    files: dict[str, Listed]


def is_object_address(address: str) -> bool:
    """Whether fsspec reads an address."""
    return urlsplit(address).scheme in OBJECT_STORES


def fetched_objects(download: Download, workspace: Workspace) -> Path | None:
    """The folder of the objects, None if they have to be fetched first."""
    folder = workspace.downloads / download.folder
    return folder / FILES if _files(folder, RECORD) else None


def fetch_objects(download: Download, workspace: Workspace, advanced: Callable[[int, int | None], None]) -> Path:
    """Fetch all objects at an address; those that are unchanged are not fetched again. Returns their folder.

    Raises CorpusError if there are none, the store fails, the limit is exceeded or content changed, NotAllowedError,
    WorkspaceError, and CorpusError that names the extra to install.
    """
    check_address(download.address)
    folder = workspace.downloads / download.folder
    system, listed = _listed(download)
    total = sum(file.size for file in listed.values())
    if total > download.most_bytes:
        raise CorpusError(
            f"{download.shown} has {total / 1e9:,.2f} GB, more than corpus.max_download_gb allows; raise it"
        )
    with disk_errors(workspace.root, kept="what was downloaded is kept"):
        folder.mkdir(parents=True, exist_ok=True)
        with held_lock(download_lock(workspace, folder.name), f"the download of {download.shown}"):
            folder.touch()
            known = _files(folder, RECORD) | _files(folder, PART_RECORD)
            missing = {file.name for file in listed.values() if not _is_present(file, known.get(file.name), folder)}
            needed = sum(file.size for file in listed.values() if file.name in missing)
            if missing:
                logger.info("downloading %s: %.1f MB in %s files", download.shown, needed / 1e6, f"{len(missing):,}")
            check_free_space(folder, needed + SPARE_BYTES, f"the download of {download.shown}")
            done, fetched = 0, {}
            for remote, file in listed.items():
                target = folder / FILES / file.name
                old = known.get(file.name)
                if old is None or file.name in missing:
                    file = file.model_copy(update={"sha256": _copied(system, remote, file, target, download)})
                    if old is not None and old.sha256 != file.sha256 and not download.keep_changes:
                        raise CorpusError(
                            f"{download.shown}: {file.name} changed since it was downloaded; set "
                            "corpus.allow_change=true to use the new content"
                        )
                    target.with_name(f".{target.name}.part").replace(target)
                else:
                    file = old
                fetched[file.name] = file
                # What a killed run need not fetch again.
                _write(folder, PART_RECORD, Objects(address=download.shown, files=fetched))
                done += file.size
                advanced(done, total)
            for name in known.keys() - fetched.keys():
                (folder / FILES / name).unlink(missing_ok=True)
            _write(folder, RECORD, Objects(address=download.shown, files=fetched))
            (folder / PART_RECORD).unlink()
    return folder / FILES


def _is_present(file: Listed, old: Listed | None, folder: Path) -> bool:
    """Whether this version of an object was copied before."""
    return (
        old is not None
        and (old.size, old.version) == (file.size, file.version)
        and (folder / FILES / file.name).is_file()
    )


def open_store(address: str, error: type[VecmillError]) -> tuple[Any, str]:
    """The fsspec file system of an address, without cached listings, and the path within it.

    Raises `error` with the extra to install if its implementation is missing.
    """
    import fsspec

    extra = OBJECT_STORES[urlsplit(address).scheme]
    try:
        system, path = fsspec.core.url_to_fs(address)
    except (ImportError, ValueError) as missing:
        raise error(
            f"{without_credentials(address)} needs the extra {extra!r}: pip install 'vecmill[{extra}]'"
        ) from missing
    system.invalidate_cache()
    return system, path


def _listed(download: Download) -> tuple[Any, dict[str, Listed]]:
    """The file system, and remote path -> description of each object."""
    system, path = open_store(with_secrets(download.address), CorpusError)
    try:
        base = path.split("*")[0].rpartition("/")[0]
        if "*" in path:
            found = system.glob(path, detail=True)
        elif system.isfile(path):
            base, found = path.rpartition("/")[0], {path: system.info(path)}
        else:
            base, found = path.rstrip("/"), system.find(path, detail=True)
    except Exception as error:  # each store has its own exceptions
        raise _failed(download, error) from error
    listed = {}
    for remote, info in found.items():
        if info.get("type") != "file":
            continue
        parts = PurePosixPath(remote.removeprefix(base).lstrip("/")).parts
        if any(part.startswith(("_", ".")) for part in parts):
            # Markers, metadata and unfinished output, as in folders.
            continue
        version = next((str(info[key]) for key in VERSIONS if info.get(key)), "")
        listed[remote] = Listed(name="/".join(map(safe_name, parts)), size=int(info.get("size") or 0), version=version)
    if not listed:
        raise CorpusError(f"{download.shown}: no objects there; check corpus.path and the credentials of the store")
    if len({file.name for file in listed.values()}) < len(listed):
        raise CorpusError(f"{download.shown}: two objects have the same name on this system; rename one")
    return system, listed


def _copied(system: Any, remote: str, file: Listed, target: Path, download: Download) -> str:  # noqa: ANN401
    """Copy an object to `.<name>.part` next to its target. Returns its sha256."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(target.parent).free < file.size + SPARE_BYTES:
        raise WorkspaceError(
            f"{download.shown} needs {file.size / 1e9:,.2f} GB for {file.name}, more than the disk has left; free some "
            "space or choose another folder with --workspace"
        )
    part = target.with_name(f".{target.name}.part")
    try:
        with system.open(remote, "rb") as source, part.open("wb") as copy:
            shutil.copyfileobj(source, copy, COPY_BYTES)
    except Exception as error:
        raise _failed(download, error) from error
    if part.stat().st_size != file.size:
        raise CorpusError(f"{download.shown}: {file.name} has {part.stat().st_size:,} bytes instead of {file.size:,}")
    check_digest(download, part)
    sync_path(part)
    return sha256_of(part)


def _files(folder: Path, name: str) -> dict[str, Listed]:
    try:
        return Objects.model_validate_json((folder / name).read_text(encoding="utf-8")).files
    except (OSError, ValidationError, ValueError):
        return {}


def _write(folder: Path, name: str, objects: Objects) -> None:
    with replaced_file(folder / name) as temporary:
        temporary.write_text(objects.model_dump_json(), encoding="utf-8")


def _failed(download: Download, error: Exception) -> CorpusError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return CorpusError(f"{download.shown} cannot be downloaded: {reason}; check the address, network and credentials")
