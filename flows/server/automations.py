"""What the server does by itself when events come, or fail to come; `vecmill deploy` sets it up."""

from collections.abc import Sequence
from datetime import timedelta

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import Automation, AutomationCore, EventTrigger, Posture

from flows.runs.result import NOTHING_TO_DO

# Three heartbeats of the deployments' 30 s.
SILENCE = timedelta(seconds=90)
# Prefect calls the event after the name of the state, and a run of ours may end under a name of its own.
ENDED = frozenset(
    f"prefect.flow-run.{state}" for state in ("Completed", NOTHING_TO_DO, "Failed", "TimedOut", "Cancelled", "Crashed")
)
# States of a run that is to start later, also after it was Pending.
WAITING = frozenset(f"prefect.flow-run.{state}" for state in ("Scheduled", "AwaitingConcurrencySlot", "Late"))
HEARTBEAT = "prefect.flow-run.heartbeat"
# The name of the state of a run whose time has come and which no worker has started.
LATE = "Late"
# Prefect calls a run late after 15 seconds; a busy worker may start it a moment later.
LATE_FOR = timedelta(seconds=45)
NOT_STARTED = timedelta(seconds=100)
NEVER_STARTED = "it never started: its worker ended after it took the run and before the process of the run was up"
SILENT = (
    "no sign of life for 90 seconds: the process or its machine died; the next run of the table goes on from the "
    "checkpoint"
)
# Events of a run name the run as their resource and its tags as related ones.
OUR_RUNS = {"prefect.resource.role": "tag", "prefect.resource.id": "prefect.tag.vecmill"}


def silent_runs_crash() -> AutomationCore:
    """Mark a run Crashed whose process has died with its worker, or with the machine: nobody else would tell."""
    return AutomationCore(
        name="vecmill: a run that falls silent has crashed",
        description="No heartbeat for 90 seconds; without this the run would be shown as running for ever.",
        trigger=EventTrigger(
            match_related=OUR_RUNS,
            for_each={"prefect.resource.id"},
            after={HEARTBEAT},
            expect={HEARTBEAT, *ENDED},
            posture=Posture.Proactive,
            threshold=1,
            within=SILENCE,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED,
                name="Crashed",
                message=SILENT,
            )
        ],
    )


def unstarted_runs_crash() -> AutomationCore:
    """Mark a run Crashed whose worker has ended after it took the run: the run would stay Pending for ever."""
    return AutomationCore(
        name="vecmill: a run that never starts has crashed",
        description="Pending for 100 seconds; a worker starts a run within seconds.",
        trigger=EventTrigger(
            match_related=OUR_RUNS,
            for_each={"prefect.resource.id"},
            after={"prefect.flow-run.Pending"},
            expect={"prefect.flow-run.Running", HEARTBEAT, *WAITING, *ENDED},
            posture=Posture.Proactive,
            threshold=1,
            within=NOT_STARTED,
        ),
        actions=[ChangeFlowRunState(state=StateType.CRASHED, name="Crashed", message=NEVER_STARTED)],
    )


def apply_automations(client: SyncPrefectClient, wanted: Sequence[AutomationCore]) -> dict[str, str]:
    """Create the automations, or update those that differ. Returns what was done for each name.

    One that is as it should be is not touched: an update would make the server forget what it is waiting for. One that
    somebody has switched off stays off.
    """
    done = {}
    for automation in wanted:
        found = next(iter(client.read_automations_by_name(automation.name)), None)
        if found is None:
            client.create_automation(automation)
        elif changed := not _same(automation, found):
            client.update_automation(found.id, automation.model_copy(update={"enabled": found.enabled}))
        done[automation.name] = "created" if found is None else "updated" if changed else "unchanged"
    return done


def _same(wanted: AutomationCore, found: Automation) -> bool:
    compared = {"name", "description", "trigger", "actions"}
    return wanted.model_dump(include=compared) == found.model_dump(include=compared)
