"""Progress of long tasks, decoupled from what displays it: a terminal, a log or nothing."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, TypeVar

Item = TypeVar("Item")


class ProgressListener(Protocol):
    """Displays progress. `total` and `done` are in `unit`, such as words.

    Work can start inside other work: until it has finished, progress is that of the inner one.
    """

    def started(self, what: str, total: int, unit: str) -> None:
        """Work of `total` units has started. total: 0 if it is unknown."""

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


@contextmanager
def working_on(what: str) -> Iterator[None]:
    """Show that work of unknown length runs inside the block."""
    with counting(what, 0, ""):
        yield


@contextmanager
def counting(what: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """A function that shows how much of the work inside the block is done."""
    listener = progress_listener()
    listener.started(what, total, unit)
    try:
        yield listener.advanced
    finally:
        listener.finished()


def counted(items: Iterable[Item], size: Callable[[Item], int], what: str, total: int, unit: str) -> Iterator[Item]:
    """The items, while progress is shown. size: of an item, in units.  total: expected size of all."""
    # The consumer may be another thread, which has another context.
    return _counted(items, size, progress_listener(), (what, total, unit))


def _counted(
    items: Iterable[Item], size: Callable[[Item], int], listener: ProgressListener, work: tuple[str, int, str]
) -> Iterator[Item]:
    done, total = 0, work[1]
    listener.started(*work)
    try:
        for item in items:
            yield item
            done += size(item)
            listener.advanced(min(done, total))
    finally:
        listener.finished()


def rate_text(per_second: float, unit: str) -> str:
    """A speed for people, such as `1.73 M words/s`, `12 k tokens/s` or `8.1 MB/s`."""
    if unit == "bytes":
        return f"{per_second / 1e6:.1f} MB/s"
    if per_second >= 1e6:
        return f"{per_second / 1e6:.2f} M {unit}/s"
    return f"{per_second / 1e3:.0f} k {unit}/s" if per_second >= 1e4 else f"{per_second:.0f} {unit}/s"


def duration_text(seconds: float) -> str:
    """A duration for people, such as `8 s`, `3 min 5 s` or `2 h 10 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
