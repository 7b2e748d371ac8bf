"""Where `vecmill up` notes what it runs, so that a second one and the other commands find it.

The note lies beside Prefect's own database. Whoever holds the lock beside it is running; a note without a holder is
what a killed one left, and names by its token the processes that may still be there.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from prefect.settings import PREFECT_HOME
from pydantic import BaseModel, ConfigDict, ValidationError

from storage.disk import replaced_file


class StackRecord(BaseModel):
    """One `vecmill up`. token: in the environment of every process it started, as VECMILL_UP."""

    model_config = ConfigDict(frozen=True)

    pid: int
    token: str
    api_url: str
    ui_url: str


def stack_folder() -> Path:
    """Folder of the note, the lock and the logs of `vecmill up`."""
    return Path(PREFECT_HOME.value()) / "vecmill"


def running_stack() -> StackRecord | None:
    """What is running now, if anything."""
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
    """The note, if there is one that can be read."""
    try:
        return StackRecord.model_validate_json((stack_folder() / "up.json").read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return None


@contextmanager
def sole_stack() -> Iterator[bool]:
    """Hold the lock of `vecmill up`; gives whether this process got it."""
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
    """Nothing is left of it."""
    (stack_folder() / "up.json").unlink(missing_ok=True)
