"""Record of the running `vecmill up`, for a second `vecmill up` and for the other commands.

The record is stored next to Prefect's database. A running `vecmill up` holds the lock file; a record without a lock
holder was left by a killed process, and its token identifies child processes that may still run.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from prefect.settings import PREFECT_HOME
from pydantic import BaseModel, ConfigDict, ValidationError

from storage.disk import replaced_file


class StackRecord(BaseModel):
    """A running `vecmill up`. token: value of VECMILL_UP in the environment of all processes it started."""

    model_config = ConfigDict(frozen=True)

    pid: int
    token: str
    api_url: str
    ui_url: str


def stack_folder() -> Path:
    """Folder with the record, the lock and the logs of `vecmill up`."""
    return Path(PREFECT_HOME.value()) / "vecmill"


def running_stack() -> StackRecord | None:
    """The record if `vecmill up` is running, else None."""
    folder = stack_folder()
    if not folder.is_dir():
        return None
    lock = FileLock(folder / "up.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return read_record()
    lock.release()
    return None


def read_record() -> StackRecord | None:
    """The record, or None if it is missing or unreadable."""
    try:
        return StackRecord.model_validate_json((stack_folder() / "up.json").read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return None


@contextmanager
def sole_stack() -> Iterator[bool]:
    """Try to take the lock of `vecmill up`; yields whether this process holds it."""
    stack_folder().mkdir(parents=True, exist_ok=True)
    lock = FileLock(stack_folder() / "up.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def write_record(record: StackRecord) -> None:
    """Replace the record atomically."""
    with replaced_file(stack_folder() / "up.json") as written:
        written.write_text(record.model_dump_json() + "\n", encoding="utf-8")


def remove_record() -> None:
    """Delete the record."""
    (stack_folder() / "up.json").unlink(missing_ok=True)
