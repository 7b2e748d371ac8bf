"""The events that vecmill tells a Prefect server, for automations to react to."""

from collections.abc import Sequence
from uuid import UUID

from prefect.context import FlowRunContext, TaskRunContext
from prefect.events import Event, RelatedResource, Resource, emit_event

from storage.layout import Workspace

RELEASE_PUBLISHED = "vecmill.release.published"
RUN_FAILED = "vecmill.run.failed"


def emit_release_published(workspace: Workspace, table: str, version: int) -> None:
    """Tell the server of a run that a table has a new version; without a run there is no server to tell."""
    if not (FlowRunContext.get() or TaskRunContext.get()):
        return
    emit_event(
        event=RELEASE_PUBLISHED,
        resource={"prefect.resource.id": f"vecmill.table.{table}", "prefect.resource.name": table},
        payload={"table": table, "version": version, "workspace": str(workspace.root)},
    )


def emit_run_failed(run: UUID, name: str, tags: Sequence[str]) -> None:
    """Tell the server that a run has failed, or was refused by its gates.

    Prefect's own event of that state is also what `silent_runs_crash` counts. With SQLite, automations that write for
    one event get into each other's way under load: the event is evaluated four times, then dropped.
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
