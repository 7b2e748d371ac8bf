"""Progress of long tasks, decoupled from what displays it: a terminal, a log or nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol


class ProgressListener(Protocol):
    """Displays progress. `total` and `done` are in `unit`, such as words."""

    def started(self, what: str, total: int, unit: str) -> None:
        """Work of `total` units has started."""

    def advanced(self, done: int) -> None:
        """`done` units are finished."""

    def finished(self) -> None:
        """The work has ended, successfully or not."""


class NullProgress:
    """A listener that ignores all progress."""

    def started(self, what: str, total: int, unit: str) -> None:
        """Ignore it."""

    def advanced(self, done: int) -> None:
        """Ignore it."""

    def finished(self) -> None:
        """Ignore it."""


_NULL_PROGRESS = NullProgress()
_listener: ContextVar[ProgressListener] = ContextVar("progress_listener", default=_NULL_PROGRESS)


def progress_listener() -> ProgressListener:
    """The listener of the current context."""
    return _listener.get()


@contextmanager
def listening(listener: ProgressListener) -> Iterator[None]:
    """Send the progress of everything that runs inside the block to `listener`."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
