"""Prefect artifacts of a run: a progress bar during training, the metrics and a summary at the end."""

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from contextvars import copy_context
from uuid import UUID

import httpx
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.context import FlowRunContext, TaskRunContext
from prefect.exceptions import PrefectException

from tasks.progress import duration_text, progress_listener, rate_text

# An update costs the server 10 to 30 ms. Twenty of them look smooth, and their cost is negligible.
PROGRESS_UPDATES = 20
LAST_UPDATE_SECONDS = 5.0

logger = logging.getLogger(__name__)


class _ProgressArtifact:
    """A Prefect progress artifact, updated from a separate thread.

    A slow or unreachable server never delays training: updates that cannot be sent in time are skipped.
    """

    def __init__(self, total: int, unit: str) -> None:
        self._total, self._unit = max(total, 1), unit
        self._percent = self._sent = 0.0
        self._speed = ""
        self._first: tuple[float, int] | None = None
        self._closed = False
        self._updated = threading.Event()
        # The context carries the run and the address of its server.
        self._thread = threading.Thread(target=copy_context().run, args=(self._send,), daemon=True)
        self._thread.start()

    def advanced(self, done: int) -> None:
        """Report that `done` units are finished."""
        self._percent = min(100.0, 100.0 * done / self._total)
        self._speed = self._speed_text(done)
        if self._percent - self._sent >= 100.0 / PROGRESS_UPDATES:
            self._updated.set()

    def _speed_text(self, done: int) -> str:
        """Speed and time left, measured from the first step of this run: a resumed training starts in the middle."""
        now = time.monotonic()
        if self._first is None:
            self._first = now, done
            return ""
        seconds, units = now - self._first[0], done - self._first[1]
        if not seconds or not units:
            return ""
        rate = units / seconds
        left = "finished" if done >= self._total else f"{duration_text((self._total - done) / rate)} left"
        return f": {rate_text(rate, self._unit)}, {left}"

    def close(self) -> None:
        """Send the final percentage, unless the server takes too long."""
        self._closed = True
        self._updated.set()
        self._thread.join(LAST_UPDATE_SECONDS)

    def _send(self) -> None:
        artifact: UUID | None = None
        while not self._closed or self._sent < self._percent:
            percent, description = self._percent, f"Words trained{self._speed}"
            try:
                if artifact is None:
                    created = create_progress_artifact(percent, key="training-progress", description=description)
                    artifact = created if isinstance(created, UUID) else None
                else:
                    update_progress_artifact(artifact, percent, description)
            except (httpx.HTTPError, PrefectException) as error:
                logger.warning("cannot send training progress to the Prefect server: %s", error)
            self._sent = percent
            if not self._closed:
                self._updated.wait()
            self._updated.clear()


class _Progress:
    """Forwards progress to the listener of the run and, inside a task run, to an artifact."""

    def __init__(self, total: int) -> None:
        self._listener = progress_listener()
        self._artifact = _ProgressArtifact(total, "words") if TaskRunContext.get() else None
        self._listener.started("training", total, "words")

    def advanced(self, done: int) -> None:
        """Report that `done` words are finished."""
        self._listener.advanced(done)
        if self._artifact:
            self._artifact.advanced(done)

    def close(self) -> None:
        """Report the end of the work, successful or not."""
        self._listener.finished()
        if self._artifact:
            self._artifact.close()


def training_progress(total_words: int) -> "closing[_Progress]":
    """Report training progress to the run's listener and, inside a task run, as a progress artifact."""
    return closing(_Progress(total_words))


def create_artifacts(table: str, metrics: Sequence[dict[str, object]], summary: str) -> None:
    """Create the table artifact of the metrics and the markdown artifact of the summary; no-op outside a flow run."""
    if not FlowRunContext.get():
        return
    if metrics:
        create_table_artifact(
            table=[dict(row) for row in metrics],
            key=artifact_key(table, "metrics"),
            description=f"Metrics of {table}",
        )
    create_markdown_artifact(summary, key=artifact_key(table, "summary"), description=f"Summary of {table}")


def artifact_key(table: str, kind: str) -> str:
    """The key of an artifact: Prefect allows lower-case letters, digits and dashes."""
    return f"{table.lower().replace('_', '-')}-{kind}"
