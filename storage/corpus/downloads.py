"""The store of downloads in a workspace: one folder per address, shared by all runs.

A folder holds the file under its own name, a record of what was fetched, and while a download is incomplete
`.part` with `.part.json`. A file without a record was put there by hand and is used as is.
"""

import hashlib
import logging
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, ValidationError

from storage.corpus.addresses import check_address, file_name
from storage.corpus.transfers import NO_ANSWER, Answer, Patience, Transfer, TransferError, Validators
from storage.disk import disk_errors, replaced_file, sha256_of, sync_path
from storage.errors import CorpusError, WorkspaceError
from storage.layout import Workspace
from storage.locks import held_lock
from storage.redaction import without_credentials

logger = logging.getLogger(__name__)

PATIENCE = Patience()
RECORD = "record.json"
OBJECTS_RECORD = "objects.json"
RECORDS = (RECORD, OBJECTS_RECORD)
PART = ".part"
PART_RECORD = ".part.json"
# Start of the names of unpacked archives.
UNPACKED = "unpacked-"
# Left free on the disk, so that the run can still write its logs.
SPARE_BYTES = 64 << 20


@dataclass(frozen=True)
class Download:
    """A file to fetch. folder: its name below `downloads/`.  file: fixed name, empty to take the server's.

    digest: expected, such as `sha256:…` or `md5:…`; None to record what comes.
    keep_changes: accept content that differs from the recorded.  most_bytes: size limit.
    """

    address: str
    folder: str
    file: str = ""
    digest: str | None = None
    keep_changes: bool = False
    most_bytes: int = 1 << 40

    @property
    def shown(self) -> str:
        """The address without credentials, for messages, records and digests."""
        return without_credentials(self.address)


class Record(BaseModel):
    """What was fetched from where. Credentials are removed from the address."""

    model_config = ConfigDict(frozen=True)

    address: str
    file: str
    size: int
    sha256: str
    digests: tuple[str, ...] = ()
    validators: Validators = Validators()


class Listed(BaseModel):
    """One object of an object store. name: path below its folder.  version: what changes with the content."""

    model_config = ConfigDict(frozen=True)

    name: str
    size: int
    version: str
    sha256: str = ""


class UnusedDownload(NamedTuple):
    """A folder below `downloads/` that was removed, or would be. size: bytes.  complete: not interrupted."""

    path: Path
    size: int
    complete: bool


def unused_downloads(workspace: Workspace, cutoff: float, *, dry_run: bool) -> Iterator[UnusedDownload]:
    """Remove downloads and unpacked archives last used before `cutoff` (seconds since the epoch) that no run holds."""
    root = workspace.downloads
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        if not folder.is_dir() or folder.is_symlink() or folder.name.startswith("."):
            continue
        unpacked = folder.name.startswith(UNPACKED)
        lock = FileLock(download_lock(workspace, folder.name.removesuffix(".partial")))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        try:
            if folder.stat().st_mtime >= cutoff:
                continue
            files = [file for file in folder.rglob("*") if file.is_file()]
            complete = (
                not folder.name.endswith(".partial") if unpacked else any((folder / name).is_file() for name in RECORDS)
            )
            unused = UnusedDownload(folder, sum(file.stat().st_size for file in files), complete)
            if not dry_run:
                trash = folder.with_name(f".{folder.name}.removed")
                shutil.rmtree(trash, ignore_errors=True)
                folder.rename(trash)
            yield unused
        finally:
            lock.release()
    if not dry_run and root.is_dir():
        for trash in root.glob(".*.removed"):
            shutil.rmtree(trash, ignore_errors=True)


class _UnchangedError(Exception):
    """A server that ignores conditions sends a file of the recorded size, ETag and Last-Modified."""


def download_of(address: str, sha256: str | None, most_bytes: int, *, keep_changes: bool) -> Download:
    """The download of an address, in a folder named by a digest of the address without credentials."""
    digest = hashlib.sha256(without_credentials(address).encode("utf-8", "surrogateescape")).hexdigest()
    expected = f"sha256:{sha256}" if sha256 else None
    return Download(address, f"web-{digest[:16]}", "", expected, keep_changes, most_bytes)


def downloaded_file(download: Download, workspace: Workspace) -> Path | None:
    """The complete file of a download, None if it has to be fetched first."""
    folder = workspace.downloads / download.folder
    record = _record(folder)
    if record is not None and (folder / record.file).is_file():
        return folder / record.file
    by_hand = folder / (download.file or file_name(download.address))
    return by_hand if by_hand.is_file() else None


def fetch(
    download: Download,
    workspace: Workspace,
    advanced: Callable[[int, int | None], None] = lambda done, total: None,
    patience: Patience = PATIENCE,
) -> Path:
    """The file of a download: fetched, resumed or, if the server says that it is unchanged, reused.

    advanced: called with bytes so far and in all, None if unknown.
    Raises CorpusError if the server fails, the content is not the expected one or exceeds the limit, NotAllowedError
    for a host that is not allowed, WorkspaceError if the disk is too small.
    """
    check_address(download.address)
    folder = workspace.downloads / download.folder
    with disk_errors(workspace.root, kept="what was downloaded is kept"):
        folder.mkdir(parents=True, exist_ok=True)
        with held_lock(download_lock(workspace, folder.name), f"the download of {download.shown}"):
            # Its time of last use, for cleaning up.
            folder.touch()
            return _fetch(download, folder, advanced, patience)


def _fetch(download: Download, folder: Path, advanced: Callable[[int, int | None], None], patience: Patience) -> Path:
    present = _present(download, folder)
    if present is not None and download.digest is not None and download.digest in present.digests:
        return folder / present.file
    if present is not None and not present.address:
        # Put there by hand.
        check_digest(download, folder / present.file)
        return folder / present.file
    part = folder / PART
    known = present.validators if present is not None else Validators()

    def started(answer: Answer) -> None:
        """Check the size before a byte is stored."""
        total = answer.total
        if present is not None and answer.validators == present.validators and total == present.size:
            raise _UnchangedError
        if total is not None and total > download.most_bytes:
            raise CorpusError(
                f"{download.shown} has {total / 1e9:,.2f} GB, more than corpus.max_download_gb allows; raise it"
            )
        if total is not None and present is not None and total != present.size and not download.keep_changes:
            raise _changed(download, f"it has {total:,} bytes instead of {present.size:,}")
        needed = (total or 0) - answer.start
        free = shutil.disk_usage(folder).free
        if needed + SPARE_BYTES > free:
            raise WorkspaceError(
                f"{download.shown} needs {needed / 1e9:,.2f} GB more, but the disk of {folder} has {free / 1e9:,.2f} "
                "GB left; free some space or choose another folder with --workspace"
            )
        if total is not None:
            logger.info("downloading %s: %.1f MB", download.shown, needed / 1e6)
        part.with_name(PART_RECORD).write_text(answer.validators.model_dump_json(), encoding="utf-8")

    try:
        answer = Transfer(
            address=download.address,
            part=part,
            known=known,
            held=_part_validators(folder),
            started=started,
            advanced=advanced,
            most_bytes=download.most_bytes,
            patience=patience if present is None else patience.once(),
        ).run()
    except _UnchangedError:
        part.unlink(missing_ok=True)
        return folder / (present.file if present else "")
    except TransferError as error:
        if present is not None and error.reason == NO_ANSWER:
            logger.warning("%s; the copy downloaded before is used", error)
            return folder / present.file
        raise CorpusError(f"{error}{_by_hand(download, folder)}") from error
    if answer is None and present is not None:
        return folder / present.file
    assert answer is not None
    name = download.file or file_name(download.address, answer.disposition)
    record = Record(
        address=download.shown,
        digests=(download.digest,) if download.digest else (),
        file=name if not name.startswith(RECORD) else f"file-{name}",
        size=part.stat().st_size,
        sha256=sha256_of(part),
        validators=answer.validators,
    )
    try:
        check_digest(download, part)
        if present is not None and present.sha256 != record.sha256 and not download.keep_changes:
            raise _changed(download, f"its sha256 is {record.sha256} instead of {present.sha256}")
    except CorpusError:
        part.unlink()
        raise
    sync_path(part)
    part.replace(folder / record.file)
    _write_record(folder, record)
    part.with_name(PART_RECORD).unlink(missing_ok=True)
    if present is not None and present.file != record.file:
        (folder / present.file).unlink(missing_ok=True)
    logger.info("downloaded %s: %.1f MB, sha256 %s", download.shown, record.size / 1e6, record.sha256)
    return folder / record.file


def _present(download: Download, folder: Path) -> Record | None:
    """The record of the complete file, written now for a file that was put there by hand."""
    record = _record(folder)
    if record is not None and (folder / record.file).is_file():
        size = (folder / record.file).stat().st_size
        if size == record.size:
            return record
        logger.warning("%s has %s bytes instead of %s; downloading it again", folder / record.file, size, record.size)
        return None
    by_hand = folder / (download.file or file_name(download.address))
    if not by_hand.is_file():
        return None
    record = Record(address="", file=by_hand.name, size=by_hand.stat().st_size, sha256=sha256_of(by_hand))
    check_digest(download, by_hand)
    _write_record(folder, record)
    return record


def download_lock(workspace: Workspace, name: str) -> Path:
    """Lock file of a folder below `downloads/`."""
    # Not in the folder, which cleaning up renames.
    return workspace.downloads / f".{name}.lock"


def _record(folder: Path) -> Record | None:
    try:
        return Record.model_validate_json((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValidationError, ValueError):
        return None


def _write_record(folder: Path, record: Record) -> None:
    with replaced_file(folder / RECORD) as temporary:
        temporary.write_text(record.model_dump_json(indent=1), encoding="utf-8")


def _part_validators(folder: Path) -> Validators:
    try:
        return Validators.model_validate_json((folder / PART_RECORD).read_text(encoding="utf-8"))
    except (OSError, ValidationError, ValueError):
        return Validators()


def check_digest(download: Download, path: Path) -> None:
    """Raise CorpusError if a file does not have the expected digest."""
    if download.digest is None:
        return
    algorithm, _, expected = download.digest.partition(":")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, algorithm).hexdigest()
    if found != expected:
        raise CorpusError(
            f"{download.shown}: the {algorithm} of {path} is {found}, but {expected} is expected; check the address, "
            "and corpus.sha256 if you set it"
        )


def _changed(download: Download, how: str) -> CorpusError:
    return CorpusError(
        f"{download.shown} changed since it was downloaded: {how}; set corpus.allow_change=true to use the new content"
    )


def _by_hand(download: Download, folder: Path) -> str:
    name = download.file or file_name(download.address)
    return f"; or fetch {download.shown} by hand and put it at {folder / name}"
