"""SIGTERM handling of a run: it stops once, and further signals do not interrupt its last checkpoint."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stopped_once() -> Iterator[None]:
    """Pass the first SIGTERM to Prefect's handler, which stops the run, and ignore further ones.

    systemd signals the run, then `vecmill up` signals it again. The worker of `vecmill up` starts runs with SIGTERM
    blocked; a signal that arrived before the flow could handle it takes effect here.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.getsignal(signal.SIGTERM)

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        assert callable(previous)
        previous(number, frame)

    if callable(previous):
        signal.signal(signal.SIGTERM, stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    yield
    # Not restored after an error: a stopping run still has to report its state.
    signal.signal(signal.SIGTERM, previous)
