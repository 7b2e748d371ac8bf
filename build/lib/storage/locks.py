"""Locks between processes that share a workspace."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from storage.errors import VecmillError

logger = logging.getLogger(__name__)


@contextmanager
def held_lock(path: Path, waiting_for: str, *, refusal: VecmillError | None = None) -> Iterator[None]:
    """Hold a file lock; log a message while another process holds it. The lock is released when its process dies.

    waiting_for: what the lock protects, such as "a release of 'reviews'", for the message.
    refusal: raised instead of waiting if another process holds the lock.
    """
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if refusal is not None:
            raise refusal from None
        logger.info("%s is being written by another run; waiting for it", waiting_for)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
