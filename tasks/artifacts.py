"""What a run leaves in Prefect's UI: a progress bar while training, the metrics and a summary at the end."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.context import FlowRunContext, TaskRunContext

from tasks.progress import ProgressListener, progress_listener

# An update costs 10 to 30 ms at the server; twenty of them are smooth enough and cost nothing that counts.
PROGRESS_UPDATES = 20


class _ProgressArtifact:
    """Mirrors progress into a Prefect progress artifact and passes it on to the listener of the run."""

    def __init__(self, listener: ProgressListener, total: int) -> None:
        self._listener = listener
        self._total = total
        self._shown = 0
        self._artifact: UUID | None = None
        if TaskRunContext.get():
            artifact = create_progress_artifact(0.0, key="training-progress", description="Words trained")
            self._artifact = artifact if isinstance(artifact, UUID) else None

    def advanced(self, done: int) -> None:
        """Tell that `done` units are finished."""
        self._listener.advanced(done)
        step = done * PROGRESS_UPDATES // max(self._total, 1)
        if self._artifact and step > self._shown:
            self._shown = step
            update_progress_artifact(self._artifact, min(100.0, 100.0 * done / self._total))


@contextmanager
def training_progress(total_words: int) -> Iterator[_ProgressArtifact]:
    """Show training to whoever listens and, inside a task run, as a progress artifact."""
    listener = progress_listener()
    listener.started("training", total_words, "words")
    try:
        yield _ProgressArtifact(listener, total_words)
    finally:
        listener.finished()


def leave_artifacts(table: str, verdicts: Sequence[dict[str, object]], summary: str) -> None:
    """Write the verdict table and the summary of a run; outside a flow run there is nobody to show them to."""
    if not FlowRunContext.get():
        return
    key = table.lower().replace("_", "-")
    if verdicts:
        create_table_artifact(
            table=[dict(row) for row in verdicts], key=f"{key}-metrics", description=f"Metrics of {table}"
        )
    create_markdown_artifact(summary, key=f"{key}-summary", description=f"Summary of {table}")
