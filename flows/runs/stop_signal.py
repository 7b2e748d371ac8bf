"""How a run reacts to SIGTERM: it stops once, and nothing interrupts the checkpoint that it then writes."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stopped_once() -> Iterator[None]:
    """Let the first SIGTERM stop the run by Prefect's handler, and ignore those that follow.

    systemd signals the run, and `vecmill up` signals it again. The worker of `vecmill up` starts its runs with SIGTERM
    blocked: one that came before the flow could handle it takes effect here.
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
    # Not after an error: a run that stops still has to report.
    signal.signal(signal.SIGTERM, previous)
