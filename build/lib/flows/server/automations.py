"""Automations of the Prefect server that react to events or to their absence; `vecmill deploy` creates them."""

from collections.abc import Sequence
from datetime import timedelta

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import Automation, AutomationCore, EventTrigger, Posture

from flows.runs.result import NOTHING_TO_DO

# Three heartbeats; the deployments send one every 30 s.
SILENCE = timedelta(seconds=90)
# Prefect names the event after the state, and our runs may end in a custom state.
ENDED = frozenset(
    f"prefect.flow-run.{state}" for state in ("Completed", NOTHING_TO_DO, "Failed", "TimedOut", "Cancelled", "Crashed")
)
# States of a run that will start later, possibly after it was Pending.
WAITING = frozenset(f"prefect.flow-run.{state}" for state in ("Scheduled", "AwaitingConcurrencySlot", "Late"))
HEARTBEAT = "prefect.flow-run.heartbeat"
# State name of a scheduled run that no worker has picked up in time.
LATE = "Late"
NOT_STARTED = timedelta(seconds=100)
NEVER_STARTED = "it never started: the worker exited after it picked up the run and before it started the run's process"
SILENT = (
    "no heartbeat for 90 seconds: the process or its machine died; the next run of the table resumes from the "
    "checkpoint"
)
# Current name -> name in earlier versions. `vecmill deploy` and `vecmill notify` rename what a server has.
FORMER_NAMES = {
    "vecmill: mark runs without a heartbeat as Crashed": "vecmill: a run that falls silent has crashed",
    "vecmill: mark runs that never start as Crashed": "vecmill: a run that never starts has crashed",
    **{
        f"vecmill: notify about refused and failed runs by {channel}": (
            f"vecmill: tell about refused and failed runs by {channel}"
        )
        for channel in ("slack", "webhook", "email")
    },
}
# Events of a run have the run as their resource and its tags as related resources.
OUR_RUNS = {"prefect.resource.role": "tag", "prefect.resource.id": "prefect.tag.vecmill"}


def silent_runs_crash() -> AutomationCore:
    """Mark a run Crashed if its process died together with its worker or machine, so that neither could report it."""
    return AutomationCore(
        name="vecmill: mark runs without a heartbeat as Crashed",
        description="No heartbeat for 90 seconds; without this automation the run would stay Running forever.",
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
    """Mark a run Crashed if its worker exited after it picked up the run, which would stay Pending forever."""
    return AutomationCore(
        name="vecmill: mark runs that never start as Crashed",
        description="Pending for 100 seconds; workers start a run within seconds.",
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
    """Create the automations, or update those that differ. Returns the action by name.

    Unchanged automations are not updated: an update makes the server drop the events it is waiting for. Disabled
    automations stay disabled.
    """
    done = {}
    for automation in wanted:
        found = next(iter(find_automations(client, automation.name)), None)
        if found is None:
            client.create_automation(automation)
        elif changed := not _same(automation, found):
            client.update_automation(found.id, automation.model_copy(update={"enabled": found.enabled}))
        done[automation.name] = "created" if found is None else "updated" if changed else "unchanged"
    return done


def find_automations(client: SyncPrefectClient, name: str) -> list[Automation]:
    """The automations of this name, else those of its former name."""
    found = client.read_automations_by_name(name)
    return found if found or name not in FORMER_NAMES else client.read_automations_by_name(FORMER_NAMES[name])


def _same(wanted: AutomationCore, found: Automation) -> bool:
    compared = {"name", "description", "trigger", "actions"}
    return wanted.model_dump(include=compared) == found.model_dump(include=compared)
