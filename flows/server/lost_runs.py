"""Detect runs that cannot report their own end: never started, lost with their worker, or late.

`vecmill up` checks for them while it runs. The server sends notifications for the states set here; this module adds
what needs access to the workspace: the record for `vecmill runs` and the artifact with the resume command.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateName,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.events.filters import EventFilter, EventNameFilter, EventOccurredFilter, EventResourceFilter
from prefect.exceptions import PrefectException
from prefect.states import Crashed

from flows.runs.stop_notes import has_stop_note, write_stop_note
from flows.server.automations import HEARTBEAT, LATE, NEVER_STARTED, SILENCE, SILENT
from flows.server.marked_processes import run_ids
from storage.layout import Workspace
from tasks.events import failure_event

logger = logging.getLogger(__name__)

LOOK_SECONDS = 10.0
# A run's process takes seconds to start, up to a minute on a busy machine.
START = timedelta(seconds=75)
# Time for the hooks of the run or the worker to write the note.
HOOKS = timedelta(seconds=15)
# After a server outage a run sends its next heartbeat within 30 seconds; the automation acts first.
REPORT = timedelta(seconds=10)
# Runs that ended earlier are ignored.
RECENT = timedelta(days=2)
NO_WORKER = "no worker picked it up; check that a worker of its work pool is running and has a free slot"


class LostRuns:
    """Lost runs reported so far.  since: start time of the server; runs may resume reporting after it."""

    def __init__(self, workspace: Workspace, token: str, since: datetime) -> None:
        self._workspace = workspace
        self._token = token
        self._since = since
        self._settled: set[tuple[UUID, str | None]] = set()

    def look(self, client: SyncPrefectClient, now: datetime) -> None:
        """Mark lost runs as Crashed, and write a note for each crashed or late run that has none."""
        alive = run_ids(self._token)
        for run, state in self._found(client, StateType.PENDING):
            if now - max(state.timestamp, self._since) > START and str(run.id) not in alive:
                client.set_flow_run_state(run.id, Crashed(message=NEVER_STARTED))
        for run, _ in self._found(client, StateType.RUNNING):
            heartbeat = None if str(run.id) in alive else _last_heartbeat(client, run)
            if heartbeat and now - max(heartbeat, self._since) > SILENCE + REPORT:
                client.set_flow_run_state(run.id, Crashed(message=SILENT))
        for run, state in self._found(client, StateType.CRASHED):
            if HOOKS < now - state.timestamp < RECENT:
                self._note(client, run, state)
        for run, state in self._found(client, StateType.SCHEDULED, LATE):
            if now - max(state.timestamp, self._since) > HOOKS:
                self._note(client, run, state.model_copy(update={"message": NO_WORKER}))

    def _found(
        self, client: SyncPrefectClient, kind: StateType, name: str | None = None
    ) -> Iterator[tuple[FlowRun, State]]:
        names = FlowRunFilterStateName(any_=[name]) if name else None
        found = client.read_flow_runs(
            flow_run_filter=FlowRunFilter(
                tags=FlowRunFilterTags(all_=["vecmill"]),
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[kind]), name=names),
            ),
            sort=FlowRunSort.EXPECTED_START_TIME_DESC,
        )
        for run in found:
            if run.state and run.deployment_id and (run.id, run.state.name) not in self._settled:
                yield run, run.state

    def _note(self, client: SyncPrefectClient, run: FlowRun, state: State) -> None:
        if not has_stop_note(client, run):
            flow = client.read_flow(run.flow_id)
            logger.warning("the run %s: %s", run.name, state.message)
            try:
                write_stop_note(client, run, state, flow.name, self._workspace)
            except (ValueError, ImportError, AttributeError) as error:
                # Parameters or an entrypoint unknown to this version; carry on with the other runs.
                logger.warning("cannot write a note for run %s: %s", run.name, error)
            if run.created and run.created < self._since:
                _announce(client, run)
        self._settled.add((run.id, state.name))


def _announce(client: SyncPrefectClient, run: FlowRun) -> None:
    """Send notifications of a run that started before the server was restarted.

    The server evaluates an event of a state after that of the state before. It has forgotten the one from before the
    restart, and waits 15 minutes for it.
    """
    event = failure_event(run.id, run.name, run.tags)
    client._client.post("/events", json=[event.model_dump(mode="json")]).raise_for_status()


def _last_heartbeat(client: SyncPrefectClient, run: FlowRun) -> datetime | None:
    """Time of the run's last heartbeat, or None."""
    page = client.read_events(
        EventFilter(
            event=EventNameFilter(name=[HEARTBEAT]),
            resource=EventResourceFilter(id=[f"prefect.flow-run.{run.id}"]),
            occurred=EventOccurredFilter(since=run.start_time or datetime.now(UTC) - RECENT),
        ),
        limit=1,
    )
    return page.events[0].occurred if page.events else None


@contextmanager
def lost_runs_reported(workspace: Workspace, token: str) -> Iterator[None]:
    """Check for lost runs every few seconds in a thread, so that a slow server blocks nothing else."""
    over = threading.Event()
    lost = LostRuns(workspace, token, datetime.now(UTC))

    def watch() -> None:
        while not over.wait(LOOK_SECONDS):
            try:
                with get_client(sync_client=True) as client:
                    lost.look(client, datetime.now(UTC))
            except (httpx.HTTPError, PrefectException, RuntimeError) as error:
                logger.debug("cannot check for lost runs: %s", error)

    # The context variables hold the server address.
    thread = threading.Thread(target=copy_context().run, args=(watch,), name="lost runs", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
