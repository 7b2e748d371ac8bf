"""The events that vecmill tells a Prefect server, for automations to react to."""

from prefect.context import FlowRunContext, TaskRunContext
from prefect.events import emit_event

from storage.layout import Workspace

RELEASE_PUBLISHED = "vecmill.release.published"


def announce_release(workspace: Workspace, table: str, version: int) -> None:
    """Tell the server of a run that a table has a new version; without a run there is no server to tell."""
    if not (FlowRunContext.get() or TaskRunContext.get()):
        return
    emit_event(
        event=RELEASE_PUBLISHED,
        resource={"prefect.resource.id": f"vecmill.table.{table}", "prefect.resource.name": table},
        payload={"table": table, "version": version, "workspace": str(workspace.root)},
    )
