"""The events that vecmill emits, for Prefect automations to react to."""

from collections.abc import Sequence
from uuid import UUID

from prefect.context import FlowRunContext, TaskRunContext
from prefect.events import Event, RelatedResource, Resource, emit_event

from storage.layout import Workspace

RELEASE_PUBLISHED = "vecmill.release.published"
RUN_FAILED = "vecmill.run.failed"


def emit_release_published(workspace: Workspace, table: str, version: int) -> None:
    """Emit the event of a new version of a table; no-op outside a run, where no server exists."""
    if not (FlowRunContext.get() or TaskRunContext.get()):
        return
    emit_event(
        event=RELEASE_PUBLISHED,
        resource={"prefect.resource.id": f"vecmill.table.{table}", "prefect.resource.name": table},
        payload={"table": table, "version": version, "workspace": str(workspace.root)},
    )


def emit_run_failed(run: UUID, name: str, tags: Sequence[str]) -> None:
    """Emit the event of a run that failed, or that a gate refused.

    Prefect's own state event is already used by the automation `silent_runs_crash`. With SQLite under load, two
    automations that write for the same event block each other: Prefect tries the event four times, then drops it.
    """
    event = failure_event(run, name, tags)
    emit_event(event=event.event, resource=dict(event.resource.root), related=[dict(it.root) for it in event.related])


def failure_event(run: UUID, name: str, tags: Sequence[str]) -> Event:
    """The event that people are notified of; Prefect's automations find the run as its resource."""
    return Event(
        event=RUN_FAILED,
        resource=Resource({"prefect.resource.id": f"prefect.flow-run.{run}", "prefect.resource.name": name}),
        related=[
            RelatedResource({"prefect.resource.id": f"prefect.tag.{tag}", "prefect.resource.role": "tag"})
            for tag in tags
        ],
    )
