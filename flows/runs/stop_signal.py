"""SIGTERM handling of a run: it stops once, and further signals do not interrupt its last checkpoint."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from inspect import unwrap
from types import FrameType
from typing import Any

from prefect.utilities import engine

Handler = Callable[[int, FrameType | None], Any]


@contextmanager
def stopped_once() -> Iterator[None]:
    """Pass the first SIGTERM to Prefect's handler, which stops the run, and ignore further ones.

    systemd signals the run, then `vecmill up` signals it again. The worker of `vecmill up` starts runs with SIGTERM
    blocked; a signal that arrived before the flow could handle it takes effect here.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    found = signal.getsignal(signal.SIGTERM)
    # A run that failed in this process before has left its handler.
    previous = unwrap(found) if callable(found) else None
    stop = _once(previous) if previous else None
    if stop:
        _replace(stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    yield
    # Not restored after an error: a stopping run still has to report its state.
    if previous:
        _replace(previous)


def _once(handler: Handler) -> Handler:
    @wraps(handler)
    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        handler(number, frame)

    return stop


def _replace(handler: Handler) -> None:
    """Handle SIGTERM, also instead of Prefect.

    Before the worker signals a run that was cancelled, it sends a message. Prefect accepts that only while the handler
    is the one in its module; without the message the run would end as Crashed.
    """
    with engine._prefect_sigterm_bridge_lock:
        if signal.signal(signal.SIGTERM, handler) is engine._prefect_sigterm_handler:
            engine._prefect_sigterm_handler = handler  # type: ignore[assignment]
