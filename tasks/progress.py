"""How a long task tells how far it is, without knowing who listens: a terminal, a log or nobody."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol


class ProgressListener(Protocol):
    """Whoever shows progress. `total` and `done` are in `unit`, such as words."""

    def started(self, what: str, total: int, unit: str) -> None:
        """A piece of work of `total` units begins."""

    def advanced(self, done: int) -> None:
        """`done` units of it are finished."""

    def finished(self) -> None:
        """The work has ended, well or not."""


class NullProgress:
    """The listener of a run that shows no progress."""

    def started(self, what: str, total: int, unit: str) -> None:
        """Ignore it."""

    def advanced(self, done: int) -> None:
        """Ignore it."""

    def finished(self) -> None:
        """Ignore it."""


_NULL_PROGRESS = NullProgress()
_listener: ContextVar[ProgressListener] = ContextVar("progress_listener", default=_NULL_PROGRESS)


def progress_listener() -> ProgressListener:
    """The listener of the current run."""
    return _listener.get()


@contextmanager
def listening(listener: ProgressListener) -> Iterator[None]:
    """Send the progress of everything run inside to `listener`."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
